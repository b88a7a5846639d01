//! What a commit of the feed has changed, in the words of this model.

use bytes::Bytes;
use mantis_txn::meta::{self, KEYSPACES};
use mantis_txn::{Before, FeedCommit, Known};
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
    Put {
        /// The new one.
        new: Written,
        /// The one before, if it was asked for.
        old: Option<Old>,
    },
    /// A key is gone: deleted, or expired and swept.
    Delete {
        /// The key.
        key: Bytes,
        /// What it held, if that was asked for.
        old: Option<Old>,
    },
    /// Every key is gone, but for those that the same commit puts.
    Clear,
}

/// What a key held before a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Old {
    /// Nothing.
    Absent,
    /// This; it may have expired, and not have been swept.
    Was(Box<Written>),
    /// It was written before one followed the commits, or one was too slow.
    Unknown,
}

/// What a key holds from a commit on, or held until then.
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
    /// What was there before, too.
    pub old: bool,
}

impl Kv {
    /// The changes of a commit, in key order. A large value that was written as chunks is one change;
    /// space that is taken back is none. With `before` they come with what was there before. Cost: the
    /// bytes of the commit, and a copy of the values that are wanted; with `before` a read for each key.
    ///
    /// # Errors
    /// `Corrupt` for a commit that is none of ours.
    pub fn changes(
        &self,
        _: Access,
        commit: &FeedCommit,
        filter: &ChangeFilter,
        before: Option<&Before>,
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
            let held = |before| held(&key, before, encoded, filter.values);
            let old = before.map(held).transpose()?;
            changes.push(match record {
                None => Change::Delete { key, old },
                Some(record) => {
                    let new = written(key, record, commit.batch(), filter.values)?;
                    Change::Put { new, old }
                }
            });
        }
        Ok(changes)
    }
}

/// What a key held before a commit.
fn held(key: &Bytes, before: &Before, encoded: &[u8], values: bool) -> Result<Old, KvError> {
    let record = match before.get(encoded)? {
        Known::Is(Some(record)) => record,
        Known::Is(None) => return Ok(Old::Absent),
        Known::Unknown => return Ok(Old::Unknown),
    };
    let view = record.view();
    let held = match view.kind() {
        ValueKind::Chunked => {
            let chunked = Chunked::parse(view.payload())?;
            let value = match values {
                true => match chunked.before(before)? {
                    Some(value) => Some(value),
                    None => return Ok(Old::Unknown),
                },
                false => None,
            };
            describe(key.clone(), &view, value, chunked.len)
        }
        _ => small(key.clone(), &view, values),
    };
    Ok(Old::Was(Box::new(held)))
}

fn written(
    key: Bytes,
    record: &[u8],
    batch: &WriteBatch,
    values: bool,
) -> Result<Written, KvError> {
    let view = RecordView::parse(record)?;
    if view.kind() != ValueKind::Chunked {
        return Ok(small(key, &view, values));
    }
    let chunked = Chunked::parse(view.payload())?;
    let value = values.then(|| chunked.within(batch)).transpose()?;
    Ok(describe(key, &view, value, chunked.len))
}

/// A value that stands in its record.
fn small(key: Bytes, view: &RecordView<'_>, values: bool) -> Written {
    // A collection has no value of this model; it comes with its protocol.
    let payload = match view.kind() {
        ValueKind::Bytes => Some(view.payload()),
        _ => None,
    };
    let value = payload.filter(|_| values).map(Bytes::copy_from_slice);
    let value_bytes = payload.map_or(0, <[u8]>::len) as u64;
    describe(key, view, value, value_bytes)
}

fn describe(key: Bytes, view: &RecordView<'_>, value: Option<Bytes>, value_bytes: u64) -> Written {
    Written {
        key,
        value,
        value_bytes,
        content_type: view.content_type().as_str().to_owned(),
        tags: view.tags().map(str::to_owned).collect(),
        expires_ms: view.expiry_ms(),
    }
}
