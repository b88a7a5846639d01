//! The key-value store of one keyspace: the calls, their checks and their counters.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use mantis_engine::{Direction, Engine, Ready, Record, Snapshot};
use mantis_txn::meta::{self};
use mantis_txn::{Committed, Counter, Store};
use mantis_types::{
    Access, DatabaseId, Durability, Limits, OwnerId, Space, ValueKind, WriteBatchBuilder,
};

use crate::KvError;
use crate::answer::{BatchDone, DeleteDone, Entry, IncrementDone, ListPage, OpDone, PutDone};
use crate::chunks::Chunked;
use crate::keyspace::Keyspace;
use crate::list::Lister;
use crate::request::{Batch, BatchOp, Condition, Expiry, List, Put};
use crate::scan::EntryScan;
use crate::unit::{UNCOMMITTED, Unit};

/// Bytes that a record, its index entries and the batch's framing take beside key and value.
const OVERHEAD: u64 = 256;

/// The keys and values of one keyspace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kv {
    store: Store,
    keyspace: Arc<Keyspace>,
    counters: Arc<KvCounters>,
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
        })
    }

    /// The newest value, or `None` when the key is absent or expired. May read tables.
    ///
    /// # Errors
    /// `WrongType` for a collection, `TooLarge` for a key over the limit, `Corrupt`.
    pub fn get(&self, _: Access, key: Bytes) -> Result<Option<Entry>, KvError> {
        self.check_key(&key)?;
        let snapshot = self.engine().snapshot();
        let found = self.read(&snapshot, key)?;
        self.count_read(found.is_some());
        Ok(found)
    }

    /// As [`Self::get`], but only if memory has the answer; never blocks.
    pub fn get_ready(&self, _: Access, key: &Bytes) -> Option<Result<Option<Entry>, KvError>> {
        if let Err(error) = self.check_key(key) {
            return Some(Err(error));
        }
        let snapshot = self.engine().snapshot();
        let encoded = match Keyspace::key(self.keyspace.at(snapshot.seq()), key) {
            Ok(encoded) => encoded,
            Err(error) => return Some(Err(error.into())),
        };
        let found = match self.engine().get_ready(&snapshot, encoded.as_bytes()) {
            Ready::NeedsIo => return None,
            Ready::Absent => Ok(None),
            Ready::Found(record) if record.view().kind() == ValueKind::Chunked => return None,
            Ready::Found(record) => entry_of(
                self.engine(),
                &snapshot,
                key.clone(),
                &record,
                self.now_ms(),
            ),
        };
        if let Ok(found) = &found {
            self.count_read(found.is_some());
        }
        Some(found)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// `Precondition` when the condition does not hold, `TooLarge`, `InvalidTtl`, `WrongType` over a
    /// collection; nothing was changed. What a commit answers besides.
    pub fn put(&self, _: Access, put: Put, durability: Durability) -> Result<PutDone, KvError> {
        let ops = [BatchOp::Set(put)];
        let (mut done, committed) = self.unit(&ops, durability)?;
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
        durability: Durability,
    ) -> Result<DeleteDone, KvError> {
        let (_, committed) = self.unit(&[BatchOp::Delete { key, condition }], durability)?;
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
        durability: Durability,
    ) -> Result<IncrementDone, KvError> {
        let ops = [BatchOp::Increment { key, by, initial }];
        let (mut done, committed) = self.unit(&ops, durability)?;
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
    pub fn batch(&self, _: Access, batch: &Batch) -> Result<BatchDone, KvError> {
        let (given, max) = (batch.ops.len(), self.limits().batch_ops_max);
        within("limits.batch_ops_max", max as u64, given as u64)?;
        if batch.ops.iter().all(|op| matches!(op, BatchOp::Get { .. })) {
            return self.batch_of_gets(batch);
        }
        if batch.atomic {
            let (done, committed) = self.unit(&batch.ops, batch.durability)?;
            let results = done.into_iter().map(Ok).collect();
            return Ok(BatchDone { results, committed });
        }
        self.batch_one_by_one(batch)
    }

    /// A page of keys, from one snapshot. Cost: the keys that are skipped, shown and counted.
    ///
    /// # Errors
    /// `TooLarge` for bounds over the key limit, `Corrupt`.
    pub fn list(&self, _: Access, list: &List) -> Result<ListPage, KvError> {
        for bound in [Some(&list.prefix), list.start.as_ref(), list.end.as_ref()] {
            bound.map_or(Ok(()), |key| self.check_key(key))?;
        }
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
                    .scan(&lister.snapshot, bounds, Direction::Forward)?,
            )
        } else {
            None
        };
        let (snapshot, now_ms) = (lister.snapshot, lister.now_ms);
        Ok(EntryScan::new(self.store.clone(), snapshot, rows, now_ms))
    }

    /// How many live keys there are; `None` for more than `Limits::count_scan_max`. Cost: a scan.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn count(&self, _: Access) -> Result<Option<u64>, KvError> {
        let lister = self.lister();
        let whole = lister.span(&List::default())?;
        lister.count(&whole)
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
        let started = self.store.start(&latched, &batch.finish(), durability);
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

    /// All operations in one commit, reading the newest versions under latches.
    fn unit(
        &self,
        ops: &[BatchOp],
        durability: Durability,
    ) -> Result<(Vec<OpDone>, Option<Committed>), KvError> {
        let single = ops.len() == 1;
        let mut answer = Answer::new(self.limits());
        let (mut done, pending) = match self.start_unit(ops, durability, &mut answer) {
            Ok(started) => started,
            Err((index, error)) => {
                // The refusal may rest on a version that is not durable yet.
                self.store.settle()?;
                let cause = Box::new(error);
                return Err(if single {
                    *cause
                } else {
                    KvError::Aborted { index, cause }
                });
            }
        };
        let Some(pending) = pending else {
            self.store.settle()?;
            return Ok((done, None));
        };
        let committed = self.store.finish(pending)?;
        done.iter_mut().for_each(|d| stamp(d, committed));
        Ok((done, Some(committed)))
    }

    /// Checks, latches, stages and starts; an error names the operation.
    fn start_unit(
        &self,
        ops: &[BatchOp],
        durability: Durability,
        answer: &mut Answer,
    ) -> Result<(Vec<OpDone>, Option<mantis_txn::Pending>), (usize, KvError)> {
        let ids = self.prepare(ops)?;
        loop {
            let generation = self.keyspace.newest();
            let keys = ops.iter().map(|op| Keyspace::key(generation, op.key()));
            let keys = keys
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| (0, e.into()))?;
            let latched = match keys.as_slice() {
                [one] => self.store.latch(one.as_bytes()),
                many => self.store.latch_many(many.iter().map(|k| k.as_bytes())),
            };
            if self.keyspace.newest() != generation {
                continue;
            }
            let applied = self.store.snapshot_applied(&latched);
            let now_ms = self.now_ms();
            let mut unit = Unit::new(self.engine(), self.limits(), applied, generation, now_ms);
            let mut done = Vec::with_capacity(ops.len());
            for (index, op) in ops.iter().enumerate() {
                let staged = stage(&mut unit, op).and_then(|d| answer.take(d));
                done.push(staged.map_err(|error| (index, error))?);
            }
            let batch = unit.into_batch(ids).map_err(|error| (0, error))?;
            let Some(batch) = batch else {
                self.count_done(&done);
                return Ok((done, None));
            };
            let pending = self.store.start(&latched, &batch, durability);
            let pending = pending.map_err(|error| (0, error.into()))?;
            drop(latched);
            self.count_done(&done);
            return Ok((done, Some(pending)));
        }
    }

    /// Everything that must happen before latches are held: checks, room, fresh ids.
    fn prepare(&self, ops: &[BatchOp]) -> Result<Vec<OwnerId>, (usize, KvError)> {
        let mut bytes = 0;
        let mut large = 0;
        for (index, op) in ops.iter().enumerate() {
            bytes += self.check_op(op).map_err(|error| (index, error))?;
            if let BatchOp::Set(put) = op {
                large += usize::from(put.value.len() > self.limits().chunk_bytes);
            }
        }
        self.store.admit(bytes).map_err(|error| (0, error.into()))?;
        let ids = (0..large).map(|_| self.store.new_id());
        ids.collect::<Result<_, _>>()
            .map_err(|error| (0, error.into()))
    }

    fn batch_one_by_one(&self, batch: &Batch) -> Result<BatchDone, KvError> {
        let bytes = batch.ops.iter().map(op_bytes).sum();
        within(
            "limits.batch_bytes_max",
            self.limits().batch_bytes_max,
            bytes,
        )?;
        let mut results = Vec::with_capacity(batch.ops.len());
        let mut answer = Answer::new(self.limits());
        let mut last = None;
        for op in &batch.ops {
            match self.start_unit(std::slice::from_ref(op), batch.durability, &mut answer) {
                Ok((mut done, pending)) => {
                    let durability = batch.durability;
                    let committed = pending.as_ref().map(|p| Committed {
                        seq: p.seq(),
                        durability,
                    });
                    committed
                        .iter()
                        .for_each(|c| done.iter_mut().for_each(|d| stamp(d, *c)));
                    last = pending.or(last);
                    results.push(done.pop().ok_or(KvError::Damaged));
                }
                Err((_, error)) => results.push(Err(error)),
            }
        }
        let committed = last.map(|pending| self.store.finish(pending)).transpose()?;
        // Reads and refusals may rest on other people's commits that are not durable yet.
        self.store.settle()?;
        Ok(BatchDone { results, committed })
    }

    fn batch_of_gets(&self, batch: &Batch) -> Result<BatchDone, KvError> {
        let snapshot = self.engine().snapshot();
        let mut results = Vec::with_capacity(batch.ops.len());
        let mut answer = Answer::new(self.limits());
        for (index, op) in batch.ops.iter().enumerate() {
            let read = self
                .check_key(op.key())
                .and_then(|()| self.read(&snapshot, op.key().clone()))
                .and_then(|found| answer.take(OpDone::Got(found)));
            match read {
                Err(error) if batch.atomic => {
                    return Err(KvError::Aborted {
                        index,
                        cause: Box::new(error),
                    });
                }
                read => {
                    self.count_read(matches!(read, Ok(OpDone::Got(Some(_)))));
                    results.push(read);
                }
            }
        }
        Ok(BatchDone {
            results,
            committed: None,
        })
    }

    fn read(&self, snapshot: &Snapshot, key: Bytes) -> Result<Option<Entry>, KvError> {
        let encoded = Keyspace::key(self.keyspace.at(snapshot.seq()), &key)?;
        match self.engine().get(snapshot, encoded.as_bytes())? {
            Some(record) => entry_of(self.engine(), snapshot, key, &record, self.now_ms()),
            None => Ok(None),
        }
    }

    fn lister(&self) -> Lister<'_> {
        let snapshot = self.engine().snapshot();
        let generation = self.keyspace.at(snapshot.seq());
        let (engine, limits) = (self.engine(), self.limits());
        Lister {
            engine,
            limits,
            snapshot,
            generation,
            now_ms: self.now_ms(),
        }
    }

    fn check_key(&self, key: &Bytes) -> Result<(), KvError> {
        within(
            "limits.key_bytes_max",
            self.limits().key_bytes_max as u64,
            key.len() as u64,
        )
    }

    fn check_op(&self, op: &BatchOp) -> Result<u64, KvError> {
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
            if let Expiry::AfterMs(ms) = put.expiry
                && !(1..=max_seconds.saturating_mul(1000)).contains(&ms)
            {
                return Err(KvError::InvalidTtl { max_seconds });
            }
        }
        Ok(op_bytes(op))
    }

    fn count_read(&self, found: bool) {
        self.counters.reads.add(1);
        if found {
            &self.counters.hits
        } else {
            &self.counters.misses
        }
        .add(1);
    }

    fn count_done(&self, done: &[OpDone]) {
        for op in done {
            match op {
                OpDone::Got(found) => self.count_read(found.is_some()),
                OpDone::Set { .. } | OpDone::Incremented { .. } => self.counters.writes.add(1),
                OpDone::Deleted { deleted } => self.counters.deletes.add(u64::from(*deleted)),
            }
        }
    }

    fn engine(&self) -> &dyn Engine {
        self.store.engine()
    }

    fn limits(&self) -> &Limits {
        self.store.limits()
    }

    fn now_ms(&self) -> u64 {
        self.store.env().clock().now_ms()
    }
}

