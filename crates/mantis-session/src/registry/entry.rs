//! One transaction of the registry: its place in turn, and what is shown of it meanwhile.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use mantis_kv::Committed;
use mantis_types::{Code, Isolation, Seq};
use parking_lot::Mutex;

use super::TransactionKey;
use crate::{Principal, Transaction};

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// It takes commands.
    Active,
    /// Its commit was answered.
    Committed,
    /// It was rolled back by its owner.
    RolledBack,
    /// Its commit was refused or its outcome is unknown, or it was chosen to break a deadlock.
    Failed,
    /// It was rolled back because nobody used it, or because it was open for too long.
    Expired,
}

impl TransactionState {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for TransactionState {
    /// As it stands in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RolledBack => "rolled back",
            other => other.as_str(),
        })
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Committed(Committed),
    RolledBack,
    /// The commit, or a command before it, has failed for good.
    Failed {
        code: Code,
        undecided: bool,
    },
    Expired,
}

impl Ending {
    pub(super) const fn state(self) -> TransactionState {
        match self {
            Self::Committed(_) => TransactionState::Committed,
            Self::RolledBack => TransactionState::RolledBack,
            Self::Failed { .. } => TransactionState::Failed,
            Self::Expired => TransactionState::Expired,
        }
    }
}

/// What stands in the turn.
#[derive(Debug)]
pub(super) enum Place {
    /// Boxed, since most entries are ended ones.
    Open(Box<Transaction>),
    Ended(Ending),
}

/// What of a transaction changes, for those who only look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) state: TransactionState,
    pub(super) writes: usize,
    /// When its last command ended, by the environment's monotonic clock.
    pub(super) used_at: Duration,
    pub(super) ended_at: Option<Duration>,
}

/// A transaction that requests may join by its key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: TransactionKey,
    pub(super) principal: Principal,
    pub(super) isolation: Isolation,
    pub(super) read_only: bool,
    /// The newest commit that it saw when it began.
    pub(super) snapshot: Seq,
    pub(super) begun_at: Duration,
    /// Longest life from `begun_at` on.
    pub(super) life: Duration,
    /// One request at a time, in the order of asking: the turn. Longest hold: one command or the
    /// commit, on a thread that may block.
    pub(super) turn: Arc<tokio::sync::Mutex<Place>>,
    /// Guards what is shown while a request has the turn. Taken with or without the turn, never
    /// before it. Longest hold: a copy.
    pub(super) shown: Mutex<Shown>,
    /// How many wait for the turn or have it.
    pub(super) in_turn: AtomicUsize,
}

impl Entry {
    pub(super) fn is_open(&self) -> bool {
        self.shown.lock().state == TransactionState::Active
    }

    /// When it will be rolled back if nobody uses it.
    pub(super) fn ends_at(&self, idle: Duration) -> Duration {
        let used_at = self.shown.lock().used_at;
        (used_at + idle).min(self.begun_at + self.life)
    }

    /// Ends it: the transaction in `place` goes.
    pub(super) fn end(&self, place: &mut Place, ending: Ending, now: Duration) {
        let gone = std::mem::replace(place, Place::Ended(ending));
        let mut shown = self.shown.lock();
        shown.state = ending.state();
        shown.ended_at = Some(now);
        drop(shown);
        drop(gone);
    }
}

/// Counts a request for as long as it waits for the turn or has it.
#[derive(Debug)]
pub(super) struct InTurn(Arc<Entry>);

impl InTurn {
    /// `None` when `max` are there already.
    pub(super) fn enter(entry: &Arc<Entry>, max: usize) -> Option<Self> {
        let before = entry.in_turn.fetch_add(1, SeqCst);
        let counted = Self(Arc::clone(entry));
        (before <= max).then_some(counted)
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        self.0.in_turn.fetch_sub(1, SeqCst);
    }
}
