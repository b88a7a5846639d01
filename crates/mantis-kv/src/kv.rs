//! The key-value store of one keyspace: the calls, their checks and their counters.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mantis_engine::{Direction, Engine, Ready, Record, Snapshot};
use mantis_txn::meta::{self};
use mantis_txn::{Committed, Counter, Store};
use mantis_types::{
    Access, DatabaseId, Durability, Limits, Seq, Space, ValueKind, WriteBatchBuilder,
};

use crate::KvError;
use crate::answer::{
    BatchDone, DeleteDone, Entry, IncrementDone, ListPage, OpDone, PutDone, UNCOMMITTED,
};
use crate::counting::{Counting, KeyCount};
use crate::keyspace::Keyspace;
use crate::list::Lister;
use crate::request::{Batch, BatchOp, Condition, Expiry, List, Put, Terms};
use crate::scan::EntryScan;
use crate::source::{At, Source};

/// Bytes that a record, its index entries and the batch's framing take beside key and value.
const OVERHEAD: u64 = 256;
/// A key for round trips; whether it is there does not matter.
const PROBE_KEY: Bytes = Bytes::from_static(b"\0probe");

/// The keys and values of one keyspace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kv {
    pub(crate) store: Store,
    pub(crate) keyspace: Arc<Keyspace>,
    counters: Arc<KvCounters>,
    counting: Arc<Counting>,
}

#[derive(Debug, Default)]
struct KvCounters {
    reads: Counter,
    writes: Counter,
    deletes: Counter,
    hits: Counter,
    misses: Counter,
}

/// Counts since the store was opened, over every door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvStats {
    /// Single values asked for.
    pub reads: u64,
    /// Values written, increments included.
    pub writes: u64,
    /// Keys deleted that were there.
    pub deletes: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
}

impl Kv {
    /// Opens keyspace `number`; it exists as soon as something is written to it.
    ///
    /// # Errors
    /// What reading its generation answers.
    pub fn open(store: Store, number: u32) -> Result<Self, KvError> {
        let keyspace = Arc::new(Keyspace::load(&store, number)?);
        Ok(Self {
            store,
            keyspace,
            counters: Arc::default(),
            counting: Arc::default(),
        })
    }

    /// The newest value, or `None` when the key is absent or expired. May read tables.
    ///
    /// # Errors
    /// `WrongType` for a collection, `TooLarge` for a key over the limit, `Corrupt`.
    pub fn get(&self, _: Access, key: Bytes) -> Result<Option<Entry>, KvError> {
        self.check_key(&key)?;
        let found = self.read(self.engine().snapshot(), key)?;
        self.count_read(found.is_some());
        Ok(found)
    }

    /// As [`Self::get`], but only if memory has the answer; never blocks.
    pub fn get_ready(&self, _: Access, key: &Bytes) -> Option<Result<Option<Entry>, KvError>> {
        let found = self.read_ready(key)?;
        if let Ok(found) = &found {
            self.count_read(found.is_some());
        }
        Some(found)
    }

