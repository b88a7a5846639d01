//! The commit sequence number: the one order of all changes.

use std::fmt;

/// The number of a commit. Seqs start at 1, have no gaps, and are never used twice in a store.
///
/// `Seq::ZERO` stands before the first commit: a snapshot of an empty store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);
    /// After every commit; a read at `MAX` sees whatever has been applied.
    pub const MAX: Self = Self(u64::MAX >> 1);

    /// Wraps a number that was read from disk or from a counter.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The Seq of the commit after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The Seq of the commit before this one; zero stays zero.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
