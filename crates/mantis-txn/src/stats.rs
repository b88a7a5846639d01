//! What the transaction layer counts.

use mantis_engine::Counter;

/// Live counters.
#[derive(Debug, Default)]
pub(crate) struct TxnCounters {
    pub(crate) committed: Counter,
    pub(crate) expired: Counter,
    pub(crate) reclaimed: Counter,
    pub(crate) sweep_failures: Counter,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnStats {
    /// Commits that were answered.
    pub committed: u64,
    /// Entries that the sweep deleted because their time had come.
    pub expired: u64,
    /// Keys of emptied owners that were deleted in the background.
    pub reclaimed: u64,
    /// Rounds of the sweep that ended in an error; it tries again.
    pub sweep_failures: u64,
}
