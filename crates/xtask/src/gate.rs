//! `cargo xtask gate`: the long forms, for hours, before a release.

use std::process::ExitCode;

use anyhow::Result;

use crate::needs;
use crate::runner::{self, Skips};
use crate::steps::{CI, GATE};

/// Runs everything of CI and the long parts, or the parts that are named. As root, a test that
/// does not run is a failure.
///
/// # Errors
/// When a part has no such name, or nothing can be run at all. A red part is an exit code.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let parts: Vec<_> = CI.iter().chain(GATE).copied().collect();
    if arguments.iter().any(|argument| argument == "--list") {
        runner::list(&parts);
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = runner::select(&parts, arguments)?;
    runner::list(&chosen);
    let skips = if needs::is_root() {
        Skips::Failures
    } else {
        Skips::Counted
    };
    let green = runner::run(&chosen, skips, &mut std::io::stdout())?;
    Ok(ExitCode::from(u8::from(!green)))
}
