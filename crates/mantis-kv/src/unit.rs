//! A unit of work: operations that read the newest versions and end in one commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use mantis_engine::Record;
use mantis_txn::{meta, reclaim_members};
use mantis_types::{
    ContentType, DatabaseId, Limits, OwnerId, RecordBuilder, Seq, ValueKind, WriteBatch,
    WriteBatchBuilder,
};

use crate::KvError;
use crate::answer::{Entry, UNCOMMITTED};
use crate::chunks::Chunked;
use crate::keyspace::Keyspace;
use crate::kv::version_of;
use crate::request::{Condition, Expiry, Put};
use crate::source::Source;

/// Reads and staged writes, under latches or in a transaction. Later operations see what earlier
/// ones staged.
pub(crate) struct Unit<'a, S> {
    source: S,
    limits: &'a Limits,
    generation: OwnerId,
    now_ms: u64,
    slots: BTreeMap<Bytes, Slot>,
}

struct Slot {
    stored: Option<Record>,
    staged: Option<Staged>,
}

enum Staged {
    Put(Box<NewValue>),
    Deleted,
}

struct NewValue {
    value: Bytes,
    content_type: Option<String>,
    tags: Vec<String>,
    expires_ms: Option<u64>,
    created_ms: Option<u64>,
}

/// What an operation finds under its key.
struct Found {
    version: Seq,
    expires_ms: Option<u64>,
    created_ms: Option<u64>,
}

