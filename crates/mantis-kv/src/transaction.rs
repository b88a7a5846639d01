//! The key-value model inside a transaction: the same operations, as part of its one commit.

use std::sync::Arc;

use bytes::Bytes;
use mantis_txn::{LockWait, Transaction, read_u64};
use mantis_types::{Access, CodecError, Isolation, OwnerId};

use crate::KvError;
use crate::addition::Addition;
use crate::answer::{Entry, ListPage, OpDone, UNCOMMITTED};
use crate::commit::{Answer, stage};
use crate::keyspace::Keyspace;
use crate::kv::Kv;
use crate::list::Lister;
use crate::request::{Batch, BatchOp, List};
use crate::source::Source;
use crate::unit::Unit;

impl Kv {
    /// The value that the transaction sees, its own changes included.
    ///
    /// # Errors
    /// As [`Self::get`]; `DeadlineExceeded`, `SnapshotTooOld`.
    pub fn get_in(
        &self,
        _: Access,
        txn: &mut Transaction,
        key: Bytes,
    ) -> Result<Option<Entry>, KvError> {
        self.check_key(&key)?;
        let generation = self.statement_in(txn)?;
        let found = { txn }.entry_in(generation, key)?;
        self.count_read(found.is_some());
        Ok(found)
    }

    /// The value that the transaction sees, with its row locked against everybody else's writes until
    /// the transaction ends, whether the key is there or not.
    ///
    /// # Errors
    /// As [`Transaction::get_for_update`] and [`Self::get_in`].
    pub fn get_for_update_in(
        &self,
        _: Access,
        txn: &mut Transaction,
        key: Bytes,
        wait: LockWait,
    ) -> Result<Option<Entry>, KvError> {
        self.check_key(&key)?;
        let generation = self.statement_in(txn)?;
        let encoded = Keyspace::key(generation, &key)?;
        let record = txn.get_for_update(encoded.as_bytes(), wait)?;
        let found = match &record {
            Some(record) => { txn }.entry(key, record)?,
            None => None,
        };
        self.count_read(found.is_some());
        Ok(found)
    }

    /// A page of the keys that the transaction sees.
    ///
    /// # Errors
    /// As [`Self::list`]; `DeadlineExceeded`, `SnapshotTooOld`.
    pub fn list_in(
        &self,
        _: Access,
        txn: &mut Transaction,
        list: &List,
    ) -> Result<ListPage, KvError> {
        self.check_list(list)?;
        let generation = self.statement_in(txn)?;
        let seq = txn.snapshot_seq();
        let mut lister = Lister {
            source: txn,
            limits: self.limits(),
            seq,
            generation,
        };
        lister.page(list)
    }

    /// Several operations, in order, as part of the transaction: all of them or, on an error, none;
    /// the transaction stays as it was before. Versions are [`UNCOMMITTED`] until it commits.
    ///
    /// With `ReadCommitted` the rows that are written are locked and read anew. An increment of a
    /// key that is not read or written otherwise never conflicts: its answer is the value that this
    /// transaction sees, and what it adds is added to the newest value when it commits. With
    /// `Serializable` the answer counts as read.
    ///
    /// # Errors
    /// `Aborted`, which names the operation, when there are several; as [`Self::batch`] and
    /// [`Transaction::get_for_update`].
    pub fn batch_in(
        &self,
        _: Access,
        txn: &mut Transaction,
        batch: &Batch,
    ) -> Result<Vec<OpDone>, KvError> {
        self.check_count(batch)?;
        let done = match batch.ops.as_slice() {
            [BatchOp::Increment { key, by, initial }] if Self::commutes(txn) => {
                vec![self.add_in(txn, key, *by, *initial)?]
            }
            ops => self.unit_in(txn, ops)?,
        };
        self.count_done(&done);
        Ok(done)
    }

    /// The same with every key locked first, those that are only read as well, for a transaction with
    /// `ReadCommitted`: it sees all of them at one moment, and an increment answers the value that it
    /// leaves behind, as a batch outside of transactions does.
    ///
    /// # Errors
    /// As [`Self::batch_in`].
    pub fn batch_locked_in(
        &self,
        _: Access,
        txn: &mut Transaction,
        batch: &Batch,
    ) -> Result<Vec<OpDone>, KvError> {
        self.check_count(batch)?;
        let mut keys: Vec<&Bytes> = batch.ops.iter().map(BatchOp::key).collect();
        // In one order for all: such batches never wait for each other in a circle.
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.check_key(key)?;
            let generation = self.statement_in(txn)?;
            let encoded = Keyspace::key(generation, key)?;
            txn.get_for_update(encoded.as_bytes(), LockWait::Wait)?;
        }
        let done = self.unit_in(txn, &batch.ops)?;
        self.count_done(&done);
        Ok(done)
    }

    fn unit_in(&self, txn: &mut Transaction, ops: &[BatchOp]) -> Result<Vec<OpDone>, KvError> {
        let single = ops.len() == 1;
        let named = |(index, error): (usize, KvError)| {
            let cause = Box::new(error);
            if single {
                *cause
            } else {
                KvError::Aborted { index, cause }
            }
        };
        let ids = self.prepare(ops).map_err(named)?;
        let generation = self.statement_in(txn)?;
        let mut answer = Answer::new(self.limits());
        let mut unit = Unit::new(&mut *txn, self.limits(), generation);
        let mut done = Vec::with_capacity(ops.len());
        for (index, op) in ops.iter().enumerate() {
            let staged = stage(&mut unit, op).and_then(|d| answer.take(d));
            done.push(staged.map_err(|error| named((index, error)))?);
        }
        if let Some(batch) = unit.into_batch(ids)? {
            txn.apply(&batch)?;
        }
        Ok(done)
    }

    /// Whether increments stay open until the commit. With `Serializable` the answer of an increment
    /// is a read like any other.
    fn commutes(txn: &Transaction) -> bool {
        txn.isolation() != Isolation::Serializable
    }

    fn add_in(
        &self,
        txn: &mut Transaction,
        key: &Bytes,
        by: i64,
        initial: Option<i64>,
    ) -> Result<OpDone, KvError> {
        self.check_key(key)?;
        let generation = self.statement_in(txn)?;
        let encoded = Keyspace::key(generation, key)?;
        let addition = Addition { by, initial };
        let seen = txn
            .merge(encoded.as_bytes(), Arc::new(addition))
            .map_err(KvError::of_merge)?;
        let value = Addition::value_of(&seen)?;
        Ok(OpDone::Incremented {
            value,
            version: UNCOMMITTED,
        })
    }

    /// Begins a statement; answers the generation of the keyspace that it sees. A clear of the
    /// keyspace that commits meanwhile makes the transaction conflict, if it writes.
    fn statement_in(&self, txn: &mut Transaction) -> Result<OwnerId, KvError> {
        txn.statement()?;
        let record_key = Keyspace::record_key(self.keyspace.number)?;
        txn.guard(record_key.as_bytes());
        if let Some(known) = self.keyspace.remembered(txn.snapshot_seq()) {
            return Ok(known);
        }
        match txn.get(record_key.as_bytes())? {
            Some(record) => Ok(OwnerId::new(
                read_u64(&record).ok_or(CodecError::Truncated)?,
            )),
            None => Ok(Keyspace::first_generation(self.keyspace.number)),
        }
    }
}
