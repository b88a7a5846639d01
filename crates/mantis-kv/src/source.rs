//! Where records are read from: a snapshot of the engine, or a transaction with its own changes.

use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use mantis_engine::{Direction, Engine, Key, Record, Snapshot};
use mantis_txn::Transaction;
use mantis_types::{OwnerId, ValueKind};

use crate::KvError;
use crate::answer::Entry;
use crate::chunks::Chunked;
use crate::keyspace::Keyspace;
use crate::kv::whole;

/// What to do with a row of a range.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Key, Record) -> Result<ControlFlow<()>, KvError>;

/// Encoded bounds: at or above the first, below the second.
pub(crate) type Span = (Vec<u8>, Vec<u8>);

/// Versioned records as one reader sees them.
pub(crate) trait Source {
    /// The record of an encoded key.
    fn get(&mut self, key: &[u8]) -> Result<Option<Record>, KvError>;

    /// The record of an encoded key that is going to be written.
    fn get_to_write(&mut self, key: &[u8]) -> Result<Option<Record>, KvError>;

    /// Shows the rows of a span in order, until it is told to stop.
    fn rows(&mut self, span: &Span, direction: Direction, visit: Visit<'_>) -> Result<(), KvError>;

    /// What expiry is compared with.
    fn now_ms(&self) -> u64;

    /// The entry in a record, or `None` when it has expired.
    fn entry(&mut self, key: Bytes, record: &Record) -> Result<Option<Entry>, KvError> {
        let now_ms = self.now_ms();
        let view = record.view();
        if view.expired(now_ms) {
            return Ok(None);
        }
        let value = match view.kind() {
            ValueKind::Bytes => record.payload_bytes(),
            ValueKind::Chunked => self.large_value(&Chunked::parse(view.payload())?)?,
            _ => return Err(KvError::WrongType),
        };
        Ok(Some(whole(key, value, record, now_ms)))
    }

    /// The entry of a key in one generation of its keyspace.
    fn entry_in(&mut self, generation: OwnerId, key: Bytes) -> Result<Option<Entry>, KvError> {
        let encoded = Keyspace::key(generation, &key)?;
        match self.get(encoded.as_bytes())? {
            Some(record) => self.entry(key, &record),
            None => Ok(None),
        }
    }

    /// The bytes of a large value whose record this source sees.
    fn large_value(&mut self, chunked: &Chunked) -> Result<Bytes, KvError> {
        let mut value = chunked.begin()?;
        self.rows(&chunked.span(), Direction::Forward, &mut |_, record| {
            value.push(record.view().payload())?;
            Ok(ControlFlow::Continue(()))
        })?;
        value.finish()
    }
}

/// A moment of the engine.
pub(crate) struct At<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) snapshot: Snapshot,
    pub(crate) now_ms: u64,
}

impl Source for At<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Record>, KvError> {
        Ok(self.engine.get(&self.snapshot, key)?)
    }

    fn get_to_write(&mut self, key: &[u8]) -> Result<Option<Record>, KvError> {
        self.get(key)
    }

    fn rows(&mut self, span: &Span, direction: Direction, visit: Visit<'_>) -> Result<(), KvError> {
        let (from, to) = bounds(span);
        if span.0 >= span.1 {
            return Ok(());
        }
        for row in self.engine.scan(&self.snapshot, (from, to), direction)? {
            let (key, record) = row?;
            if visit(&key, record)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

impl Source for &mut Transaction {
    fn get(&mut self, key: &[u8]) -> Result<Option<Record>, KvError> {
        Ok(Transaction::get(self, key)?)
    }

    fn get_to_write(&mut self, key: &[u8]) -> Result<Option<Record>, KvError> {
        Ok(Transaction::get_to_write(self, key)?)
    }

    fn rows(&mut self, span: &Span, direction: Direction, visit: Visit<'_>) -> Result<(), KvError> {
        let (from, to) = bounds(span);
        if span.0 >= span.1 {
            return Ok(());
        }
        for row in self.scan(from, to, direction)? {
            let (key, record) = row?;
            if visit(&key, record)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        Transaction::now_ms(self)
    }
}

fn bounds(span: &Span) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(&span.0), Bound::Excluded(&span.1))
}
