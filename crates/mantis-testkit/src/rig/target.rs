//! What a child writes to: the store itself, or one of the control programs that calibrate the rig.

use std::fmt;
use std::path::Path;

use mantis_types::Durability;

use super::control::{ControlKind, ControlStore};
use super::script::{Digest, Step};
use super::wire::Answer;

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
    /// The store; `small` gives it small buffers and segments, so that flushes and compactions happen.
    Store {
        /// Small buffers and segments.
        small: bool,
    },
    /// A control program.
    Control(ControlKind),
}

impl TargetKind {
    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Store { small: false } => "store",
            Self::Store { small: true } => "store-small",
            Self::Control(kind) => kind.word(),
        }
    }

    /// The target that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "store" => Some(Self::Store { small: false }),
            "store-small" => Some(Self::Store { small: true }),
            other => ControlKind::from_word(other).map(Self::Control),
        }
    }

    /// Opens it in `dir`, made when absent.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(self, dir: &Path) -> Result<Box<dyn Target>, Refusal> {
        match self {
            Self::Store { small } => todo_store(dir, small),
            Self::Control(kind) => Ok(Box::new(ControlStore::open(dir, kind)?)),
        }
    }
}
fn todo_store(_dir: &Path, _small: bool) -> Result<Box<dyn Target>, Refusal> {
    Err(Refusal::new("none", ""))
}
