//! `cargo xtask bench`: what MantisDB does, measured beside others and against its own past.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mantis_bench::{check, floors, peers};

/// The same allocator for every store that is measured.
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
        Command::Floors(options) => floors::run(&options),
        Command::Check(options) => check::run(&options),
        Command::CheckChild(options) => check::run_child(&options),
        Command::LargeChild(options) => peers::run_child(&options),
    }
}
