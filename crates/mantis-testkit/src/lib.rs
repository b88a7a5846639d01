//! What the tests of all crates stand on: seeded dice, the crash rig, the conformance suite, models under
//! drawn schedules.
//!
//! It is not: shipped, nor used by any crate outside its tests.

#[cfg(feature = "rig")]
pub mod anomaly;
pub mod conformance;
pub mod dice;
#[cfg(feature = "rig")]
pub mod door;
pub mod fuzz;
#[cfg(feature = "rig")]
pub mod history;
#[cfg(feature = "rig")]
pub mod rig;
pub mod schedule;