/// Counts the bytes of the values in an answer, so that none grows without bound.
struct Answer {
    bytes: u64,
    bytes_max: u64,
}

impl Answer {
    const fn new(limits: &Limits) -> Self {
        Self {
            bytes: 0,
            bytes_max: limits.answer_bytes_max,
        }
    }

    /// Lets an operation's answer through while all values together keep within the limit; the
    /// first one always passes.
    fn take(&mut self, done: OpDone) -> Result<OpDone, KvError> {
        if let OpDone::Got(Some(entry)) = &done {
            let bytes = self.bytes + entry.value.len() as u64;
            if self.bytes > 0 {
                within("limits.answer_bytes_max", self.bytes_max, bytes)?;
            }
            self.bytes = bytes;
        }
        Ok(done)
    }
}

/// The entry in a record, or `None` when it has expired.
pub(crate) fn entry_of(
    engine: &dyn Engine,
    at: &Snapshot,
    key: Bytes,
    record: &Record,
    now_ms: u64,
) -> Result<Option<Entry>, KvError> {
    let view = record.view();
    if view.expired(now_ms) {
        return Ok(None);
    }
    let value = match view.kind() {
        ValueKind::Bytes => record.payload_bytes(),
        ValueKind::Chunked => Chunked::parse(view.payload())?.read(engine, at)?,
        _ => return Err(KvError::WrongType),
    };
    Ok(Some(Entry {
        key,
        value,
        content_type: view.content_type().as_str().to_owned(),
        version: view.seq(),
        expires_ms: view.expiry_ms(),
        ttl_ms: view.expiry_ms().map(|at| at.saturating_sub(now_ms).max(1)),
        created_ms: view.created_ms(),
        modified_ms: view.modified_ms(),
        tags: view.tags().map(str::to_owned).collect(),
    }))
}

