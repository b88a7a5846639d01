//! The facade over a real directory.

#[cfg(test)]
mod access;
#[cfg(test)]
mod before;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod once;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod transactions;
