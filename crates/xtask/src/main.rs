//! `cargo xtask`: the project's own checks and programs, behind one command.
#![expect(
    clippy::print_stdout,
    reason = "this program talks to the person who started it"
)]

mod ci;
mod dispatch;
mod gate;
mod needs;
mod openapi;
mod peers;
mod prepare;
mod runner;
mod source;
mod steps;
mod tidy;
mod tree;

fn main() -> anyhow::Result<std::process::ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    dispatch::run(&arguments)
}
