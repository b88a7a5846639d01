//! Runs parts slice by slice, and stores what each slice brought before the next one begins.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::needs;
use crate::runner::{self, Count};
use crate::steps::Step;

use super::fuzz::{self, Fuzzer};
use super::machine::Machine;
use super::parts::{How, Part};
use super::record::{Figures, Outcome, Record, Slice, Store};
use super::request::Request;
use super::rig::Rig;
use super::sources;

/// A shorter run of libFuzzer hardly gets past reading its corpus.
const FUZZ_SECONDS_MIN: u64 = 10;

/// Runs parts.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    root: &'a Path,
    store: &'a Store,
    request: &'a Request,
    begun: Instant,
}

/// What a part's slices are run with.
enum Tool {
    Rig(Rig, &'static str),
    Numbered(Rig, &'static str),
    Fuzz(Fuzzer),
    Steps(&'static [Step]),
    Sized(&'static Step, &'static str, &'static str),
}

impl<'a> Runner<'a> {
    /// Nothing is run yet; the budget begins to be spent.
    pub(super) fn new(root: &'a Path, store: &'a Store, request: &'a Request) -> Self {
        Self {
            root,
            store,
            request,
            begun: now(),
        }
    }

    /// Runs what the part still lacks, and answers all that it has come to.
    ///
    /// # Errors
    /// When the state cannot be kept. A part that cannot be run is an outcome.
    pub(super) fn part(&self, part: &Part) -> Result<Record> {
        let Some(_lock) = self.store.lock(part.name)? else {
            let mut record = self.store.load(part.name)?.unwrap_or_default();
            record.outcome = Outcome::Partial;
            "another gate runs it".clone_into(&mut record.note);
            return Ok(record);
        };
        let mut record = self.begin(part)?;
        let size = self.request.size_of(part);
        record.size = size;
        if record.is_decided() || (record.outcome == Outcome::Passed && record.is_whole()) {
            println!("== {}: {}, stored", part.name, record.outcome.word());
            return Ok(record);
        }
        record.outcome = Outcome::Partial;
        record.note.clear();
        if let Some(reason) = part.needs.iter().find_map(|need| needs::unmet(need)) {
            println!("SKIP {}: {reason}", part.name);
            (record.outcome, record.note) = (Outcome::Skipped, reason);
        } else if let Err(error) = self.slices(part, &mut record) {
            println!("   broken: {error:#}");
            (record.outcome, record.note) = (Outcome::Broken, format!("{error:#}"));
        }
        self.store.save(part.name, &record)?;
        Ok(record)
    }

    /// The stored record if it is of these sources, or a new one.
    fn begin(&self, part: &Part) -> Result<Record> {
        let key = sources::key(self.root, &part.paths())?;
        let stored = self.store.load(part.name)?;
        if let Some(record) = stored.filter(|r| r.sources == key && !self.request.again) {
            return Ok(record);
        }
        let drawn = u64::from(std::process::id()) << 20;
        Ok(Record {
            sources: key,
            seed: self.request.seed.unwrap_or(drawn),
            commit: sources::commit(self.root)?,
            machine: Machine::here(self.root),
            ..Record::default()
        })
    }

    fn slices(&self, part: &Part, record: &mut Record) -> Result<()> {
        println!("== {}: {}", part.name, part.about);
        let tool = self.tool(part, record)?;
        while !record.is_whole() && !record.is_decided() {
            if self.is_spent() {
                "the time given was over".clone_into(&mut record.note);
                return Ok(());
            }
            let (begun, seed) = (now(), seed_of(part, record));
            let units = part.slice.min(record.size - record.done);
            let (units, slice) = self.slice(&tool, record, units, seed)?;
            let is_skip = slice.outcome == Outcome::Skipped;
            let took = begun.elapsed().as_secs_f64();
            if is_skip {
                (record.outcome, record.note) = (Outcome::Skipped, slice.reason);
                return Ok(());
            }
            record.add(units, slice, took);
            self.store.save(part.name, record)?;
            println!(
                "   {} of {} {}, {took:.0} s; {}",
                record.done,
                record.size,
                part.unit,
                (part.judge)(record).headline
            );
        }
        self.conclude(part, record);
        Ok(())
    }

    /// A whole part has passed when its sums show what they must.
    fn conclude(&self, part: &Part, record: &mut Record) {
        if record.is_decided() || !record.is_whole() {
            return;
        }
        let unmet = (part.judge)(record).unmet;
        record.outcome = if unmet.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        if !unmet.is_empty() {
            record.note = format!("not met: {}", unmet.join("; "));
        }
    }

    fn tool(&self, part: &Part, record: &mut Record) -> Result<Tool> {
        let rig = || Rig::build(self.root, self.store, part.name);
        Ok(match part.how {
            How::Rig(flag) => Tool::Rig(rig()?, flag),
            How::RigNumbered(flag) => Tool::Numbered(rig()?, flag),
            How::Steps(steps) => {
                if let Err(why) = fuzz::install() {
                    println!("   SKIP install of cargo-fuzz: {why:#}");
                }
                Tool::Steps(steps)
            }
            How::Sized { step, size, seed } => Tool::Sized(step, size, seed),
            How::Fuzz => {
                let fuzzer = Fuzzer::build(self.root, self.store)?;
                fuzzer.plant_seeds(rig()?.program())?;
                if record.slices == 0 {
                    let slice = fuzzer.control(record.seed)?;
                    record.add(0, slice, 0.0);
                    self.store.save(part.name, record)?;
                }
                Tool::Fuzz(fuzzer)
            }
        })
    }

    /// Runs a slice; answers how many units it was.
    fn slice(&self, tool: &Tool, record: &Record, units: u64, seed: u64) -> Result<(u64, Slice)> {
        Ok(match tool {
            Tool::Rig(rig, flag) => (units, rig.slice(flag, units, seed)?),
            Tool::Numbered(rig, flag) => (units, rig.slice(flag, record.done, seed)?),
            Tool::Fuzz(fuzzer) => {
                let slice = fuzzer.slice(&record.figures, seed, units.max(FUZZ_SECONDS_MIN))?;
                let cpu_ms = fuzz::cpu_ms(&record.figures) + fuzz::cpu_ms(&slice.figures);
                (cpu_ms / 1000 - record.done, slice)
            }
            Tool::Steps(steps) => (units, tests(steps, &[])?),
            Tool::Sized(step, size, seed_name) => {
                let env = [
                    ((*size).to_owned(), units.to_string()),
                    ((*seed_name).to_owned(), seed.to_string()),
                ];
                (units, tests(std::slice::from_ref(*step), &env)?)
            }
        })
    }

    fn is_spent(&self) -> bool {
        let budget = self.request.budget.unwrap_or(Duration::MAX);
        self.begun.elapsed() >= budget
    }
}

/// The next slice's seed. A part may use as many seeds as it has units, so that its slices stand that
/// far apart; a slice of CPU time may be none at all.
const fn seed_of(part: &Part, record: &Record) -> u64 {
    let before = match part.how {
        How::Fuzz => record.slices,
        _ => record.done,
    };
    record.seed.wrapping_add(before)
}

/// Runs steps and takes their counts for figures.
fn tests(steps: &[Step], env: &[(String, String)]) -> Result<Slice> {
    let Count {
        passed,
        failed,
        skipped,
        notes,
    } = runner::count(steps, env, &mut std::io::stdout())?;
    let figures = [("passed", passed), ("failed", failed), ("skipped", skipped)];
    let figures = figures.map(|(name, n)| (name.to_owned(), u64::try_from(n).unwrap_or(u64::MAX)));
    let red = failed > 0;
    Ok(Slice {
        outcome: if red {
            Outcome::Failed
        } else {
            Outcome::Passed
        },
        figures: Figures::from([("tests".to_owned(), BTreeMap::from(figures))]),
        findings: notes,
        ..Slice::default()
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the duration of a slice is real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::parts::PARTS;

    #[test]
    fn no_two_slices_share_a_seed() {
        for part in PARTS {
            let mut record = Record {
                seed: 7,
                size: part.size,
                ..Record::default()
            };
            let first = seed_of(part, &record);
            record.add(part.slice, Slice::default(), 0.0);
            let apart = seed_of(part, &record) - first;
            let draws_seeds = ["sim", "interleaved"].contains(&part.name);
            let needed = if draws_seeds { part.slice } else { 1 };
            assert!(apart >= needed, "{}: {apart}", part.name);
        }
    }
}
