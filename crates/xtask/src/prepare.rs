//! `cargo xtask prepare`: installs what the tests need beside Rust, where that is possible; with
//! `--bench` what the measurements against others want, too.
//!
//! Nothing here is fatal. What is missing afterwards is said, and the tests that need it print SKIP.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::needs::{is_root, on_path, succeeds, venv_dir};
use crate::peers;

/// A Debian package: there when the tool is on the path.
struct DebianPackage {
    tool: &'static str,
    package: &'static str,
}

const DEBIAN_PACKAGES: &[DebianPackage] = &[
    DebianPackage {
        tool: "strace",
        package: "strace",
    }, // system call faults
    DebianPackage {
        tool: "mkfs.ext4",
        package: "e2fsprogs",
    }, // power cuts on a file system of their own
    DebianPackage {
        tool: "losetup",
        package: "mount",
    }, // the device below that file system
    DebianPackage {
        tool: "python3",
        package: "python3",
    }, // runs the contract test
];

/// Debian keeps the module `venv` usable only with this package.
const VENV_PACKAGE: &str = "python3-venv";

/// The contract test's tool. Pinned: a new one may find new things, and that is a change of its own.
const PYTHON_PACKAGES: &[&str] = &["schemathesis==4.32.5"];

/// Installs what is missing.
///
/// # Errors
/// For arguments that are not known. What cannot be installed is printed.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let for_bench = match arguments {
        [] => false,
        [one] if one == "--bench" => true,
        _ => bail!("prepare takes --bench or nothing, not {arguments:?}"),
    };
    let mut missing =
        missing_packages(on_path, || succeeds("python3", &["-c", "import ensurepip"]));
    if for_bench {
        missing.extend(missing_for_bench());
    }
    if let Err(why) = install(&missing) {
        println!("SKIP install of Debian packages: {why:#}");
    }
    if let Err(why) = python_packages(&venv_dir()) {
        println!("SKIP install of Python packages: {why:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs Debian packages.
fn install(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() {
        bail!("{names} missing, and only root may install");
    }
    if !on_path("apt-get") {
        bail!("{names} missing, and there is no apt-get");
    }
    println!("installing {names}");
    apt_get(&["update"]).with_context(|| format!("{names} missing"))?;
    let install = ["install", "-y", "--no-install-recommends"];
    apt_get(&[&install, missing].concat())
}

/// RocksDB with what its binding is made with, and a load generator for HTTP.
fn missing_for_bench() -> Vec<&'static str> {
    let wanted = [
        ("librocksdb-dev", peers::rocksdb_dir().is_some()),
        ("libclang-dev", peers::clang_dir().is_some()),
        ("clang", on_path("clang")),
        ("wrk", on_path("wrk")),
        ("valgrind", on_path("valgrind")),
    ];
    let absent = wanted.into_iter().filter(|(_, there)| !there);
    absent.map(|(package, _)| package).collect()
}

fn missing_packages(
    has_tool: impl Fn(&str) -> bool,
    has_venv: impl Fn() -> bool,
) -> Vec<&'static str> {
    let absent = DEBIAN_PACKAGES
        .iter()
        .filter(|wanted| !has_tool(wanted.tool));
    let mut packages: Vec<_> = absent.map(|wanted| wanted.package).collect();
    if !has_venv() {
        packages.push(VENV_PACKAGE);
    }
    packages
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args([
        "-q",
        "-o",
        "Acquire::http::Timeout=30",
        "-o",
        "Acquire::Retries=2",
    ]);
    run_quietly(
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Makes the virtual environment. A file in it says what it holds, so that a change of the list
/// installs anew and an unchanged list costs nothing.
fn python_packages(venv: &Path) -> Result<()> {
    let wanted = PYTHON_PACKAGES.join("\n");
    let marker = venv.join("installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing {}", PYTHON_PACKAGES.join(" "));
    run_quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(venv),
    )?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--timeout",
        "30",
        "--retries",
        "2",
    ]);
    run_quietly(pip.args(PYTHON_PACKAGES))?;
    std::fs::write(&marker, wanted).context("cannot write the marker of the virtual environment")
}

/// Runs a command; its output is shown in the error when it fails.
fn run_quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("no message");
        bail!("{name} failed: {last}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_packages_are_installed() {
        assert_eq!(missing_packages(|_| true, || true), [""; 0]);
        assert_eq!(
            missing_packages(|tool| tool != "mkfs.ext4", || true),
            ["e2fsprogs"]
        );
        assert_eq!(missing_packages(|_| true, || false), ["python3-venv"]);
    }

    #[test]
    fn a_failing_command_is_an_error_with_its_message() {
        let error =
            run_quietly(Command::new("sh").args(["-c", "echo first >&2; echo why >&2; exit 3"]));
        assert_eq!(error.unwrap_err().to_string(), "sh failed: why");
        run_quietly(&mut Command::new("true")).unwrap();
    }
}
