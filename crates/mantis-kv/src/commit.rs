//! How operations become commits: one for all, or each for itself.

use mantis_txn::Committed;
use mantis_types::{Limits, OwnerId};

use crate::KvError;
use crate::answer::{BatchDone, OpDone, UNCOMMITTED};
use crate::keyspace::Keyspace;
use crate::kv::{Kv, op_bytes, within};
use crate::request::{Batch, BatchOp, Terms};
use crate::source::Source;
use crate::unit::Unit;

impl Kv {
    /// All operations in one commit, reading the newest versions under latches.
    pub(crate) fn unit(
        &self,
        ops: &[BatchOp],
        terms: Terms,
    ) -> Result<(Vec<OpDone>, Option<Committed>), KvError> {
        let single = ops.len() == 1;
        let mut answer = Answer::new(self.limits());
        let (mut done, pending) = match self.start_unit(ops, terms, &mut answer) {
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
        terms: Terms,
        answer: &mut Answer,
    ) -> Result<(Vec<OpDone>, Option<mantis_txn::Pending>), (usize, KvError)> {
        let ids = self.prepare(ops)?;
        loop {
            let generation = self.keyspace.newest();
            let keys = ops.iter().map(|op| Keyspace::key(generation, op.key()));
            let keys = keys
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| (0, e.into()))?;
            let latched = self
                .store
                .latch_free(&keys.iter().map(|key| key.as_bytes()), terms.deadline)
                .map_err(|error| (0, error.into()))?;
            if self.keyspace.newest() != generation {
                continue;
            }
            let applied = self.store.snapshot_applied(&latched);
            let mut unit = Unit::new(self.at(applied), self.limits(), generation);
            let mut done = Vec::with_capacity(ops.len());
            for (index, op) in ops.iter().enumerate() {
                let staged = stage(&mut unit, op).and_then(|d| answer.take(d));
                done.push(staged.map_err(|error| (index, error))?);
            }
            let batch = unit.into_batch(ids).map_err(|error| (0, error))?;
            let Some(mut batch) = batch else {
                self.count_done(&done);
                return Ok((done, None));
            };
            batch.set_origin(terms.origin);
            let pending = self.store.start(&latched, batch, terms.durability);
            let pending = pending.map_err(|error| (0, error.into()))?;
            drop(latched);
            self.count_done(&done);
            return Ok((done, Some(pending)));
        }
    }

    /// Everything that must happen before latches are held: checks, room, fresh ids.
    pub(crate) fn prepare(&self, ops: &[BatchOp]) -> Result<Vec<OwnerId>, (usize, KvError)> {
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

    pub(crate) fn batch_one_by_one(
        &self,
        batch: &Batch,
        terms: Terms,
    ) -> Result<BatchDone, KvError> {
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
            match self.start_unit(std::slice::from_ref(op), terms, &mut answer) {
                Ok((mut done, pending)) => {
                    let durability = terms.durability;
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

    pub(crate) fn batch_of_gets(&self, batch: &Batch) -> Result<BatchDone, KvError> {
        let snapshot = self.engine().snapshot();
        let mut results = Vec::with_capacity(batch.ops.len());
        let mut answer = Answer::new(self.limits());
        for (index, op) in batch.ops.iter().enumerate() {
            let read = self
                .check_key(op.key())
                .and_then(|()| self.read(snapshot.clone(), op.key().clone()))
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
}

/// Counts the bytes of the values in an answer, so that none grows without bound.
pub(crate) struct Answer {
    bytes: u64,
    bytes_max: u64,
}

impl Answer {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            bytes: 0,
            bytes_max: limits.answer_bytes_max,
        }
    }

    /// Lets an operation's answer through while all values together keep within the limit; the
    /// first one always passes.
    pub(crate) fn take(&mut self, done: OpDone) -> Result<OpDone, KvError> {
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

pub(crate) fn stage<S: Source>(unit: &mut Unit<'_, S>, op: &BatchOp) -> Result<OpDone, KvError> {
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
