//! The HTTP front end, measured beside a bare axum server on the same machine.
//!
//! Each measurement starts the release binary of the server in a directory of its own, drives it,
//! and answers a [`report::Report`]: figures, their floors, and whether they are met. Load comes from
//! wrk where only the server's own cost counts, and from a small client of ours where answers are
//! looked at. Figures to trust are ratios within one run and CPU time for each request.

pub mod client;
pub mod connections;
pub mod get;
pub mod lists;
pub mod process;
pub mod put;
pub mod reference;
pub mod report;
pub mod server;
pub mod start;
pub mod writers;
pub mod wrk;

/// The median of the rounds, of which there is at least one.
fn middle(figures: impl IntoIterator<Item = f64>) -> f64 {
    crate::measure::median(figures).unwrap_or(f64::NAN)
}
