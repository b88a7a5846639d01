//! Runs steps one after the other, counts what they say, and prints one table.

mod excerpt;
mod tally;

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::needs;
use crate::steps::Step;
use crate::tree::{cargo, root};
use tally::{Counts, Tally, Voice};

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
    println!("{:<14} {:<14} command", "step", "needs");
    for step in steps {
        let env = step
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value:?} "));
        let (env, needs) = (env.collect::<String>(), step.needs.join(" "));
        println!("{:<14} {needs:<14} {env}{}", step.name, step.command);
    }
}

/// Runs every step, also after a failure, and answers whether all is well. The last line printed
/// to `out` is `N passed, N failed, N skipped`.
///
/// # Errors
/// When the log directory or a program cannot be used at all.
pub(crate) fn run(steps: &[Step], out: &mut impl Write) -> Result<bool> {
    let outcomes = perform(steps, &[], out)?;
    report(&outcomes, out)
}

/// What steps came to, all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// What is to be said about steps that failed or could not run.
    pub(crate) notes: Vec<String>,
}

/// Runs every step with these variables besides, and counts.
///
/// # Errors
/// When the log directory or a program cannot be used at all.
pub(crate) fn count(
    steps: &[Step],
    env: &[(String, String)],
    out: &mut impl Write,
) -> Result<Count> {
    let mut count = Count::default();
    for outcome in perform(steps, env, out)? {
        count.passed += outcome.counts.passed;
        count.failed += outcome.counts.failed;
        count.skipped += outcome.counts.skipped;
        if !outcome.note.is_empty() {
            count
                .notes
                .push(format!("{}: {}", outcome.name, outcome.note));
        }
    }
    Ok(count)
}

fn perform(steps: &[Step], env: &[(String, String)], out: &mut impl Write) -> Result<Vec<Outcome>> {
    let place = Place::new(env)?;
    let mut outcomes = Vec::new();
    for step in steps {
        writeln!(out, "== {}: {}", step.name, step.command)?;
        let begun = now();
        let (counts, note) = match step.needs.iter().find_map(|need| needs::unmet(need)) {
            Some(reason) => {
                writeln!(out, "SKIP {}: {reason}", step.name)?;
                (Counts::new(0, 0, 1), reason)
            }
            None => place.run(step, out)?,
        };
        outcomes.push(Outcome {
            name: step.name,
            counts,
            took: begun.elapsed(),
            note,
        });
    }
    Ok(outcomes)
}

/// Where steps run and leave their logs.
struct Place {
    root: PathBuf,
    logs: PathBuf,
    /// This program. Asked at the start: a step may build it anew, and then the answer is a file
    /// that is gone.
    own: PathBuf,
    /// Variables for all steps.
    env: Vec<(String, String)>,
}

impl Place {
    fn new(env: &[(String, String)]) -> Result<Self> {
        let root = root()?;
        let logs = root.join("target/xtask");
        std::fs::create_dir_all(&logs).context("cannot make target/xtask")?;
        let own = std::env::current_exe().context("xtask does not know itself")?;
        let env = env.to_vec();
        Ok(Self {
            root,
            logs,
            own,
            env,
        })
    }

    fn run(&self, step: &Step, out: &mut impl Write) -> Result<(Counts, String)> {
        let log = self.logs.join(format!("{}.log", step.name));
        let mut file = File::create(&log).context("cannot write a step's log")?;
        let (mut child, voice, output) = self.start(step)?;
        let mut tally = Tally::new(voice);
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(file, "{line}")?;
            if excerpt::is_progress(&line) {
                writeln!(out, "{line}")?;
            }
            tally.take(&line);
        }
        let ok = child.wait()?.success();
        if ok {
            return Ok((tally.counts(ok), String::new()));
        }
        show_failure(&log, out)?;
        Ok((
            tally.counts(ok),
            format!("all of it: target/xtask/{}.log", step.name),
        ))
    }

    /// Starts a step with both of its outputs in one pipe.
    fn start(&self, step: &Step) -> Result<(Child, Voice, PipeReader)> {
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let mut words = step.command.split(' ');
        let (program, voice) = match words.next() {
            Some("xtask") => (self.own.clone().into_os_string(), Voice::Program),
            _ => (cargo(), Voice::Tests),
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .envs(step.env.iter().copied())
            .envs(self.env.iter().cloned())
            .env("PATH", needs::path());
        command.current_dir(&self.root).stdin(Stdio::null());
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn();
        // `command` ends here and closes its ends of the pipe, without which there is no end of file.
        let child = child.with_context(|| format!("cannot start {}", step.command))?;
        Ok((child, voice, reader))
    }
}

fn show_failure(log: &Path, out: &mut impl Write) -> Result<()> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    for line in excerpt::of_failure(&text) {
        writeln!(out, "   {line}")?;
    }
    Ok(())
}

struct Outcome {
    name: &'static str,
    counts: Counts,
    took: Duration,
    note: String,
}

fn report(outcomes: &[Outcome], out: &mut impl Write) -> Result<bool> {
    let head = ["passed", "failed", "skipped", "seconds"].map(|word| format!("{word:>8}"));
    writeln!(out, "\n{:<14}{}  note", "step", head.concat())?;
    let mut total = Counts::default();
    for Outcome {
        name,
        counts,
        took,
        note,
    } in outcomes
    {
        let numbers = [counts.passed, counts.failed, counts.skipped].map(|n| format!("{n:>8}"));
        writeln!(
            out,
            "{name:<14}{}{:>8.1}  {note}",
            numbers.concat(),
            took.as_secs_f64()
        )?;
        total += *counts;
    }
    let Counts {
        passed,
        failed,
        skipped,
    } = total;
    writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped")?;
    Ok(failed == 0)
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
