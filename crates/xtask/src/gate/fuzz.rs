//! The fuzz part: libFuzzer over every target of `fuzz/`, in slices, until enough CPU time is spent.
//!
//! Corpora stay in `target/gate/fuzz`, so that each slice goes on where the one before it ended. The
//! size is CPU time, not wall time: beside other work a slice of a minute may compute for seconds only.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::needs;
use crate::tree::cargo;

use super::record::{Figures, Outcome, Slice, Store};

/// The target that must be broken: the control.
const PLANTED: &str = "planted";
/// What the control says when it is found.
const PLANTED_WORDS: &str = "the planted panic was found";
/// Wall time of the control, at most; it is found within seconds on an idle machine.
const PLANTED_SECONDS_MAX: u64 = 600;
/// An input that takes longer is a finding. Long, because a process that is stopped for a
/// measurement, or starved by its neighbours, grows older meanwhile.
const INPUT_SECONDS_MAX: u64 = 300;

/// The fuzz targets, built.
#[derive(Debug)]
pub(super) struct Fuzzer {
    root: PathBuf,
    build: PathBuf,
    home: PathBuf,
    log: PathBuf,
    targets: Vec<String>,
}

/// Installs cargo-fuzz below `target`, where it is missing; answers where it is.
///
/// # Errors
/// When it cannot be installed.
pub(super) fn install() -> Result<PathBuf> {
    let tools = needs::tools_dir();
    let tool = tools.join("bin/cargo-fuzz");
    if !tool.exists() {
        println!("   installing cargo-fuzz into target/gate/tools");
        let mut install = Command::new(cargo());
        install.args(["install", "cargo-fuzz", "--locked", "--quiet", "--root"]);
        succeed(install.arg(&tools))?;
    }
    Ok(tool)
}

/// CPU time of the targets in these figures; the control's does not count.
pub(super) fn cpu_ms(figures: &Figures) -> u64 {
    let targets = figures
        .iter()
        .filter(|(name, _)| !name.starts_with("control"));
    targets
        .filter_map(|(_, figures)| figures.get("cpu ms"))
        .sum()
}

/// What one run of libFuzzer came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    good: bool,
    runs: u64,
    coverage: u64,
    corpus: u64,
    last_words: String,
}

impl Fuzzer {
    /// Installs cargo-fuzz where it is missing, and builds the targets.
    ///
    /// # Errors
    /// When something cannot be installed or built.
    pub(super) fn build(root: &Path, store: &Store) -> Result<Self> {
        let tool = install()?;
        let build = store.path("fuzz-build");
        println!("   building the fuzz targets");
        let mut command = Command::new(&tool);
        command.args(["fuzz", "build", "--target-dir"]).arg(&build);
        // The sanitizers' flags are unstable ones; this lets a stable compiler take them.
        command.env("RUSTC_BOOTSTRAP", "1").current_dir(root);
        succeed(&mut command)?;
        let home = store.path("fuzz");
        std::fs::create_dir_all(&home)?;
        Ok(Self {
            root: root.to_owned(),
            build,
            home,
            log: store.path("log/fuzz.log"),
            targets: targets(root)?,
        })
    }

    /// Gives every target its well-formed inputs to begin with.
    ///
    /// # Errors
    /// When the rig's program fails.
    pub(super) fn plant_seeds(&self, rig: &Path) -> Result<()> {
        let seeds = self.home.join("seeds");
        succeed(Command::new(rig).arg("fuzz-seeds").arg("--dir").arg(seeds))
    }

