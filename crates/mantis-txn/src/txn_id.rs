//! Numbers of transactions.
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The number of a transaction; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(u64);

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Default)]
pub(crate) struct TxnIds(AtomicU64);
impl TxnIds {
    pub(crate) fn next(&self) -> TxnId {
        TxnId(self.0.fetch_add(1, SeqCst) + 1)
    }
}
