//! A specimen: one directory with what is written there, its oracle, and what came out so far.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::child::{Binary, Ended};
use super::heard::Heard;
use super::oracle::{Contents, Oracle, Promise};
use super::reading::{Reading, Readout};
use super::script::Script;
use super::target::{StoreSize, TargetKind};
use super::writing::{Part, Writing};
use crate::dice::Dice;

/// A child that has not ended after this span is said to hang.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// A tally keeps at most this many findings in words.
const FINDINGS_KEPT_MAX: usize = 20;

/// What came out of many rounds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rounds done.
    pub rounds: u64,
    /// Acknowledgements heard.
    pub acks: u64,
    /// Promised steps that were checked.
    pub promised: u64,
    /// Promised steps that were gone.
    pub lost: u64,
    /// Stores that did not open, or not be read.
    pub unopened: u64,
    /// Everything that must not be, counted.
    pub findings_count: u64,
    /// The first of them, in words.
    pub findings: Vec<String>,
    /// Anything else that is counted.
    pub counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Takes something that must not be.
    pub fn find(&mut self, text: impl Into<String>) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_KEPT_MAX {
            self.findings.push(text.into());
        }
    }

    /// Counts something.
    pub fn count(&mut self, name: &str, by: u64) {
        *self.counts.entry(name.to_owned()).or_default() += by;
    }

    /// How often `name` was counted.
    #[must_use]
    pub fn counted(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// The figures without the findings: for controls, whose findings are wanted.
    #[must_use]
    pub fn figures(&self) -> String {
        Self {
            findings: Vec::new(),
            ..self.clone()
        }
        .to_string()
    }

    /// All figures by name.
    #[must_use]
    pub fn as_figures(&self) -> BTreeMap<String, u64> {
        let Self {
            rounds,
            acks,
            promised,
            lost,
            unopened,
            findings_count,
            ..
        } = *self;
        let own = [
            ("rounds", rounds),
            ("acks", acks),
            ("promised", promised),
            ("lost", lost),
            ("unopened", unopened),
            ("findings", findings_count),
        ];
        let own = own.map(|(name, figure)| (name.to_owned(), figure));
        own.into_iter().chain(self.counts.clone()).collect()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.findings_count == 0 && self.lost == 0 && self.unopened == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            acks,
            promised,
            lost,
            unopened,
            findings_count,
            ..
        } = self;
        write!(
            f,
            "rounds {rounds}, acks {acks}, promised {promised}, lost {lost}, unopened {unopened}, \
             findings {findings_count}"
        )?;
        self.counts
            .iter()
            .try_for_each(|(name, count)| write!(f, ", {name} {count}"))?;
        self.findings
            .iter()
            .try_for_each(|text| write!(f, "\n  finding: {text}"))
    }
}

/// One directory with its oracle.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// Where it lives.
    pub dir: PathBuf,
    /// What it is.
    pub target: TargetKind,
    /// What is written to it.
    pub script: Script,
    /// What must be in it.
    pub oracle: Oracle,
}

impl Specimen {
    /// Nothing yet, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, target: TargetKind, script: Script) -> Self {
        Self {
            dir: dir.into(),
            target,
            script,
            oracle: Oracle::new(script),
        }
    }

    /// Rolls anew whether a store has the default or the small options; a control has none.
    pub fn resize(&mut self, dice: &mut Dice) {
        let small = dice.percent(60);
        if self.target.is_store() {
            let size = if small {
                StoreSize::Small
            } else {
                StoreSize::Default
            };
            self.target = TargetKind::Store(size);
        }
    }

    /// The next writing child.
    #[must_use]
    pub fn writing(&self, plan: &[Part]) -> Writing {
        Writing {
            dir: self.dir.clone(),
            target: self.target,
            script: self.script,
            epoch: self.oracle.epoch(),
            plan: plan.to_vec(),
            persist: false,
        }
    }

    /// Takes over what a writing child said and how it ended, then reads the store and judges it.
    /// Answers whether the store can be used for another round.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn examine(
        &mut self,
        binary: &Binary,
        ended: &Ended<Heard>,
        promise: &Promise,
        close: bool,
        tally: &mut Tally,
    ) -> Result<bool> {
        self.take_over(ended, tally);
        let heard = &ended.ear;
        let contents = match read_back(binary, &self.dir, self.target, close)? {
            ReadBack::Whole(contents) => contents,
            other => {
                tally.unopened += 1;
                tally.find(format!(
                    "{} epoch {}: {other}",
                    self.name(),
                    self.oracle.epoch()
                ));
                return Ok(false);
            }
        };
        let epoch = self.oracle.epoch();
        let verdict = self.oracle.judge(heard, promise, &contents);
        tally.promised += verdict.promised;
        tally.lost += verdict.lost;
        for finding in &verdict.findings {
            tally.find(format!("{} epoch {epoch}: {finding}", self.name()));
        }
        Ok(verdict.is_right())
    }

    fn take_over(&self, ended: &Ended<Heard>, tally: &mut Tally) {
        tally.acks += ended.ear.acks_count();
        let epoch = self.oracle.epoch();
        for text in &ended.ear.violations {
            tally.find(format!("{} epoch {epoch}: {text}", self.name()));
        }
        if let Some(crash) = ended.crash() {
            tally.find(format!(
                "{} epoch {epoch}: the writer crashed: {crash}",
                self.name()
            ));
        }
        for (code, times) in &ended.ear.refused {
            tally.count(&format!("refused {code}"), *times);
        }
    }

    fn name(&self) -> String {
        format!("{} seed {}", self.target.word(), self.script.seed)
    }
}

/// What a reading child came back with.
#[derive(Clone, Debug)]
pub enum ReadBack {
    /// All pairs.
    Whole(Contents),
    /// An error that it said: where, code, text.
    Refused(String, String, String),
    /// Two ways of reading disagree, or the dump is out of order.
    Wrong(String),
    /// A panic, a foreign signal, or no end in time.
    Crashed(String),
}

impl fmt::Display for ReadBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(contents) => write!(f, "{} pairs", contents.len()),
            Self::Refused(at, code, text) => write!(f, "refused at {at}: {code}: {text}"),
            Self::Wrong(text) => write!(f, "wrong: {text}"),
            Self::Crashed(text) => write!(f, "the reader crashed: {text}"),
        }
    }
}

/// Opens what lies in `dir` and reads all of it, in a process of its own.
///
/// # Errors
/// When the child cannot be run.
pub fn read_back(binary: &Binary, dir: &Path, target: TargetKind, close: bool) -> Result<ReadBack> {
    let reading = Reading {
        dir: dir.to_owned(),
        target,
        close,
    };
    let ended = binary.read(&reading)?.finish(PATIENCE)?;
    let crash = ended.crash();
    let Readout {
        contents,
        fatal,
        violations,
        done,
        ..
    } = ended.ear;
    Ok(if let Some((at, code, text)) = fatal {
        ReadBack::Refused(at, code, text)
    } else if let Some(crash) = crash {
        ReadBack::Crashed(crash)
    } else if let Some(text) = violations.into_iter().next() {
        ReadBack::Wrong(text)
    } else if done {
        ReadBack::Whole(contents)
    } else {
        ReadBack::Crashed(format!("it ended early: {}", ended.status))
    })
}
