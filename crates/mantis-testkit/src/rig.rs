//! The crash rig: a child writes by a script, the parent hears its acknowledgements, kills it in
//! some way, reopens the store and compares it with the oracle.

pub mod calibration;
pub mod campaign;
pub mod cap;
pub mod child;
pub mod control;
pub mod copy;
pub mod flip;
pub mod full;
pub mod heard;
pub mod interleave;
pub mod kill;
pub mod liar;
pub mod live;
pub mod mount;
pub mod once_child;
pub mod once_kill;
pub mod oracle;
pub mod power;
pub mod probe;
pub mod reading;
pub mod report;
pub mod script;
pub mod sim;
pub mod specimen;
pub mod store;
pub mod strace;
pub mod sweep;
pub mod target;
pub mod txn_child;
pub mod txn_kill;
mod voice;
pub mod wire;
pub mod writing;
