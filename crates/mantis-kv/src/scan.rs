//! Streams of whole entries from one snapshot, however many there are.

use bytes::Bytes;
use mantis_engine::{Scan, Snapshot};
use mantis_txn::Store;
use mantis_types::{ValueKind, split_key};

use crate::KvError;
use crate::answer::Entry;
use crate::source::{At, Source};

/// The entries with a prefix, in byte order, all from one snapshot, which it holds until it is
/// dropped. Expired entries and keys that hold collections are left out; what counts as expired is
/// fixed at its beginning. Memory: one batch of the engine's scan.
#[derive(Debug)]
pub struct EntryScan {
    store: Store,
    snapshot: Snapshot,
    rows: Option<Scan>,
    now_ms: u64,
}

impl EntryScan {
    pub(crate) const fn new(
        store: Store,
        snapshot: Snapshot,
        rows: Option<Scan>,
        now_ms: u64,
    ) -> Self {
        Self {
            store,
            snapshot,
            rows,
            now_ms,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, KvError> {
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        for row in rows {
            let (encoded, record) = row?;
            if !matches!(record.view().kind(), ValueKind::Bytes | ValueKind::Chunked) {
                continue;
            }
            let (_, _, _, user_key) = split_key(encoded.as_ref())?;
            let key = Bytes::copy_from_slice(user_key);
            let mut source = At {
                engine: self.store.engine(),
                snapshot: self.snapshot.clone(),
                now_ms: self.now_ms,
            };
            let entry = source.entry(key, &record)?;
            if entry.is_some() {
                return Ok(entry);
            }
        }
        Ok(None)
    }
}

impl Iterator for EntryScan {
    type Item = Result<Entry, KvError>;

    /// The next entry. Reads tables when its batch is used up. Ends after an error.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_entry().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.rows = None;
        }
        next
    }
}