    /// Makes the round trip of a [`Self::get`] that nobody asked for: it is not counted.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn probe(&self, _: Access) -> Result<(), KvError> {
        self.read(self.engine().snapshot(), PROBE_KEY).map(drop)
    }

    /// As [`Self::probe`], but only if memory has the answer; never blocks.
    pub fn probe_ready(&self, _: Access) -> Option<Result<(), KvError>> {
        Some(self.read_ready(&PROBE_KEY)?.map(drop))
    }

    fn read_ready(&self, key: &Bytes) -> Option<Result<Option<Entry>, KvError>> {
        if let Err(error) = self.check_key(key) {
            return Some(Err(error));
        }
        // No snapshot is needed for one key: readers would fight for its count of references. A clear
        // that begins after this look overlaps the read, which then is as if it came before.
        let generation = self.keyspace.settled(self.store.visible_seq())?;
        let encoded = match Keyspace::key(generation, key) {
            Ok(encoded) => encoded,
            Err(error) => return Some(Err(error.into())),
        };
        let now_ms = self.now_ms();
        let found = match self.engine().get_latest_ready(encoded.as_bytes()) {
            Ready::NeedsIo => return None,
            Ready::Absent => Ok(None),
            Ready::Found(record) => match record.view().kind() {
                ValueKind::Chunked => return None,
                _ if record.view().expired(now_ms) => Ok(None),
                ValueKind::Bytes => {
                    let value = record.payload_bytes();
                    Ok(Some(whole(key.clone(), value, &record, now_ms)))
                }
                _ => Err(KvError::WrongType),
            },
        };
        Some(found)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// `Precondition` when the condition does not hold, `TooLarge`, `InvalidTtl`, `WrongType` over a
    /// collection; nothing was changed. What a commit answers besides.
    pub fn put(&self, _: Access, put: Put, terms: impl Into<Terms>) -> Result<PutDone, KvError> {
        let ops = [BatchOp::Set(put)];
        let (mut done, committed) = self.unit(&ops, terms.into())?;
        match (done.pop(), committed) {
            (Some(OpDone::Set { created, .. }), Some(committed)) => {
                Ok(PutDone { committed, created })
            }
            _ => Err(KvError::Damaged),
        }
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(
        &self,
        _: Access,
        key: Bytes,
        condition: Condition,
        terms: impl Into<Terms>,
    ) -> Result<DeleteDone, KvError> {
        let ops = [BatchOp::Delete { key, condition }];
        let (_, committed) = self.unit(&ops, terms.into())?;
        Ok(DeleteDone { committed })
    }

    /// Adds to an integer; concurrent increments follow each other and never conflict.
    ///
    /// # Errors
    /// `NotAnInteger`, `Overflow`, `WrongType`, `TooLarge`; nothing was changed.
    pub fn increment(
        &self,
        _: Access,
        key: Bytes,
        by: i64,
        initial: Option<i64>,
        terms: impl Into<Terms>,
    ) -> Result<IncrementDone, KvError> {
        let ops = [BatchOp::Increment { key, by, initial }];
        let (mut done, committed) = self.unit(&ops, terms.into())?;
        match (done.pop(), committed) {
            (Some(OpDone::Incremented { value, .. }), Some(committed)) => {
                Ok(IncrementDone { committed, value })
            }
            _ => Err(KvError::Damaged),
        }
    }

    /// Several operations: with `atomic` one commit for all or nothing, else each for itself and
    /// one wait for durability at the end.
    ///
    /// # Errors
    /// With `atomic`: `Aborted`, which names the operation; nothing was changed. In both forms
    /// `TooLarge` for too many operations or bytes, before anything is done.
    pub fn batch(
        &self,
        access: Access,
        batch: &Batch,
        deadline: Option<Duration>,
    ) -> Result<BatchDone, KvError> {
        let terms = Terms {
            deadline,
            ..Terms::from(batch.durability)
        };
        self.batch_on(access, batch, terms)
    }

    /// The same on terms; of those and the batch the batch's durability counts.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub fn batch_on(&self, _: Access, batch: &Batch, terms: Terms) -> Result<BatchDone, KvError> {
        self.check_count(batch)?;
        if batch.ops.iter().all(|op| matches!(op, BatchOp::Get { .. })) {
            return self.batch_of_gets(batch);
        }
        let terms = Terms {
            durability: batch.durability,
            ..terms
        };
        if batch.atomic {
            let (done, committed) = self.unit(&batch.ops, terms)?;
            let results = done.into_iter().map(Ok).collect();
            return Ok(BatchDone { results, committed });
        }
        self.batch_one_by_one(batch, terms)
    }

    /// Whether a batch has no more operations than it may.
    pub(crate) fn check_count(&self, batch: &Batch) -> Result<(), KvError> {
        let (given, max) = (batch.ops.len(), self.limits().batch_ops_max);
        within("limits.batch_ops_max", max as u64, given as u64)
    }

    /// A page of keys, from one snapshot. Cost: the keys that are skipped, shown and counted.
    ///
    /// # Errors
    /// `TooLarge` for bounds over the key limit, `Corrupt`.
    pub fn list(&self, _: Access, list: &List) -> Result<ListPage, KvError> {
        self.check_list(list)?;
        self.lister().page(list)
    }

    /// Whole entries with a prefix, one after the other, from one snapshot. Nothing is read before
    /// the first is asked for.
    ///
    /// # Errors
    /// `TooLarge` for a prefix over the key limit; the items answer `Corrupt`.
    pub fn scan(&self, _: Access, prefix: &Bytes) -> Result<EntryScan, KvError> {
        self.check_key(prefix)?;
        let lister = self.lister();
        let list = List {
            prefix: prefix.clone(),
            ..List::default()
        };
        let span = lister.span(&list)?;
        let bounds = (
            Bound::Included(span.0.as_slice()),
            Bound::Excluded(span.1.as_slice()),
        );
        let rows = if span.0 < span.1 {
            Some(
                self.engine()
                    .scan(&lister.source.snapshot, bounds, Direction::Forward)?,
            )
        } else {
            None
        };
        let At {
            snapshot, now_ms, ..
        } = lister.source;
        Ok(EntryScan::new(self.store.clone(), snapshot, rows, now_ms))
    }

    /// How many live keys there are; `None` for more than `Limits::count_scan_max`. Cost: a scan.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn count(&self, _: Access) -> Result<Option<u64>, KvError> {
        let mut lister = self.lister();
        let whole = lister.span(&List::default())?;
        lister.count(&whole)
    }

    /// The same for statistics: exact up to 10,000 keys, else as of a moment ago, see [`KeyCount`].
    /// Cost: a scan of 10,000 keys at most, or of all of them once in a while: 1 % of a core,
    /// however often it is called.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn count_recent(&self, access: Access) -> Result<KeyCount, KvError> {
        let clock = self.store.env().clock();
        let max = self.limits().count_scan_max;
        self.counting.count(&**clock, max, || self.count(access))
    }

    /// Removes every key in O(1) at commit; the space is reclaimed in the background.
    ///
    /// # Errors
    /// What a commit answers.
    pub fn clear(&self, _: Access, durability: Durability) -> Result<Committed, KvError> {
        let id = self.store.new_id()?;
        self.store.admit(OVERHEAD)?;
        let record = Keyspace::record_key(self.keyspace.number)?;
        let latched = self.store.latch_all();
        let old = self.keyspace.newest();
        let mut batch = WriteBatchBuilder::default();
        meta::put_meta(&mut batch, &record, &id.get().to_le_bytes())?;
        let reclaim = meta::reclaim_key(DatabaseId::DEFAULT, Space::Kv, old)?;
        meta::put_meta(&mut batch, &reclaim, &[])?;
        // Readers must find the new generation before its Seq can become visible.
        let since = self.store.next_seq(&latched);
        self.keyspace.push(since, id);
        let started = self.store.start(&latched, batch.finish(), durability);
        if started.is_err() {
            self.keyspace.pop(since);
        }
        drop(latched);
        Ok(self.store.finish(started?)?)
    }

    /// Counts since the store was opened.
    #[must_use]
    pub fn stats(&self) -> KvStats {
        let c = &self.counters;
        KvStats {
            reads: c.reads.get(),
            writes: c.writes.get(),
            deletes: c.deletes.get(),
            hits: c.hits.get(),
            misses: c.misses.get(),
        }
    }

    pub(crate) fn read(&self, snapshot: Snapshot, key: Bytes) -> Result<Option<Entry>, KvError> {
        let generation = self.keyspace.at(snapshot.seq());
        self.at(snapshot).entry_in(generation, key)
    }

    /// The engine at a snapshot, now.
    pub(crate) fn at(&self, snapshot: Snapshot) -> At<'_> {
        At {
            engine: self.engine(),
            snapshot,
            now_ms: self.now_ms(),
        }
    }

    fn lister(&self) -> Lister<'_, At<'_>> {
        let snapshot = self.engine().snapshot();
        let seq = snapshot.seq();
        Lister {
            source: self.at(snapshot),
            limits: self.limits(),
            seq,
            generation: self.keyspace.at(seq),
        }
    }

    pub(crate) fn check_key(&self, key: &Bytes) -> Result<(), KvError> {
        within(
            "limits.key_bytes_max",
            self.limits().key_bytes_max as u64,
            key.len() as u64,
        )
    }

    pub(crate) fn check_list(&self, list: &List) -> Result<(), KvError> {
        let bounds = [Some(&list.prefix), list.start.as_ref(), list.end.as_ref()];
        let mut bounds = bounds.into_iter().flatten();
        bounds.try_for_each(|key| self.check_key(key))
    }

    pub(crate) fn check_op(&self, op: &BatchOp) -> Result<u64, KvError> {
        self.check_key(op.key())?;
        if let BatchOp::Set(put) = op {
            let limits = self.limits();
            let tag_max = limits.tag_bytes_max as u64;
            within(
                "limits.max_value_size",
                limits.value_bytes_max,
                put.value.len() as u64,
            )?;
            within(
                "limits.tags_max",
                limits.tags_max as u64,
                put.tags.len() as u64,
            )?;
            for text in put.tags.iter().chain(&put.content_type) {
                within("limits.tag_bytes_max", tag_max, text.len() as u64)?;
            }
            let max_seconds = limits.ttl_seconds_max;
            let max_ms = max_seconds.saturating_mul(1000);
            let is_possible = match put.expiry {
                Expiry::AfterMs(ms) => (1..=max_ms).contains(&ms),
                Expiry::AtMs(ms) => ms.saturating_sub(self.now_ms()) <= max_ms,
                Expiry::Never | Expiry::Keep => true,
            };
            if !is_possible {
                return Err(KvError::InvalidTtl { max_seconds });
            }
        }
        Ok(op_bytes(op))
    }

    pub(crate) fn count_read(&self, found: bool) {
        self.counters.reads.add(1);
        if found {
            &self.counters.hits
        } else {
            &self.counters.misses
        }
        .add(1);
    }

    pub(crate) fn count_done(&self, done: &[OpDone]) {
        for op in done {
            match op {
                OpDone::Got(found) => self.count_read(found.is_some()),
                OpDone::Set { .. } | OpDone::Incremented { .. } => self.counters.writes.add(1),
                OpDone::Deleted { deleted } => self.counters.deletes.add(u64::from(*deleted)),
            }
        }
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.store.engine()
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.store.limits()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.store.env().clock().now_ms()
    }
}

