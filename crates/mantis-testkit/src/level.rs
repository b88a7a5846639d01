//! The isolation levels, as the rig names them.

use std::fmt;

/// What a transaction is promised about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Each statement has a snapshot of its own.
    ReadCommitted,
    /// The same as [`Self::Snapshot`], under its SQL name.
    RepeatableRead,
    /// One snapshot; the first to commit a key wins.
    Snapshot,
    /// As if one after the other.
    Serializable,
}

impl Level {
    /// Every level, the weakest first.
    pub const ALL: [Self; 4] = [
        Self::ReadCommitted,
        Self::RepeatableRead,
        Self::Snapshot,
        Self::Serializable,
    ];

    /// The word of the command line and of the HTTP interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::RepeatableRead => "repeatable_read",
            Self::Snapshot => "snapshot",
            Self::Serializable => "serializable",
        }
    }

    /// The level that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == word)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
