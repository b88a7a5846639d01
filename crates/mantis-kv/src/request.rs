//! What a caller asks of the key-value model.

use std::time::Duration;

use bytes::Bytes;
use mantis_types::{Durability, Origin, Seq};

/// When a write may replace what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    #[default]
    Always,
    /// Only when the key is absent or expired (`If-None-Match: *`).
    IfAbsent,
    /// Only when the key is present.
    IfPresent,
    /// Only when the newest version is this one (`If-Match`).
    IfVersion(Seq),
}

/// How long a written value lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// For ever; clears an older expiry.
    #[default]
    Never,
    /// This many milliseconds from the commit's time on; at least 1.
    AfterMs(u64),
    /// At this moment, Unix time in milliseconds; one that has passed is as good as a delete.
    AtMs(u64),
    /// As the version that is replaced; for ever when there is none.
    Keep,
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the answer waits for.
    pub durability: Durability,
    /// The moment, by the environment's monotonic clock, up to which the write waits for a row that a
    /// transaction has locked; `None` for ever.
    pub deadline: Option<Duration>,
    /// Through which door it came.
    pub origin: Origin,
}

impl From<Durability> for Terms {
    fn from(durability: Durability) -> Self {
        Self {
            durability,
            ..Self::default()
        }
    }
}

/// One put: the value and everything that is stored with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The key, any bytes.
    pub key: Bytes,
    /// The value, any bytes.
    pub value: Bytes,
    /// Media type; `None` is `application/octet-stream`.
    pub content_type: Option<String>,
    /// Labels for invalidation by tag.
    pub tags: Vec<String>,
    /// How long it lives.
    pub expiry: Expiry,
    /// When it may replace what is there.
    pub condition: Condition,
}

impl Put {
    /// An unconditional put without expiry.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            ..Self::default()
        }
    }
}

/// One operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOp {
    /// Reads a value.
    Get {
        /// The key.
        key: Bytes,
    },
    /// Writes a value.
    Set(Put),
    /// Removes a key.
    Delete {
        /// The key.
        key: Bytes,
        /// When it may be removed.
        condition: Condition,
    },
    /// Adds to an integer.
    Increment {
        /// The key.
        key: Bytes,
        /// What to add.
        by: i64,
        /// What an absent key counts as; `None` is 0.
        initial: Option<i64>,
    },
}

impl BatchOp {
    /// The key it is about.
    #[must_use]
    pub const fn key(&self) -> &Bytes {
        match self {
            Self::Get { key } | Self::Delete { key, .. } | Self::Increment { key, .. } => key,
            Self::Set(put) => &put.key,
        }
    }
}

/// Several operations at once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order in which they take effect.
    pub ops: Vec<BatchOp>,
    /// One commit for all, or each for itself.
    pub atomic: bool,
    /// What the answer waits for.
    pub durability: Durability,
}

/// Which keys a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Only keys that begin with these bytes.
    pub prefix: Bytes,
    /// Only keys at or above.
    pub start: Option<Bytes>,
    /// Only keys below.
    pub end: Option<Bytes>,
    /// From the last key to the first.
    pub reverse: bool,
    /// Page size; the model cuts it to `Limits::list_limit_max`.
    pub limit: usize,
    /// How many keys to skip first.
    pub offset: u64,
    /// Continue after this key (the `next_cursor` of the page before).
    pub cursor: Option<Bytes>,
    /// Read the values, too.
    pub values: bool,
    /// Count all matching keys, up to `Limits::count_scan_max`.
    pub total: bool,
}
