//! What a step needs beside cargo, and whether this machine has it.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why `need` is not met here; `None` when it is.
///
/// Words: `root`, `loop` (a free loop device), `ptrace` (strace works), `tool:NAME` (on the path).
pub(crate) fn unmet(need: &str) -> Option<String> {
    match need {
        "root" => (!is_root()).then(|| "needs root".to_owned()),
        "loop" => (!succeeds("losetup", &["--find"])).then(|| "needs a loop device".to_owned()),
        "ptrace" => {
            let works = succeeds("strace", &["-qq", "-o", "/dev/null", "true"]);
            (!works).then(|| "needs strace and leave to use ptrace".to_owned())
        }
        other => match other.strip_prefix("tool:") {
            Some(tool) => (!on_path(tool)).then(|| format!("needs {tool} on the path")),
            None => Some(format!("needs {other:?}, which nobody knows")),
        },
    }
}

/// Whether `need` is one of the words of [`unmet`].
#[cfg(test)]
pub(crate) fn is_known(need: &str) -> bool {
    matches!(need, "root" | "loop" | "ptrace")
        || need.strip_prefix("tool:").is_some_and(|t| !t.is_empty())
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether a program of this name is on the path of [`path`].
pub(crate) fn on_path(tool: &str) -> bool {
    let directories = path();
    std::env::split_paths(&directories).any(|directory| directory.join(tool).is_file())
}

/// The path for programs that we start: the tests' own Python tools, the gate's cargo-fuzz, the
/// system's directories for root's tools, then the caller's.
pub(crate) fn path() -> OsString {
    let own = [venv_dir().join("bin"), tools_dir().join("bin")];
    let callers = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let all = own
        .into_iter()
        .chain(std::env::split_paths(&callers))
        .chain(system);
    std::env::join_paths(all).unwrap_or(callers)
}

/// Where the Python tools of the tests are installed.
pub(crate) fn venv_dir() -> PathBuf {
    let root = crate::tree::root().unwrap_or_default();
    root.join("target/venv")
}

/// Where the gate installs tools that cargo builds.
pub(crate) fn tools_dir() -> PathBuf {
    let root = crate::tree::root().unwrap_or_default();
    root.join("target/gate/tools")
}

/// Whether the command can be started and succeeds. Its output is dropped.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_and_a_present_one_is_not() {
        assert_eq!(unmet("tool:sh"), None);
        assert_eq!(
            unmet("tool:no-such-tool").unwrap(),
            "needs no-such-tool on the path"
        );
    }

    #[test]
    fn an_unknown_need_is_never_met() {
        assert!(unmet("moonlight").is_some());
        assert!(!is_known("moonlight"));
    }
}
