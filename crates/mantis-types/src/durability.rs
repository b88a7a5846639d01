//! The durability classes of a commit.

use std::fmt;
use std::str::FromStr;

/// What an acknowledged commit has survived. Ordered from weakest to strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// In the log's buffer in memory: lost when the process dies before the next write.
    None,
    /// In the log file, synced every N milliseconds: survives the death of the process, a power
    /// cut takes at most the last interval.
    Interval,
    /// On disk: survives a power cut. The default.
    #[default]
    Sync,
}

impl Durability {
    /// The word used in configuration, headers and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Interval => "interval",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Durability {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "none" => Ok(Self::None),
            "interval" => Ok(Self::Interval),
            "sync" => Ok(Self::Sync),
            _ => Err(()),
        }
    }
}
