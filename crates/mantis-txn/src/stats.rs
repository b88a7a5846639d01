//! What the transaction layer counts.

use mantis_engine::Counter;

use crate::LockStats;

/// Live counters.
#[derive(Debug, Default)]
pub(crate) struct TxnCounters {
    pub(crate) committed: Counter,
    pub(crate) begun: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) rolled_back: Counter,
    pub(crate) expired: Counter,
    pub(crate) reclaimed: Counter,
    pub(crate) sweep_failures: Counter,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnStats {
    /// Commits that were answered.
    pub committed: u64,
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
    /// Keys that the conflict index remembers.
    pub noted_keys: u64,
    /// Entries that the sweep deleted because their time had come.
    pub expired: u64,
    /// Keys of emptied owners that were deleted in the background.
    pub reclaimed: u64,
    /// Rounds of the sweep that ended in an error; it tries again.
    pub sweep_failures: u64,
}
