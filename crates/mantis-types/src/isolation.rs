//! The isolation levels of a transaction.

use std::fmt;
use std::str::FromStr;

/// What a transaction may see of others, and what makes its commit fail. Ordered from weakest to
/// strongest; `docs/guide/isolation.md` has an example of each promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Each statement reads what was committed before it. Writes take row locks at once.
    ReadCommitted,
    /// One snapshot; a commit fails when somebody else has written one of its keys since. The same as
    /// `Snapshot`; the name is the one of the SQL standard.
    RepeatableRead,
    /// One snapshot; a commit fails when somebody else has written one of its keys since. The default.
    #[default]
    Snapshot,
    /// As `Snapshot`, and a commit fails when somebody else has changed what it has read: as if
    /// transactions ran one after the other.
    Serializable,
}

impl Isolation {
    /// Every level.
    pub const ALL: [Self; 4] = [
        Self::ReadCommitted,
        Self::RepeatableRead,
        Self::Snapshot,
        Self::Serializable,
    ];

    /// The word used in configuration, requests and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::RepeatableRead => "repeatable_read",
            Self::Snapshot => "snapshot",
            Self::Serializable => "serializable",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_a_word_that_names_it() {
        for level in Isolation::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert_eq!("READ_COMMITTED".parse::<Isolation>(), Err(()));
    }
}
