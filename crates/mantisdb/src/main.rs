//! The program `mantisdb`: reads the command line and does what it says.

mod bench;
mod cli;
mod client;
mod config;
mod exit;
mod offline;
mod serve;
mod table;
mod transfer;
mod version;

/// Chosen by measurement (FIGURES.md, allocator); a build without `production` takes the system's.
#[cfg(feature = "production")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
