//! The doors through which commits come.

use std::fmt;

/// Through which door a commit came. Stands in the log as one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The store itself: expiries and bookkeeping; and callers that did not say.
    #[default]
    Internal,
    /// The library, in process.
    Rust,
    /// HTTP.
    Http,
    /// The store itself, when it takes back the space of keys that were emptied before: it changes
    /// nothing that anybody sees.
    Reclaim,
    /// The Redis wire.
    Resp,
}

impl Origin {
    /// Every door.
    pub const ALL: [Self; 5] = [
        Self::Internal,
        Self::Rust,
        Self::Http,
        Self::Reclaim,
        Self::Resp,
    ];

    /// As it stands in the log.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Internal => 0,
            Self::Rust => 1,
            Self::Http => 2,
            Self::Reclaim => 3,
            Self::Resp => 4,
        }
    }

    /// The door of a byte in the log.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.byte() == byte)
    }

    /// The word used in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Rust => "rust",
            Self::Http => "http",
            Self::Reclaim => "reclaim",
            Self::Resp => "resp",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_door_has_a_byte_of_its_own() {
        for (place, origin) in Origin::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(origin.byte()), place);
            assert_eq!(Origin::from_byte(origin.byte()), Some(origin));
        }
        assert_eq!(Origin::from_byte(5), None);
    }
}
