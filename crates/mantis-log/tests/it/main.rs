//! The log's promises: what is acknowledged stays, what is damaged shows.

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod format;
#[cfg(test)]
mod full;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod tailing;
#[cfg(test)]
mod write_out;
#[cfg(test)]
mod writers;