    /// The control: libFuzzer must find the planted panic by itself.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(super) fn control(&self, seed: u64) -> Result<Slice> {
        let corpus = self.home.join("corpus").join(PLANTED);
        if corpus.exists() {
            // What it found once it would only repeat.
            std::fs::remove_dir_all(&corpus)?;
        }
        let before = children_cpu_ms()?;
        let ran = self.run(PLANTED, seed, PLANTED_SECONDS_MAX)?;
        let found = !ran.good && ran.last_words.contains(PLANTED_WORDS);
        let figures = BTreeMap::from([
            ("found".to_owned(), u64::from(found)),
            ("runs".to_owned(), ran.runs),
            ("cpu ms".to_owned(), children_cpu_ms()? - before),
        ]);
        // Each target stands there from the beginning: one that never runs is seen to be missing.
        let names = self
            .targets
            .iter()
            .map(|name| (name.clone(), BTreeMap::new()));
        let mut all: Figures = names.collect();
        all.insert("control, a planted panic".to_owned(), figures);
        let outcome = if found {
            Outcome::Passed
        } else {
            Outcome::Uncalibrated
        };
        Ok(Slice {
            outcome,
            figures: all,
            ..Slice::default()
        })
    }

    /// Runs the target that has had the least CPU time.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(super) fn slice(&self, so_far: &Figures, seed: u64, seconds: u64) -> Result<Slice> {
        let spent = |target: &&String| so_far.get(*target).and_then(|f| f.get("cpu ms").copied());
        let target = self.targets.iter().min_by_key(spent);
        let target = target.context("fuzz/fuzz_targets is empty")?;
        let before = children_cpu_ms()?;
        let ran = self.run(target, seed, seconds)?;
        let figures = BTreeMap::from([
            ("cpu ms".to_owned(), children_cpu_ms()? - before),
            ("runs".to_owned(), ran.runs),
            ("peak coverage".to_owned(), ran.coverage),
            ("peak corpus".to_owned(), ran.corpus),
            ("broken".to_owned(), u64::from(!ran.good)),
        ]);
        let mut slice = Slice {
            outcome: Outcome::Passed,
            figures: Figures::from([(target.clone(), figures)]),
            ..Slice::default()
        };
        if !ran.good {
            slice.outcome = Outcome::Failed;
            slice.findings.push(format!(
                "{target}: {}; the input is kept in target/gate/fuzz/artifacts/{target}",
                ran.last_words
            ));
        }
        Ok(slice)
    }

    fn run(&self, target: &str, seed: u64, seconds: u64) -> Result<Ran> {
        let corpus = self.home.join("corpus").join(target);
        let artifacts = self.home.join("artifacts").join(target);
        let seeds = self.home.join("seeds").join(target);
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&artifacts)?;
        let built = format!("{}-unknown-linux-gnu/release", std::env::consts::ARCH);
        let mut command = Command::new(self.build.join(built).join(target));
        command.arg(&corpus);
        if seeds.is_dir() {
            command.arg(&seeds);
        }
        // libFuzzer reads seeds of 32 bits, and 0 as none.
        command.arg(format!("-seed={}", seed % 0xFFFF_FFFE + 1));
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg("-print_final_stats=1").current_dir(&self.root);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&self.log)?);
        let status = command
            .status()
            .with_context(|| format!("cannot start the fuzz target {target}"))?;
        let text = String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned();
        ensure!(
            text.contains("INFO: Running with entropic"),
            "the fuzz target {target} did not run: target/gate/log/fuzz.log"
        );
        Ok(Ran {
            good: status.success(),
            ..what_was_said(&text)
        })
    }
}

/// Reads what libFuzzer says: `#65536 pulse cov: 85 ft: 300 corp: 42/1024b ...`, the statistics at the
/// end, and why it stopped.
fn what_was_said(text: &str) -> Ran {
    let mut ran = Ran::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = || pair[1].split('/').next()?.parse::<u64>().ok();
            match pair[0] {
                "cov:" => ran.coverage = number().unwrap_or(ran.coverage),
                "corp:" => ran.corpus = number().unwrap_or(ran.corpus),
                "stat::number_of_executed_units:" => ran.runs = number().unwrap_or(0),
                _ => {}
            }
        }
        let why = ["panicked at", PLANTED_WORDS, "SUMMARY:", "ERROR: libFuzzer"];
        if why.iter().any(|why| line.contains(why)) {
            ran.last_words = format!("{} {}", ran.last_words, line.trim());
        }
    }
    ran.last_words = ran.last_words.trim().to_owned();
    ran
}

/// The targets without the control.
fn targets(root: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(root.join("fuzz/fuzz_targets"))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|e| e == "rs") && name != PLANTED {
            names.push(name.into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// CPU time of all children that have ended, and of theirs.
fn children_cpu_ms() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    cpu_ms_in(&stat).context("/proc/self/stat is as documented")
}

/// Fields 16 and 17 of `stat`, in hundredths of a second; the name in brackets may hold blanks.
fn cpu_ms_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * 10)
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    let tail: Vec<&str> = text.lines().rev().take(15).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    ensure!(out.status.success(), "{name} failed:\n{}", tail.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_progress_counts() {
        let text = "#2\tINITED cov: 4 ft: 5 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                    #65536\tpulse  cov: 85 ft: 300 corp: 42/1024b lim: 652 exec/s: 21845\n\
                    stat::number_of_executed_units: 99000\n";
        let ran = what_was_said(text);
        assert_eq!((ran.coverage, ran.corpus, ran.runs), (85, 42, 99_000));
        assert_eq!(ran.last_words, "");
    }

    #[test]
    fn why_it_stopped_is_kept() {
        let text = "thread '<unnamed>' panicked at src/fuzz.rs:70:5:\nthe planted panic was found\n\
                    ==7== ERROR: libFuzzer: deadly signal\nSUMMARY: libFuzzer: deadly signal\n";
        let ran = what_was_said(text);
        assert!(ran.last_words.starts_with("thread '<unnamed>' panicked"));
        assert!(ran.last_words.contains(PLANTED_WORDS));
    }

    #[test]
    fn cpu_time_of_children_stands_behind_the_name() {
        let stat = "7 (a b) c) R 1 7 7 0 -1 4194304 100 200 0 0 11 12 13 14 20 0 1 0 5 6 7";
        assert_eq!(cpu_ms_in(stat), Some(270));
        assert_eq!(cpu_ms_in("7 (a) R 1"), None);
        assert!(children_cpu_ms().is_ok());
    }

    #[test]
    fn the_control_is_no_target() {
        let names = targets(&crate::tree::root().unwrap()).unwrap();
        assert!(names.len() >= 4, "{names:?}");
        assert!(!names.iter().any(|name| name == PLANTED));
    }
}