/// The entry of a record whose value has been found.
pub(crate) fn whole(key: Bytes, value: Bytes, record: &Record, now_ms: u64) -> Entry {
    let view = record.view();
    Entry {
        key,
        value,
        content_type: view.content_type().as_str().to_owned(),
        version: version_of(record),
        expires_ms: view.expiry_ms(),
        ttl_ms: view.expiry_ms().map(|at| at.saturating_sub(now_ms).max(1)),
        created_ms: view.created_ms(),
        modified_ms: view.modified_ms(),
        tags: view.tags().map(str::to_owned).collect(),
    }
}

/// The commit that wrote a record; a transaction's own records have none yet.
pub(crate) fn version_of(record: &Record) -> Seq {
    match record.seq() {
        Seq::ZERO => UNCOMMITTED,
        seq => seq,
    }
}

pub(crate) fn op_bytes(op: &BatchOp) -> u64 {
    let value = match op {
        BatchOp::Set(put) => put.value.len() + put.tags.iter().map(String::len).sum::<usize>(),
        _ => 0,
    };
    OVERHEAD + 2 * op.key().len() as u64 + value as u64
}

pub(crate) fn within(limit: &'static str, max: u64, given: u64) -> Result<(), KvError> {
    if given <= max {
        Ok(())
    } else {
        Err(KvError::TooLarge { limit, max, given })
    }
}
