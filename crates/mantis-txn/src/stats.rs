//! What the transaction layer counts.

use mantis_engine::Counter;
use mantis_types::Isolation;

use crate::{FeedStats, LockStats, WatchStats};

/// Live counters.
#[derive(Debug, Default)]
pub(crate) struct TxnCounters {
    pub(crate) committed: Counter,
    /// Those of them that transactions asked for.
    pub(crate) of_transactions: Counter,
    pub(crate) levels: Levels,
    pub(crate) begun: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) rolled_back: Counter,
    pub(crate) expired: Counter,
    pub(crate) reclaimed: Counter,
    pub(crate) sweep_failures: Counter,
}

/// Counters of each level.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    read_committed: LevelCounters,
    repeatable_read: LevelCounters,
    snapshot: LevelCounters,
    serializable: LevelCounters,
}

/// How transactions of one level ended.
#[derive(Debug, Default)]
pub(crate) struct LevelCounters {
    pub(crate) committed: Counter,
    pub(crate) rolled_back: Counter,
}

impl Levels {
    pub(crate) const fn of(&self, level: Isolation) -> &LevelCounters {
        match level {
            Isolation::ReadCommitted => &self.read_committed,
            Isolation::RepeatableRead => &self.repeatable_read,
            Isolation::Snapshot => &self.snapshot,
            Isolation::Serializable => &self.serializable,
        }
    }

    pub(crate) fn stats(&self) -> [LevelStats; Isolation::ALL.len()] {
        Isolation::ALL.map(|isolation| {
            let counters = self.of(isolation);
            LevelStats {
                isolation,
                committed: counters.committed.get(),
                rolled_back: counters.rolled_back.get(),
            }
        })
    }
}

/// How transactions of one level ended, since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// The level.
    pub isolation: Isolation,
    /// With a commit that was answered, also of one that had changed nothing.
    pub committed: u64,
    /// Without: rolled back, dropped or refused.
    pub rolled_back: u64,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnStats {
    /// Commits that were answered.
    pub committed: u64,
    /// Those of them that were single writes and batches, outside of transactions.
    pub autocommits: u64,
    /// How transactions ended, level by level.
    pub levels: [LevelStats; Isolation::ALL.len()],
    /// Read-write transactions that live now.
    pub active: u64,
    /// Transactions that have begun.
    pub begun: u64,
    /// Transactions whose commit, or lock, was refused because somebody else came first.
    pub conflicts: u64,
    /// Transactions that ended without a commit: rolled back, dropped or refused.
    pub rolled_back: u64,
    /// Row locks.
    pub locks: LockStats,
    /// Those who follow the commits.
    pub feed: FeedStats,
    /// Watched reads.
    pub watch: WatchStats,
    /// Keys that the conflict index remembers.
    pub noted_keys: u64,
    /// Entries that the sweep deleted because their time had come.
    pub expired: u64,
    /// Keys of emptied owners that were deleted in the background.
    pub reclaimed: u64,
    /// Rounds of the sweep that ended in an error; it tries again.
    pub sweep_failures: u64,
}
