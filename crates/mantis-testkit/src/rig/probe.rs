//! Probes: what this machine lets the rig do. A part that cannot run says why, and is counted.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program to its end and answers its standard output.
///
/// # Errors
/// When it cannot be started or fails; the error holds what it complained of.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {program}"))?;
    let complaints = String::from_utf8_lossy(&out.stderr);
    ensure!(
        out.status.success(),
        "{program} {}: {} {complaints}",
        args.join(" "),
        out.status
    );
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The words of a path, which the rig makes of plain characters.
///
/// # Errors
/// When it is no text.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of the rig is no text")
}

/// Whether this process is root.
///
/// # Errors
/// The reason why not.
pub fn root() -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "not root");
    Ok(())
}

/// Whether strace is there and may inject faults.
///
/// # Errors
/// The reason why not.
pub fn strace() -> Result<()> {
    let inject = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=chdir"];
    let fault = ["-e", "inject=chdir:error=EIO:when=1", "true"];
    run("strace", &[&inject[..], &fault[..]].concat()).map(drop)
}
