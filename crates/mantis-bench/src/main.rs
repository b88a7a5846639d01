//! `cargo xtask bench`: what MantisDB does, measured beside others and against its own past.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mantis_bench::peers;

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
    /// One store of `peers --only large`, in a process of its own
    #[command(hide = true)]
    LargeChild(peers::ChildOptions),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Peers(options) => peers::run(&options),
        Command::LargeChild(options) => peers::run_child(&options),
    }
}
