//! Slices by the rig's program: a release build of it, its report of each slice, its directories.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::needs;
use crate::tree::cargo;

use super::record::{Outcome, Slice, Store};

/// With this word begins the line that the rig says about a part for machines.
const REPORT: &str = "REPORT ";

const UNMOUNT_TRIES: u32 = 50;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(200);

/// The rig's program, copied away from where the next build would replace it.
#[derive(Debug)]
pub(super) struct Rig {
    root: PathBuf,
    program: PathBuf,
    work: PathBuf,
    log: PathBuf,
}

impl Rig {
    /// Builds it, and removes what a gate that was killed has left of this part.
    ///
    /// # Errors
    /// When it does not build, or its directories cannot be made.
    pub(super) fn build(root: &Path, store: &Store, part: &str) -> Result<Self> {
        println!("   building the rig");
        let mut build = Command::new(cargo());
        build.args(["build", "--release", "--quiet", "--package"]);
        build.args(["mantis-testkit", "--bin", "crash"]);
        let status = build
            .current_dir(root)
            .status()
            .context("cannot start cargo")?;
        ensure!(status.success(), "the rig does not build");
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let built = target.unwrap_or_else(|| root.join("target"));
        let programs = store.path("bin");
        std::fs::create_dir_all(&programs)?;
        let program = programs.join(format!("crash-{part}"));
        if program.exists() {
            // A child of a killed gate may still run it: a new file, not new contents.
            std::fs::remove_file(&program)?;
        }
        std::fs::copy(built.join("release/crash"), &program).context("the rig was built")?;
        let work = store.path("work").join(part);
        unmount_below(&work)?;
        Ok(Self {
            root: root.to_owned(),
            program,
            work,
            log: store.path(format!("log/{part}.log")),
        })
    }

    /// The program's path.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a slice. Its stores are kept when something is wrong.
    ///
    /// # Errors
    /// When the rig cannot run it to an end.
    pub(super) fn slice(&self, flag: &str, value: u64, seed: u64) -> Result<Slice> {
        let dir = self.work.join(format!("seed-{seed}"));
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let mut command = Command::new(&self.program);
        command.arg(format!("--{flag}={value}"));
        command.arg(format!("--seed={seed}")).arg("--at").arg(&dir);
        command.arg("--report").env("PATH", needs::path());
        // Controls panic on purpose, by the hundred.
        command.env("RUST_BACKTRACE", "0");
        let log = File::create(&self.log)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = command.status().context("cannot start the rig")?;
        let text = String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned();
        let Some(mut slice) = report_in(&text)? else {
            let tail: Vec<&str> = text.lines().rev().take(5).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            anyhow::bail!("the rig made no report ({status}): {}", tail.join(" | "));
        };
        for finding in &mut slice.findings {
            // Paths below the root: what is kept is found, whatever machine it was.
            let finding_here = finding.replace(&format!("{}/", self.root.display()), "");
            *finding = format!("--{flag}={value} --seed={seed}: {finding_here}");
        }
        if matches!(slice.outcome, Outcome::Failed | Outcome::Uncalibrated) {
            let kept = self.log.with_file_name(format!("{flag}-{seed}.log"));
            std::fs::copy(&self.log, &kept)?;
            println!("   kept for a look: {}, {}", kept.display(), dir.display());
        } else {
            std::fs::remove_dir_all(&dir)?;
        }
        Ok(slice)
    }
}

/// The last report in the output.
fn report_in(text: &str) -> Result<Option<Slice>> {
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(REPORT));
    line.map(|json| serde_json::from_str(json).context("the rig's report is understood"))
        .transpose()
}

/// Unmounts what a killed gate has left below `dir`, and removes the directory.
fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts_below(&mounts, &dir.to_string_lossy())
        .into_iter()
        .rev()
    {
        // A child of the killed gate may hold it until it finds that nobody hears it.
        let gone = (0..UNMOUNT_TRIES).any(|_| {
            let gone = needs::succeeds("umount", &[mount]);
            if !gone {
                std::thread::park_timeout(UNMOUNT_PAUSE);
            }
            gone
        });
        ensure!(gone, "{mount} is still mounted and does not go");
    }
    if dir.exists() {
        std::fs::remove_dir_all(dir).context("cannot remove what a killed gate has left")?;
    }
    Ok(())
}

fn mounts_below<'a>(mounts: &'a str, dir: &str) -> Vec<&'a str> {
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    places
        .filter(|place| {
            place
                .strip_prefix(dir)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_counts_and_none_is_none() {
        let text = "kill: Passed\nREPORT {\"outcome\":\"failed\"}\nchatter\n\
                    REPORT {\"outcome\":\"passed\",\"figures\":{\"store\":{\"lost\":0}},\"findings\":[]}\n";
        let slice = report_in(text).unwrap().unwrap();
        assert_eq!(slice.outcome, Outcome::Passed);
        assert_eq!(slice.figures["store"]["lost"], 0);
        assert!(report_in("no report\n").unwrap().is_none());
        assert!(report_in("REPORT {}\n").is_err(), "no outcome");
    }

    #[test]
    fn only_mounts_below_the_directory_are_meant() {
        let mounts = "/dev/loop0 /g/work/power/a ext4 rw 0 0\n/dev/loop1 /g/work/powers ext4 rw 0 0\n\
                      tmpfs /g/work/power/b tmpfs rw 0 0\n";
        assert_eq!(
            mounts_below(mounts, "/g/work/power"),
            ["/g/work/power/a", "/g/work/power/b"]
        );
    }
}
