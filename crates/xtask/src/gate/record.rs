//! What a part has come to so far, kept in `target/gate/state` so that a killed gate goes on.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// A record keeps at most this many findings in words.
const FINDINGS_MAX: usize = 40;

/// Figures by subject (the store, each control) and name.
pub(super) type Figures = BTreeMap<String, BTreeMap<String, u64>>;

/// What became of a part, or of one of its slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Not whole yet, and nothing wrong so far.
    #[default]
    Partial,
    /// Whole, nothing wrong, and every control failed as it must.
    Passed,
    /// Something is wrong with what is tested.
    Failed,
    /// A control did not fail as it must: the part proves nothing.
    Uncalibrated,
    /// This machine cannot run it.
    Skipped,
    /// The part could not be run to an end; nothing is said about the store.
    Broken,
}

impl Outcome {
    /// As the table says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Passed => "Passed",
            Self::Failed => "FAILED",
            Self::Uncalibrated => "UNCALIBRATED",
            Self::Skipped => "SKIP",
            Self::Broken => "BROKEN",
        }
    }
}

/// What one slice brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Slice {
    /// What became of it; a good slice has passed.
    pub(super) outcome: Outcome,
    /// Why it was skipped.
    #[serde(default)]
    pub(super) reason: String,
    /// Its figures.
    #[serde(default)]
    pub(super) figures: Figures,
    /// What must not be, in words.
    #[serde(default)]
    pub(super) findings: Vec<String>,
}

/// A part's sums over its slices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The key of the sources that were exercised.
    pub(super) sources: String,
    /// The first slice's seed; those of later ones follow from it.
    pub(super) seed: u64,
    /// The commit of the first slice, with a word when there were changes beside it.
    pub(super) commit: String,
    /// Units that make it whole.
    pub(super) size: u64,
    /// Units done.
    pub(super) done: u64,
    /// Slices done.
    pub(super) slices: u64,
    /// Sums over the slices.
    pub(super) figures: Figures,
    /// What must not be, in words.
    pub(super) findings: Vec<String>,
    /// What became of it.
    pub(super) outcome: Outcome,
    /// Why it is not whole, was skipped or failed.
    pub(super) note: String,
    /// Wall time of all slices.
    pub(super) seconds: f64,
    /// Where it ran.
    pub(super) machine: Machine,
}

impl Record {
    /// Adds what a slice of `units` brought. The first failure stays.
    pub(super) fn add(&mut self, units: u64, slice: Slice, seconds: f64) {
        self.slices += 1;
        self.done += units;
        self.seconds += seconds;
        merge(&mut self.figures, &slice.figures);
        self.findings.extend(slice.findings);
        self.findings.truncate(FINDINGS_MAX);
        match slice.outcome {
            Outcome::Passed | Outcome::Partial => {}
            bad => {
                self.outcome = bad;
                self.note = slice.reason;
            }
        }
    }

    /// Whether all units are done.
    pub(super) const fn is_whole(&self) -> bool {
        self.done >= self.size
    }

    /// Whether running on cannot change the verdict: a red part is not run again until it is green.
    pub(super) const fn is_decided(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Uncalibrated)
    }
}

/// Adds figures; the name of a figure that is a maximum begins with `peak`.
fn merge(into: &mut Figures, from: &Figures) {
    for (subject, figures) in from {
        let sums = into.entry(subject.clone()).or_default();
        for (name, &figure) in figures {
            let sum = sums.entry(name.clone()).or_default();
            *sum = if name.starts_with("peak") {
                figure.max(*sum)
            } else {
                sum.saturating_add(figure)
            };
        }
    }
}

/// `target/gate`: records, locks, logs, corpora.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens it; made when absent.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let dir = root.join("target/gate");
        for below in ["state", "lock", "log"] {
            std::fs::create_dir_all(dir.join(below)).context("cannot make target/gate")?;
        }
        Ok(Self { dir })
    }

    /// A path below it.
    pub(super) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.join(below)
    }

    /// Takes the part for this process; `None` while another one runs it. Held until dropped.
    ///
    /// # Errors
    /// When the lock cannot be asked for.
    pub(super) fn lock(&self, part: &str) -> Result<Option<File>> {
        let file = File::create(self.path(format!("lock/{part}")))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock a part"),
        }
    }

    /// The part's record, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or understood; deleting the file forgets it.
    pub(super) fn load(&self, part: &str) -> Result<Option<Record>> {
        let path = self.path(format!("state/{part}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&path)?;
        serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} is no record of a part", path.display()))
    }

    /// Stores the record; a kill in between leaves the one before.
    ///
    /// # Errors
    /// When it cannot be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "a power cut may take a slice of a tool's state; a kill may not tear it"
    )]
    pub(super) fn save(&self, part: &str, record: &Record) -> Result<()> {
        let (path, new) = (
            self.path(format!("state/{part}.json")),
            self.path(format!("state/{part}.new")),
        );
        std::fs::write(&new, serde_json::to_vec_pretty(record)?)?;
        std::fs::rename(&new, &path).context("cannot store the state of a part")
    }
}

#[cfg(test)]
mod tests;
