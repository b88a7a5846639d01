//! Runs steps one after the other, counts what they say, and prints one table.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::needs;
use crate::steps::Step;
use crate::tree::{cargo, root};

/// Lines of a failed step's output that are shown; all of it stands in its log file.
const FAILURE_LINES_MAX: usize = 120;

/// What a SKIP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skips {
    /// It is counted and shown.
    Counted,
    /// It is a failure: this run must be whole.
    Failures,
}

/// How many tests did what. A step that runs no tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

struct Outcome {
    name: &'static str,
    counts: Counts,
    took: Duration,
    note: String,
}

/// Steps by their names, in the table's order; all of them when no name is given.
///
/// # Errors
/// When a name is not in the table.
pub(crate) fn select(steps: &[Step], names: &[String]) -> Result<Vec<Step>> {
    for name in names {
        let known: Vec<_> = steps.iter().map(|step| step.name).collect();
        ensure!(
            known.contains(&name.as_str()),
            "no step {name:?}; there are: {}",
            known.join(", ")
        );
    }
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(steps.iter().filter(wanted).copied().collect())
}

/// Prints the table of steps without running them.
pub(crate) fn list(steps: &[Step]) {
    println!("{:<14} {:<20} command", "step", "needs");
    for step in steps {
        let env: String = step
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value:?} "))
            .collect();
        println!(
            "{:<14} {:<20} {env}{}",
            step.name,
            step.needs.join(" "),
            step.command
        );
    }
}

/// Runs every step, also after a failure, and answers whether all is well. The last line printed
/// is `N passed, N failed, N skipped`.
///
/// # Errors
/// When the log directory or a program cannot be used at all.
pub(crate) fn run(steps: &[Step], skips: Skips) -> Result<bool> {
    let root = root()?;
    let logs = root.join("target/xtask");
    std::fs::create_dir_all(&logs).context("cannot make target/xtask")?;
    // Asked now: a step may build this program anew, and then the answer is a deleted file.
    let own = std::env::current_exe().context("xtask does not know itself")?;
    let mut outcomes = Vec::new();
    for step in steps {
        println!("== {}: {}", step.name, step.command);
        let begun = now();
        let (counts, note) = match step.needs.iter().find_map(|need| needs::unmet(need)) {
            Some(reason) => {
                println!("SKIP {}: {reason}", step.name);
                (
                    Counts {
                        skipped: 1,
                        ..Counts::default()
                    },
                    reason,
                )
            }
            None => run_step(step, &own, &root, &logs.join(format!("{}.log", step.name)))?,
        };
        outcomes.push(Outcome {
            name: step.name,
            counts,
            took: begun.elapsed(),
            note,
        });
    }
    Ok(report(&outcomes, skips))
}

fn run_step(step: &Step, own: &Path, root: &Path, log: &Path) -> Result<(Counts, String)> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let mut words = step.command.split(' ');
    let program = match words.next() {
        Some("xtask") => own.into(),
        _ => cargo(),
    };
    let mut command = Command::new(program);
    command
        .args(words)
        .envs(step.env.iter().copied())
        .env("PATH", needs::path());
    command
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", step.command))?;
    drop(command); // it holds the other ends of the pipe, without whose closing there is no end of file
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut tally = Tally::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(file, "{line}")?;
        if is_worth_showing(&line) {
            println!("{line}");
        }
        tally.take(&line);
    }
    let ok = child.wait()?.success();
    if !ok {
        show_tail(log)?;
    }
    Ok((
        tally.counts(ok),
        if ok {
            String::new()
        } else {
            "see its log in target/xtask".to_owned()
        },
    ))
}

/// What a step has said about its tests so far.
#[derive(Debug, Default)]
struct Tally {
    counts: Counts,
    /// `SKIP name: reason` lines of tests that libtest counts as passed.
    said_skip: usize,
    ran_tests: bool,
}

impl Tally {
    fn take(&mut self, line: &str) {
        if line.starts_with("SKIP ") {
            self.said_skip += 1;
        }
        let Some(counts) = libtest_counts(line).or_else(|| own_counts(line)) else {
            return;
        };
        self.ran_tests = true;
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.counts.skipped += counts.skipped;
        if libtest_counts(line).is_some() {
            self.counts.passed = self.counts.passed.saturating_sub(self.said_skip);
            self.counts.skipped += self.said_skip;
        }
        self.said_skip = 0; // a program's own count holds its skips already
    }

    /// The step's counts, once it has ended. A step that fails has at least one failure.
    fn counts(self, ok: bool) -> Counts {
        let mut counts = self.counts;
        if !self.ran_tests && ok {
            counts.passed = 1;
        }
        if !ok && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; ...`
fn libtest_counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = rest.split("; ");
    Some(Counts {
        passed: number_before(parts.next()?, " passed")?,
        failed: number_before(parts.next()?, " failed")?,
        skipped: number_before(parts.next()?, " ignored")?,
    })
}

/// `12 passed, 0 failed, 1 skipped`: what our own programs say last.
fn own_counts(line: &str) -> Option<Counts> {
    let mut parts = line.split(", ");
    let counts = Counts {
        passed: number_before(parts.next()?, " passed")?,
        failed: number_before(parts.next()?, " failed")?,
        skipped: number_before(parts.next()?, " skipped")?,
    };
    parts.next().is_none().then_some(counts)
}

fn number_before(text: &str, word: &str) -> Option<usize> {
    text.strip_suffix(word)?.parse().ok()
}

/// Progress, verdicts and complaints; the chatter goes to the log only.
fn is_worth_showing(line: &str) -> bool {
    const BEGINNINGS: &[&str] = &["SKIP ", "test result: ", "error", "warning", "Diff in"];
    let failed_test = line.starts_with("test ") && line.ends_with("FAILED");
    failed_test
        || own_counts(line).is_some()
        || BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
        || line.trim_start().starts_with("Running ")
}

fn show_tail(log: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let lines: Vec<_> = text.lines().collect();
    let hidden = lines.len().saturating_sub(FAILURE_LINES_MAX);
    println!(
        "-- the last {} of {} lines:",
        lines.len() - hidden,
        lines.len()
    );
    lines
        .iter()
        .skip(hidden)
        .for_each(|line| println!("   {line}"));
    Ok(())
}

fn report(outcomes: &[Outcome], skips: Skips) -> bool {
    println!(
        "\n{:<14} {:>7} {:>7} {:>7} {:>9}  note",
        "step", "passed", "failed", "skipped", "seconds"
    );
    for Outcome {
        name,
        counts,
        took,
        note,
    } in outcomes
    {
        let Counts {
            passed,
            failed,
            skipped,
        } = counts;
        println!(
            "{name:<14} {passed:>7} {failed:>7} {skipped:>7} {:>9.1}  {note}",
            took.as_secs_f64()
        );
    }
    let total =
        |part: fn(&Counts) -> usize| outcomes.iter().map(|o| part(&o.counts)).sum::<usize>();
    let (passed, failed, skipped) = (
        total(|c| c.passed),
        total(|c| c.failed),
        total(|c| c.skipped),
    );
    let strict = skips == Skips::Failures;
    let whole = !strict || skipped == 0;
    if !whole {
        println!("every skip is a failure here");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0 && whole
}

#[expect(
    clippy::disallowed_methods,
    reason = "the duration of a build step is real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
