//! Reference-counted keys and records, as memtables and tables hand them out.

use std::fmt;

use bytes::Bytes;
use lsm_tree::Slice;
use mantis_types::{RecordView, Seq};

use crate::EngineError;

/// A record as the engine holds it: header and payload. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Slice,
}

impl Record {
    /// Takes bytes of a memtable or table whose header has not been looked at yet.
    pub(crate) fn check(bytes: Slice) -> Result<Self, EngineError> {
        RecordView::parse(&bytes).map_err(EngineError::BadRecord)?;
        Ok(Self { bytes })
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
        RecordView::parse(&self.bytes).expect("the header was checked when the record was made")
    }

    /// The commit that wrote it.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.view().seq()
    }

    /// Header and payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload as shared bytes, without copying it. One small allocation.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        let header_len = self.bytes.len() - self.view().payload().len();
        Bytes::from_owner(self.bytes.clone()).slice(header_len..)
    }

    /// The same record in memory of its own: a record out of a table holds its whole block.
    pub(crate) fn detached(&self) -> Self {
        Self {
            bytes: Slice::from(self.as_bytes()),
        }
    }
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Record {
    /// Shows Seq and size only: values belong to their owners and not into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record(seq {}, {} bytes)", self.seq(), self.bytes.len())
    }
}

/// An encoded key as the engine holds it. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Slice,
}

impl Key {
    pub(crate) const fn new(bytes: Slice) -> Self {
        Self { bytes }
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
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
        write!(f, "Key({} bytes)", self.bytes.len())
    }
}
