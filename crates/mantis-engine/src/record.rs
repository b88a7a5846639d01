//! Reference-counted keys and records, as memtables and tables hand them out.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use lsm_tree::Slice;
use mantis_types::{RecordView, Seq};

use crate::EngineError;
use crate::memtable::Body;
use crate::row_cache::Row;

/// A record as the engine holds it: header and payload. Cloning shares the bytes.
#[derive(Clone)]
pub struct Record {
    bytes: Shared,
}

/// Bytes where they stand: in a block of a table, in a version of a memtable, in the row cache.
#[derive(Clone)]
enum Shared {
    Slice(Slice),
    Version(Body),
    Row(Row),
}

impl Record {
    /// Takes bytes of a table whose header has not been looked at yet.
    pub(crate) fn check(bytes: Slice) -> Result<Self, EngineError> {
        Self::checked(Shared::Slice(bytes))
    }

    /// Takes a version of a memtable whose header has not been looked at yet.
    pub(crate) fn of_version(body: Body) -> Result<Self, EngineError> {
        Self::checked(Shared::Version(body))
    }

    /// Takes what the row cache keeps: it was a record before.
    pub(crate) const fn of_row(row: Row) -> Self {
        Self {
            bytes: Shared::Row(row),
        }
    }

    fn checked(bytes: Shared) -> Result<Self, EngineError> {
        let record = Self { bytes };
        RecordView::parse(record.as_bytes()).map_err(EngineError::BadRecord)?;
        Ok(record)
    }

    /// Copies record bytes into a record of its own.
    ///
    /// # Errors
    /// `BadRecord` when the bytes are no record.
    pub fn copy_from(bytes: &[u8]) -> Result<Self, EngineError> {
        Self::check(Slice::from(bytes))
    }

    /// The record, read in place. O(1), no allocation.
    ///
    /// # Panics
    /// Never: the header was checked when the record was made.
    #[must_use]
    pub fn view(&self) -> RecordView<'_> {
        RecordView::parse(self.as_bytes()).expect("the header was checked when the record was made")
    }

    /// The commit that wrote it.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.view().seq()
    }

    /// Header and payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Shared::Slice(slice) => slice,
            Shared::Version(body) => body.record(),
            Shared::Row(row) => row.record(),
        }
    }

    /// The payload as shared bytes, without copying it. One small allocation.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        let header_len = self.as_bytes().len() - self.view().payload().len();
        Bytes::from_owner(self.clone()).slice(header_len..)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Record {}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Record {
    /// Shows Seq and size only: values belong to their owners and not into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes().len();
        write!(f, "Record(seq {}, {bytes} bytes)", self.seq())
    }
}

/// An encoded key as the engine holds it. Cloning shares the bytes.
#[derive(Clone)]
pub struct Key {
    bytes: Name,
}

/// A key where it stands.
#[derive(Clone)]
enum Name {
    Slice(Slice),
    Version(Body),
}

impl Key {
    pub(crate) const fn new(bytes: Slice) -> Self {
        Self {
            bytes: Name::Slice(bytes),
        }
    }

    pub(crate) const fn of_version(body: Body) -> Self {
        Self {
            bytes: Name::Version(body),
        }
    }

    /// Copies the bytes of an encoded key.
    #[must_use]
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self::new(Slice::from(bytes))
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Name::Slice(slice) => slice,
            Name::Version(body) => body.key(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Key {
    /// Shows the length only: keys belong to their owners and not into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.as_bytes().len())
    }
}
