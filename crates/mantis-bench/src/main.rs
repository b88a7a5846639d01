//! `cargo xtask bench`: what MantisDB does, measured beside others and against its own past.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mantis_bench::{check, churn, floors, peers, reopen, transactions};

/// The same allocator for every store that is measured.
#[cfg(not(feature = "system_allocator"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(
    name = "bench",
    about = "Measures MantisDB; docs/performance.md says more"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One line for each kind of measurement.
#[derive(Debug, Subcommand)]
enum Command {
    /// The storage engine beside a bare skiplist, fjall and RocksDB
    Peers(peers::Options),
    /// Transactions beside plain puts, and beside those of fjall and RocksDB
    Transactions(transactions::Options),
    /// A store that is written, read and emptied for minutes: throughput and memory by the minute
    Churn(churn::Options),
    /// Opening after a kill, beside reading the log and inserting it again
    Reopen(reopen::Options),
    #[command(hide = true)]
    ReopenChild(reopen::ChildOptions),
    /// The least that is promised, through the library
    Floors(floors::Options),
    /// Whether an operation has become more expensive than the baseline says
    Check(check::Options),
    /// One store of `peers --only large`, in a process of its own
    #[command(hide = true)]
    LargeChild(peers::ChildOptions),
    /// One workload of `check`, in a process of its own
    #[command(hide = true)]
    CheckChild(check::ChildOptions),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Peers(options) => peers::run(&options),
        Command::Transactions(options) => transactions::run(&options),
        Command::Churn(options) => churn::run(&options),
        Command::Reopen(options) => reopen::run(&options),
        Command::ReopenChild(options) => reopen::run_child(&options),
        Command::Floors(options) => floors::run(&options),
        Command::Check(options) => check::run(&options),
        Command::CheckChild(options) => check::run_child(&options),
        Command::LargeChild(options) => peers::run_child(&options),
    }
}