fn stage(unit: &mut Unit<'_>, op: &BatchOp) -> Result<OpDone, KvError> {
    let version = UNCOMMITTED;
    Ok(match op {
        BatchOp::Get { key } => OpDone::Got(unit.get(key)?),
        BatchOp::Set(put) => OpDone::Set {
            created: unit.put(put)?,
            version,
        },
        BatchOp::Delete { key, condition } => OpDone::Deleted {
            deleted: unit.delete(key, *condition)?,
        },
        BatchOp::Increment { key, by, initial } => OpDone::Incremented {
            value: unit.increment(key, *by, *initial)?,
            version,
        },
    })
}

/// Puts the commit's Seq where an answer could not know it yet.
fn stamp(done: &mut OpDone, committed: Committed) {
    let version = match done {
        OpDone::Got(Some(entry)) => &mut entry.version,
        OpDone::Set { version, .. } | OpDone::Incremented { version, .. } => version,
        OpDone::Got(None) | OpDone::Deleted { .. } => return,
    };
    if *version == UNCOMMITTED {
        *version = committed.seq;
    }
}

fn op_bytes(op: &BatchOp) -> u64 {
    let value = match op {
        BatchOp::Set(put) => put.value.len() + put.tags.iter().map(String::len).sum::<usize>(),
        _ => 0,
    };
    OVERHEAD + 2 * op.key().len() as u64 + value as u64
}

fn within(limit: &'static str, max: u64, given: u64) -> Result<(), KvError> {
    if given <= max {
        Ok(())
    } else {
        Err(KvError::TooLarge { limit, max, given })
    }
}
