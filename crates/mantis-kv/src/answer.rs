//! What the key-value model answers.

use bytes::Bytes;
use mantis_txn::Committed;
use mantis_types::Seq;

use crate::KvError;

/// The version of an entry that has not been committed yet: one that a transaction reads of its own.
pub const UNCOMMITTED: Seq = Seq::MAX;

/// A value with everything that was stored with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value; a slice of the stored record where it fits in one.
    pub value: Bytes,
    /// Media type.
    pub content_type: String,
    /// The commit that wrote this version: `version` and `ETag`. [`UNCOMMITTED`] for what the reading
    /// transaction has written itself.
    pub version: Seq,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Milliseconds left at the read's time, at least 1.
    pub ttl_ms: Option<u64>,
    /// When the first version was written, as far as known.
    pub created_ms: Option<u64>,
    /// When this version was written.
    pub modified_ms: Option<u64>,
    /// Labels for invalidation by tag.
    pub tags: Vec<String>,
}

/// Answer of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutDone {
    /// The commit; its Seq is the new version.
    pub committed: Committed,
    /// Whether the key was absent before.
    pub created: bool,
}

/// Answer of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteDone {
    /// The commit; `None` when there was nothing to delete.
    pub committed: Option<Committed>,
}

/// Answer of an increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncrementDone {
    /// The commit; its Seq is the new version.
    pub committed: Committed,
    /// The value after it.
    pub value: i64,
}

/// What one operation of a batch did.
#[derive(Debug)]
pub enum OpDone {
    /// A get; `None` when the key is absent.
    Got(Option<Entry>),
    /// A set.
    Set {
        /// Whether the key was absent before.
        created: bool,
        /// The new version.
        version: Seq,
    },
    /// A delete.
    Deleted {
        /// Whether there was something to delete.
        deleted: bool,
    },
    /// An increment.
    Incremented {
        /// The value after it.
        value: i64,
        /// The new version.
        version: Seq,
    },
}

/// Answer of a batch, in the order asked.
#[derive(Debug)]
pub struct BatchDone {
    /// One for each operation. With `atomic` none of them is an error.
    pub results: Vec<Result<OpDone, KvError>>,
    /// The (last) commit; `None` when nothing was written.
    pub committed: Option<Committed>,
}

/// A page of a list, from one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Keys in the order asked.
    pub items: Vec<ListItem>,
    /// All matching keys, expired ones left out; `None` when not asked for, or more than
    /// `Limits::count_scan_max`.
    pub total: Option<u64>,
    /// Give it as `cursor` for the next page; `None` on the last page.
    pub next_cursor: Option<Bytes>,
    /// The snapshot that was read.
    pub snapshot: Seq,
}

/// One key of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// The key.
    pub key: Bytes,
    /// The newest version.
    pub version: Seq,
    /// The value, when the list asked for values and the key holds plain bytes.
    pub entry: Option<Entry>,
}
