//! `cargo xtask ci`: what must be green before a change lands.

use std::process::ExitCode;

use anyhow::Result;

use crate::runner;
use crate::steps::CI;

/// Runs the steps of CI, or those that are named.
///
/// # Errors
/// When a step has no such name, or nothing can be run at all. A red step is an exit code.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if arguments.iter().any(|argument| argument == "--list") {
        runner::list(CI);
        return Ok(ExitCode::SUCCESS);
    }
    let green = runner::run(&runner::select(CI, arguments)?, &mut std::io::stdout())?;
    Ok(ExitCode::from(u8::from(!green)))
}