impl<'a, S: Source> Unit<'a, S> {
    pub(crate) fn new(source: S, limits: &'a Limits, generation: OwnerId) -> Self {
        Self {
            now_ms: source.now_ms(),
            source,
            limits,
            generation,
            slots: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, key: &Bytes) -> Result<Option<Entry>, KvError> {
        match self.slots.get(key).map(|slot| (&slot.staged, &slot.stored)) {
            Some((Some(Staged::Deleted), _) | (None, None)) => Ok(None),
            Some((Some(Staged::Put(new)), _)) => Ok(Some(staged_entry(key, new, self.now_ms))),
            Some((None, Some(record))) => self.source.entry(key.clone(), record),
            None => {
                let encoded = Keyspace::key(self.generation, key)?;
                match self.source.get(encoded.as_bytes())? {
                    Some(record) => self.source.entry(key.clone(), &record),
                    None => Ok(None),
                }
            }
        }
    }

    /// Stages a put; answers whether the key was absent.
    pub(crate) fn put(&mut self, put: &Put) -> Result<bool, KvError> {
        let found = self.found(&put.key)?;
        check(put.condition, found.as_ref())?;
        let expires_ms = match put.expiry {
            Expiry::Never => None,
            Expiry::AfterMs(ms) => Some(self.now_ms.saturating_add(ms)),
            Expiry::AtMs(ms) => Some(ms),
            Expiry::Keep => found.as_ref().and_then(|f| f.expires_ms),
        };
        let new = NewValue {
            value: put.value.clone(),
            content_type: put.content_type.clone(),
            tags: put.tags.clone(),
            expires_ms,
            created_ms: found.as_ref().and_then(|f| f.created_ms),
        };
        self.slot(&put.key)?.staged = Some(Staged::Put(Box::new(new)));
        Ok(found.is_none())
    }

    /// Stages a delete; answers whether there was something to delete.
    pub(crate) fn delete(&mut self, key: &Bytes, condition: Condition) -> Result<bool, KvError> {
        let found = self.found(key)?;
        check(condition, found.as_ref())?;
        if found.is_some() {
            self.slot(key)?.staged = Some(Staged::Deleted);
        }
        Ok(found.is_some())
    }

    /// Stages an addition; answers the new value. The expiry stays.
    pub(crate) fn increment(
        &mut self,
        key: &Bytes,
        by: i64,
        initial: Option<i64>,
    ) -> Result<i64, KvError> {
        self.slot(key)?;
        let old = self.get(key)?;
        let base = match &old {
            Some(entry) => parse_integer(&entry.value).ok_or(KvError::NotAnInteger)?,
            None => initial.unwrap_or(0),
        };
        let value = base.checked_add(by).ok_or(KvError::Overflow)?;
        let content_type = old
            .as_ref()
            .map_or(ContentType::Text.as_str(), |e| &e.content_type);
        let new = NewValue {
            value: value.to_string().into(),
            content_type: Some(content_type.to_owned()),
            tags: old.as_ref().map(|e| e.tags.clone()).unwrap_or_default(),
            expires_ms: old.as_ref().and_then(|e| e.expires_ms),
            created_ms: old.as_ref().and_then(|e| e.created_ms),
        };
        self.slot(key)?.staged = Some(Staged::Put(Box::new(new)));
        Ok(value)
    }

    /// The one commit of everything staged; `None` when nothing changes. `ids` are fresh ids, at
    /// least one for each put over the chunk limit.
    pub(crate) fn into_batch(self, ids: Vec<OwnerId>) -> Result<Option<WriteBatch>, KvError> {
        let mut batch = WriteBatchBuilder::with_capacity(256);
        let mut ids = ids.into_iter();
        for (user_key, slot) in &self.slots {
            let Some(staged) = &slot.staged else { continue };
            let key = Keyspace::key(self.generation, user_key)?;
            if let Some(old) = &slot.stored {
                tidy_up_after(&mut batch, key.as_bytes(), old)?;
            }
            match staged {
                Staged::Deleted if slot.stored.is_some() => batch.delete(key.as_bytes())?,
                Staged::Deleted => {}
                Staged::Put(new) => self.write_value(&mut batch, key.as_bytes(), new, &mut ids)?,
            }
        }
        Ok((!batch.is_empty()).then(|| batch.finish()))
    }

    fn write_value(
        &self,
        batch: &mut WriteBatchBuilder,
        key: &[u8],
        new: &NewValue,
        ids: &mut impl Iterator<Item = OwnerId>,
    ) -> Result<(), KvError> {
        let content_type = new.content_type.as_deref().map(ContentType::from_text);
        let header = |kind| {
            RecordBuilder::new(kind)
                .content_type(content_type.unwrap_or_default())
                .expiry_ms(new.expires_ms)
                .modified_ms(self.now_ms)
                .created_ms(new.created_ms)
                .tags(&new.tags)
        };
        if new.value.len() > self.limits.chunk_bytes {
            let id = ids.next().ok_or(KvError::Damaged)?;
            let chunked = Chunked::of(id, &new.value, self.limits.chunk_bytes)?;
            chunked.write(&new.value, batch)?;
            batch.put_with(key, |out| {
                header(ValueKind::Chunked).write(&chunked.payload(), out)
            })?;
        } else {
            batch.put_with(key, |out| header(ValueKind::Bytes).write(&new.value, out))?;
        }
        if let Some(at) = new.expires_ms {
            let entry = meta::expiry_key(DatabaseId::DEFAULT, at, key)?;
            meta::put_meta(batch, &entry, &[])?;
        }
        Ok(())
    }

    fn slot(&mut self, key: &Bytes) -> Result<&mut Slot, KvError> {
        if !self.slots.contains_key(key) {
            let encoded = Keyspace::key(self.generation, key)?;
            let stored = self.source.get_to_write(encoded.as_bytes())?;
            self.slots.insert(
                key.clone(),
                Slot {
                    stored,
                    staged: None,
                },
            );
        }
        Ok(self
            .slots
            .get_mut(key)
            .expect("inserted just above when it was absent"))
    }

    fn found(&mut self, key: &Bytes) -> Result<Option<Found>, KvError> {
        let now_ms = self.now_ms;
        let slot = self.slot(key)?;
        match (&slot.staged, &slot.stored) {
            (Some(Staged::Deleted), _) | (None, None) => Ok(None),
            (Some(Staged::Put(new)), _) => Ok(Some(Found {
                version: UNCOMMITTED,
                expires_ms: new.expires_ms,
                created_ms: new.created_ms,
            })),
            (None, Some(record)) => {
                let view = record.view();
                if view.expired(now_ms) {
                    return Ok(None);
                }
                if !matches!(view.kind(), ValueKind::Bytes | ValueKind::Chunked) {
                    return Err(KvError::WrongType);
                }
                Ok(Some(Found {
                    version: version_of(record),
                    expires_ms: view.expiry_ms(),
                    created_ms: view.created_ms(),
                }))
            }
        }
    }
}

/// Queues what hangs below the version that goes away, and drops its entry in the expiry index.
fn tidy_up_after(batch: &mut WriteBatchBuilder, key: &[u8], old: &Record) -> Result<(), KvError> {
    reclaim_members(batch, DatabaseId::DEFAULT, old)?;
    if let Some(at) = old.view().expiry_ms() {
        batch.delete(meta::expiry_key(DatabaseId::DEFAULT, at, key)?.as_bytes())?;
    }
    Ok(())
}

fn check(condition: Condition, found: Option<&Found>) -> Result<(), KvError> {
    let current = found.map(|f| f.version);
    let holds = match condition {
        Condition::Always => true,
        Condition::IfAbsent => current.is_none(),
        Condition::IfPresent => current.is_some(),
        Condition::IfVersion(wanted) => current == Some(wanted),
    };
    if holds {
        Ok(())
    } else {
        Err(KvError::Precondition { current })
    }
}

fn staged_entry(key: &Bytes, new: &NewValue, now_ms: u64) -> Entry {
    Entry {
        key: key.clone(),
        value: new.value.clone(),
        content_type: new
            .content_type
            .clone()
            .unwrap_or_else(|| ContentType::Octets.as_str().to_owned()),
        version: UNCOMMITTED,
        expires_ms: new.expires_ms,
        ttl_ms: new.expires_ms.map(|at| at.saturating_sub(now_ms).max(1)),
        created_ms: new.created_ms.or(Some(now_ms)),
        modified_ms: Some(now_ms),
        tags: new.tags.clone(),
    }
}

/// A decimal 64-bit integer in its shortest form, as every client writes it.
pub(crate) fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
