//! What a child writes to: the store itself, or one of the control programs that calibrate the rig.

use std::fmt;
use std::path::Path;

use mantis_types::{Code, Durability, ErrorKind};

use super::control::{ControlKind, ControlStore};
use super::script::{Digest, Step};
use super::store::MantisStore;
use super::wire::Answer;

/// The code of a refusal that says that two ways of reading disagree: no error, but a finding.
pub const WRONG: &str = "wrong";

/// Something that keeps what a script writes.
pub trait Target: Send + Sync {
    /// Does one step; returns when it is as durable as `class` says.
    ///
    /// # Errors
    /// When the step is refused.
    fn run(&self, step: &Step, class: Durability) -> Result<Done, Refusal>;

    /// Gives every pair to `each`, in key order, having read them on every way that there is.
    ///
    /// # Errors
    /// When a read fails, or two ways of reading disagree.
    fn read_all(&self, each: &mut dyn FnMut(&[u8], u64, Digest)) -> Result<(), Refusal>;

    /// Reads one key.
    ///
    /// # Errors
    /// When the read fails.
    fn get(&self, key: &[u8]) -> Result<Option<(u64, Digest)>, Refusal>;

    /// Whether a flush and a compaction are running.
    fn phase(&self) -> (bool, bool) {
        (false, false)
    }

    /// Writes the memtables to tables.
    ///
    /// # Errors
    /// When it fails.
    fn flush(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Merges all tables.
    ///
    /// # Errors
    /// When it fails.
    fn compact(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Makes a copy of the store that can be opened by itself.
    ///
    /// # Errors
    /// When it fails.
    fn checkpoint(&self, dir: &Path) -> Result<(), Refusal>;

    /// Shuts down in good order.
    ///
    /// # Errors
    /// When it fails.
    fn close(&self) -> Result<(), Refusal>;
}

/// An acknowledged step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The commit; 0 when nothing was written.
    pub seq: u64,
    /// What it answered.
    pub answer: Answer,
}

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The machine word of the error.
    pub code: String,
    /// The error and its causes.
    pub text: String,
    /// Whether the call may have taken effect all the same.
    pub unknown: bool,
    /// Whether no write may succeed any more until the store is opened anew.
    pub is_final: bool,
}

impl Refusal {
    /// A refusal with a code of the product, that surely had no effect.
    #[must_use]
    pub fn of(code: Code, text: impl fmt::Display) -> Self {
        Self {
            is_final: code.kind() == ErrorKind::ReadOnly,
            ..Self::new(code.as_str(), text)
        }
    }

    /// A refusal that surely had no effect.
    #[must_use]
    pub fn new(code: &str, text: impl fmt::Display) -> Self {
        Self {
            code: code.to_owned(),
            text: text.to_string(),
            unknown: false,
            is_final: false,
        }
    }
}

/// Which target, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The store.
    Store(StoreSize),
    /// A control program.
    Control(ControlKind),
}

impl TargetKind {
    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Store(size) => size.word(),
            Self::Control(kind) => kind.word(),
        }
    }

    /// The target that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let store = StoreSize::ALL.into_iter().find(|size| size.word() == word);
        store
            .map(Self::Store)
            .or_else(|| ControlKind::from_word(word).map(Self::Control))
    }

    /// Whether it is the store, and no control.
    #[must_use]
    pub const fn is_store(self) -> bool {
        matches!(self, Self::Store(_))
    }

    /// Whether it comes to a halt where a kill must find it, and says so as a flush.
    #[must_use]
    pub fn halts(self) -> bool {
        self == Self::Control(ControlKind::HalfBatch)
    }

    /// Opens it in `dir`, made when absent.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(self, dir: &Path) -> Result<Box<dyn Target>, Refusal> {
        match self {
            Self::Store(size) => Ok(Box::new(MantisStore::open(dir, size)?)),
            Self::Control(kind) => Ok(Box::new(ControlStore::open(dir, kind)?)),
        }
    }
}

/// With which options the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSize {
    /// The defaults, as users run it.
    Default,
    /// Small buffers and segments, so that flushes, compactions and rotations happen all the time.
    Small,
    /// Small, and without a reserve of free disk space.
    Tight,
    /// A memory budget for a machine with 200 MiB.
    Capped,
}

impl StoreSize {
    /// Every size.
    pub const ALL: [Self; 4] = [Self::Default, Self::Small, Self::Tight, Self::Capped];

    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "store",
            Self::Small => "store-small",
            Self::Tight => "store-tight",
            Self::Capped => "store-capped",
        }
    }
}
