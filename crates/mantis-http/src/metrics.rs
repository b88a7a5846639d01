//! What this front end measures, and how it is shown.

mod histogram;
mod operations;
mod process;
mod prometheus;
mod requests;
mod sources;
mod transactions;

pub(crate) use histogram::Histogram;
pub(crate) use operations::{OperationKind, Operations, share};
pub(crate) use process::{ProcessReading, cpu_time, read_process};
pub(crate) use prometheus::{flat, render};
pub(crate) use requests::RequestCounters;
pub(crate) use sources::sources;
