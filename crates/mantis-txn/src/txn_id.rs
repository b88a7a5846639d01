//! The numbers of transactions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which transaction: a number that its store gives out once and never again. A later transaction
/// has a greater one. It means nothing after the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxnId(u64);

impl TxnId {
    /// The transaction of that number, as [`Self::get`] told it.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives out the numbers of one store, from 1 on.
#[derive(Debug)]
pub(crate) struct TxnIds {
    next: AtomicU64,
}

impl TxnIds {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(1),
        }
    }

    /// A number that nobody has had. One atomic addition; the numbers order nothing else, and 2^64
    /// of them do not run out.
    pub(crate) fn give(&self) -> TxnId {
        TxnId(self.next.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_rise() {
        let ids = TxnIds::new();
        let (first, second) = (ids.give(), ids.give());
        assert!(first < second);
        assert_eq!(TxnId::new(second.get()), second);
        assert_eq!(
            (first.to_string(), second.to_string()),
            ("1".into(), "2".into())
        );
    }
}
