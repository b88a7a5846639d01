//! Benchmarks: what a subcommand of `cargo xtask bench` needs, and the subcommands themselves.
//!
//! A new subcommand is a module with `Options` (clap) and `run`, and a line in `main.rs`. It takes
//! its time from [`measure`], holds [`measure::Exclusive`] while it measures, and says on which
//! machine by [`measure::Machine`].
//!
//! It is not: a test. Nothing here fails because a machine is slow; `check` compares counted
//! instructions.
#![expect(clippy::print_stdout, reason = "measuring programs print their tables")]

pub mod check;
pub mod churn;
pub mod floors;
pub mod http;
pub mod measure;
pub mod peers;
pub mod reopen;
pub mod transactions;

mod keys;
mod report;
mod run;
mod store;
