//! The environment's promises, real and simulated.

#[cfg(test)]
mod disk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod tasks;
