//! The rig's short runs, one module for each part.
//!
//! Sizes come from `RIG_*` variables, so that the long gate runs the same code; seeds from `RIG_SEED`.

#[cfg(test)]
mod setting;

#[cfg(test)]
mod kill;

#[cfg(test)]
mod once_kill;

#[cfg(test)]
mod power;

#[cfg(test)]
mod sweep;

#[cfg(test)]
mod flip;

#[cfg(test)]
mod limits;

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod model;

#[cfg(test)]
mod sim;

#[cfg(test)]
mod faults;

#[cfg(test)]
mod history;

#[cfg(test)]
mod anomaly;

#[cfg(test)]
mod interleave;

#[cfg(test)]
mod txn_kill;
