//! What a commit of the feed has changed, in the words of this model.

use bytes::Bytes;
use mantis_txn::FeedCommit;
use mantis_txn::meta::{self, KEYSPACES};
use mantis_types::{
    Access, DatabaseId, Origin, RecordView, Space, ValueKind, WriteBatch, split_key,
};

use crate::KvError;
use crate::chunks::Chunked;
use crate::kv::Kv;

/// One change of the key-value model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key has a new value.
    Put(Written),
    /// A key is gone: deleted, or expired and swept.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Every key is gone, but for those that the same commit puts.
    Clear,
}

/// What a key holds from a commit on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The key.
    pub key: Bytes,
    /// The value, if it was asked for.
    pub value: Option<Bytes>,
    /// How long it is, in bytes.
    pub value_bytes: u64,
    /// Media type.
    pub content_type: String,
    /// Labels.
    pub tags: Vec<String>,
    /// When it expires, Unix time in milliseconds.
    pub expires_ms: Option<u64>,
}

/// Which changes somebody wants to know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Only keys that begin so.
    pub prefix: Bytes,
    /// Values, too.
    pub values: bool,
}

impl Kv {
    /// The changes of a commit, in key order. A large value that was written as chunks is one change;
    /// space that is taken back is none. Cost: the bytes of the commit, and a copy of the values that
    /// are wanted.
    ///
    /// # Errors
    /// `Corrupt` for a commit that is none of ours.
    pub fn changes(
        &self,
        _: Access,
        commit: &FeedCommit,
        filter: &ChangeFilter,
    ) -> Result<Vec<Change>, KvError> {
        let mut changes = Vec::new();
        if commit.origin() == Some(Origin::Reclaim) {
            return Ok(changes);
        }
        let keyspaces = meta::meta_key(DatabaseId::DEFAULT, KEYSPACES, &[])?;
        for (encoded, record) in commit.ops() {
            if encoded.starts_with(keyspaces.as_bytes()) && record.is_some() {
                changes.insert(0, Change::Clear);
                continue;
            }
            let (_, space, _, key) = split_key(encoded)?;
            if space != Space::Kv || !key.starts_with(&filter.prefix) {
                continue;
            }
            let key = Bytes::copy_from_slice(key);
            changes.push(match record {
                None => Change::Delete { key },
                Some(record) => Change::Put(written(key, record, commit.batch(), filter.values)?),
            });
        }
        Ok(changes)
    }
}

fn written(
    key: Bytes,
    record: &[u8],
    batch: &WriteBatch,
    values: bool,
) -> Result<Written, KvError> {
    let view = RecordView::parse(record)?;
    let (value, value_bytes) = match view.kind() {
        ValueKind::Bytes => {
            let payload = view.payload();
            let value = values.then(|| Bytes::copy_from_slice(payload));
            (value, payload.len() as u64)
        }
        ValueKind::Chunked => {
            let chunked = Chunked::parse(view.payload())?;
            let value = values.then(|| chunked.within(batch)).transpose()?;
            (value, chunked.len)
        }
        // A collection has no value of this model; it comes with its protocol.
        _ => (None, 0),
    };
    Ok(Written {
        key,
        value,
        value_bytes,
        content_type: view.content_type().as_str().to_owned(),
        tags: view.tags().map(str::to_owned).collect(),
        expires_ms: view.expiry_ms(),
    })
}
