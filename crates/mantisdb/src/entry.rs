//! One version of a key, and who can see it.

use bytes::Bytes;

/// One version of a key, made by one commit and perhaps ended by another. Times are commit
/// numbers: they order all changes of a store, and [`crate::LockFreeStorage::visible_seq`] is the
/// newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageEntry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The commit that made this version.
    pub created_at: u64,
    /// The commit that ended it by a delete; `None` while it stands.
    pub deleted_at: Option<u64>,
}

impl StorageEntry {
    /// Whether a reader at this snapshot sees the version: made at or before the snapshot and not
    /// deleted at or before it.
    ///
    /// ```
    /// # use mantisdb::{LockFreeStorage, StorageEntry};
    /// let entry = StorageEntry { key: "k".into(), value: "v".into(), created_at: 3, deleted_at: Some(5) };
    /// assert!(!entry.visible_to(2));
    /// assert!(entry.visible_to(3) && entry.visible_to(4));
    /// assert!(!entry.visible_to(5));
    /// ```
    #[must_use]
    pub fn visible_to(&self, snapshot_ts: u64) -> bool {
        self.created_at <= snapshot_ts
            && self.deleted_at.is_none_or(|deleted| deleted > snapshot_ts)
    }
}
