//! A transaction of a session: commands that see each other's effects and take effect together.

use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use mantis_kv::{
    Batch, BatchDone, BatchOp, Committed, DeleteDone, Entry, IncrementDone, Kv, KvError, OpDone,
    PutDone, UNCOMMITTED,
};
use mantis_txn::{Begin, LockWait, TxnError, TxnId};
use mantis_types::{Access, Durability, Isolation, Seq};

use crate::{Command, Principal, Reply, Session, SessionError};

/// One transaction, for one caller at a time. Dropping it rolls it back.
///
/// In the answers of its commands, versions that its own commit will write are
/// [`UNCOMMITTED`](crate::UNCOMMITTED), and what says `committed` has that Seq and class `none`.
#[derive(Debug)]
pub struct Transaction {
    // Not the database, which keeps the joinable ones itself.
    kv: Kv,
    principal: Principal,
    txn: mantis_txn::Transaction,
    /// Commands lock every key first and see all of them at one moment.
    locking: bool,
}

/// What a command inside a transaction has instead of a commit of its own.
const NOT_YET: Committed = Committed {
    seq: UNCOMMITTED,
    durability: Durability::None,
};

/// The savepoint of a batch, under a name that no front end lets through.
const EACH_ALONE: &str = "\0each";

impl Session {
    /// Begins a transaction that only its holder uses; one that other front ends may join comes from
    /// [`Session::open_transaction`]. Usually a snapshot and two short locks; the first one after a
    /// while waits for the commits under way.
    ///
    /// # Errors
    /// `Forbidden` for a principal that may not; `ShuttingDown`; `ReadOnly` when the log has failed,
    /// unless it is read-only.
    pub fn begin(&self, mut begin: Begin) -> Result<Transaction, SessionError> {
        begin.origin = self.origin();
        self.principal().grant(!begin.read_only)?;
        let txn = self.database().store().begin(begin)?;
        Ok(Transaction {
            kv: self.database().kv().clone(),
            principal: self.principal(),
            txn,
            locking: false,
        })
    }
}

impl Transaction {
    /// From here on commands lock every key first.
    pub(crate) const fn lock_first(&mut self) {
        self.locking = true;
    }

    /// What it is made of.
    pub(crate) const fn raw(&mut self) -> &mut mantis_txn::Transaction {
        &mut self.txn
    }

    /// Its number, which no other transaction of this process has.
    #[must_use]
    pub const fn id(&self) -> TxnId {
        self.txn.id()
    }

    /// Its level.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.txn.isolation()
    }

    /// Whether it refuses writes.
    #[must_use]
    pub const fn read_only(&self) -> bool {
        self.txn.read_only()
    }

    /// The newest commit that it sees; with `ReadCommitted` that of its last command.
    #[must_use]
    pub const fn snapshot_seq(&self) -> Seq {
        self.txn.snapshot_seq()
    }

    /// How many keys its commit will change, entries of indexes included.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.txn.writes()
    }

    /// Moves the moment, by the environment's monotonic clock, up to which commands wait for rows
    /// that others have locked; then they answer an error that
    /// [`is_row_busy`](SessionError::is_row_busy), and the transaction goes on. A moment in the past
    /// means not to wait. `None`: for ever.
    pub const fn set_row_deadline(&mut self, deadline: Option<Duration>) {
        self.txn.set_row_deadline(deadline);
    }

    /// From here on a call that was not to wait for a row keeps a place in its queue for the same call
    /// made again, until [`Self::stop_waiting`].
    pub const fn keep_places(&mut self) {
        self.txn.keep_places();
    }

    /// Whether a call that has kept a place in a queue may be made again with success; if not, `waker`
    /// is woken once it may. True when there is no such place. Never blocks.
    #[must_use]
    pub fn poll_row(&self, waker: &Waker) -> bool {
        self.txn.poll_row(waker)
    }

    /// Gives the place in a queue up, if there is one.
    pub fn stop_waiting(&mut self) {
        self.txn.stop_waiting();
    }

    /// Executes a command inside the transaction. What fails has changed nothing of it. Blocks on
    /// table reads and, with `ReadCommitted`, on rows that others have locked.
    ///
    /// # Errors
    /// `Deadlock`: it has ended, run it again. Else as [`Session::execute`].
    pub fn execute(&mut self, command: Command) -> Result<Reply, SessionError> {
        let access = self.principal.grant(command.writes())?;
        let kv = &self.kv;
        let strange = || SessionError::Kv(KvError::Damaged);
        let txn = &mut self.txn;
        let locking = self.locking;
        let mut one = |op: BatchOp| -> Result<OpDone, SessionError> {
            let mut done = batch_in(kv, access, txn, &alone(op), locking)?;
            done.pop().ok_or_else(strange)
        };
        match command {
            Command::KvPut { put, .. } => match one(BatchOp::Set(put))? {
                OpDone::Set { created, .. } => Ok(Reply::KvPut(PutDone {
                    committed: NOT_YET,
                    created,
                })),
                _ => Err(strange()),
            },
            Command::KvDelete { key, condition, .. } => {
                match one(BatchOp::Delete { key, condition })? {
                    OpDone::Deleted { deleted } => Ok(Reply::KvDelete(DeleteDone {
                        committed: deleted.then_some(NOT_YET),
                    })),
                    _ => Err(strange()),
                }
            }
            Command::KvIncrement {
                key, by, initial, ..
            } => match one(BatchOp::Increment { key, by, initial })? {
                OpDone::Incremented { value, .. } => Ok(Reply::KvIncrement(IncrementDone {
                    committed: NOT_YET,
                    value,
                })),
                _ => Err(strange()),
            },
            Command::KvGet { key } => Ok(Reply::KvGet(kv.get_in(access, txn, key)?)),
            Command::KvList(list) => Ok(Reply::KvList(kv.list_in(access, txn, &list)?)),
            Command::KvBatch(batch) if batch.atomic => {
                let done = batch_in(kv, access, txn, &batch, locking)?;
                Ok(Reply::KvBatch(batch_done(done.into_iter().map(Ok))))
            }
            Command::KvBatch(batch) => self.each_alone(batch),
        }
    }

    /// Reads a value and locks its row against everybody else's writes until the transaction ends,
    /// whether the key is there or not.
    ///
    /// # Errors
    /// `SerializationFailure` when it is locked and `wait` says not to wait, or, but for
    /// `ReadCommitted`, when somebody has written it since the snapshot; as [`Self::execute`].
    pub fn get_for_update(
        &mut self,
        key: Bytes,
        wait: LockWait,
    ) -> Result<Option<Entry>, SessionError> {
        let access = self.principal.grant(true)?;
        let txn = &mut self.txn;
        Ok(self.kv.get_for_update_in(access, txn, key, wait)?)
    }

    /// The operations of a batch, each for itself. When one must wait for a row longer than it may,
    /// none of them has been done.
    fn each_alone(&mut self, batch: Batch) -> Result<Reply, SessionError> {
        let access = self.principal.grant(true)?;
        let kv = &self.kv;
        // Only with this level a command waits for rows.
        let waits = self.isolation() == Isolation::ReadCommitted && !self.read_only();
        if waits {
            self.txn.savepoint(EACH_ALONE)?;
        }
        let mut results = Vec::with_capacity(batch.ops.len());
        let mut given_up = None;
        for op in batch.ops {
            match batch_in(kv, access, &mut self.txn, &alone(op), self.locking) {
                Ok(mut done) => results.push(done.pop().ok_or(KvError::Damaged)),
                Err(error) if ends_the_call(&error) => {
                    given_up = Some(error);
                    break;
                }
                Err(error) => results.push(Err(error)),
            }
        }
        if waits {
            if given_up.is_some() {
                self.txn.rollback_to(EACH_ALONE)?;
            }
            self.txn.release(EACH_ALONE)?;
        }
        match given_up {
            Some(error) => Err(error.into()),
            None => Ok(Reply::KvBatch(batch_done(results))),
        }
    }

    /// Opens a savepoint. A name may be used again: the newest one counts.
    ///
    /// # Errors
    /// `TooLarge` beyond `Limits::txn_savepoints_max`.
    pub fn savepoint(&mut self, name: &str) -> Result<(), SessionError> {
        Ok(self.txn.savepoint(name)?)
    }

    /// Takes back every change since the newest savepoint of this name, which stays open.
    ///
    /// # Errors
    /// `NotFound` when there is none; nothing is changed.
    pub fn rollback_to(&mut self, name: &str) -> Result<(), SessionError> {
        Ok(self.txn.rollback_to(name)?)
    }

    /// Forgets a savepoint, and those opened after it; their changes stay.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn release(&mut self, name: &str) -> Result<(), SessionError> {
        Ok(self.txn.release(name)?)
    }

    /// Takes the row locks that the commit would have to wait for, so that it will not.
    ///
    /// # Errors
    /// As a command that writes with `ReadCommitted`.
    pub fn lock_for_commit(&mut self) -> Result<(), SessionError> {
        Ok(self.txn.lock_for_commit()?)
    }

    /// Makes everything durable and visible as one commit; `durability` overrides what was asked at
    /// the beginning. Blocks for the fsync that its class asks for.
    ///
    /// # Errors
    /// `SerializationFailure`, `Deadlock`, `SnapshotTooOld`: run it again; nothing was written. Others as
    /// [`Session::execute`].
    pub fn commit(mut self, durability: Option<Durability>) -> Result<Committed, SessionError> {
        if let Some(durability) = durability {
            self.txn.set_durability(durability);
        }
        Ok(self.txn.commit()?)
    }

    /// Ends it without a trace; the same as dropping it.
    pub fn rollback(self) {
        drop(self);
    }
}

fn batch_in(
    kv: &Kv,
    access: Access,
    txn: &mut mantis_txn::Transaction,
    batch: &Batch,
    locking: bool,
) -> Result<Vec<OpDone>, KvError> {
    if locking {
        kv.batch_locked_in(access, txn, batch)
    } else {
        kv.batch_in(access, txn, batch)
    }
}

fn alone(op: BatchOp) -> Batch {
    Batch {
        ops: vec![op],
        atomic: true,
        durability: Durability::None,
    }
}

fn batch_done(results: impl IntoIterator<Item = Result<OpDone, KvError>>) -> BatchDone {
    let results: Vec<_> = results.into_iter().collect();
    let wrote = results.iter().any(|done| {
        matches!(
            done,
            Ok(OpDone::Set { .. } | OpDone::Incremented { .. } | OpDone::Deleted { deleted: true })
        )
    });
    BatchDone {
        results,
        committed: wrote.then_some(NOT_YET),
    }
}

/// Whether an error ends the transaction in which it came up.
pub(crate) fn is_final(error: &SessionError) -> bool {
    let txn = match error {
        SessionError::Txn(error) => Some(error),
        SessionError::Kv(error) => error.transaction_error(),
        _ => None,
    };
    matches!(txn, Some(TxnError::Deadlock | TxnError::Deadline))
}

/// Whether an error of one operation leaves no sense in the next one.
fn ends_the_call(error: &KvError) -> bool {
    let cause = error.transaction_error();
    matches!(
        cause,
        Some(TxnError::RowBusy | TxnError::Deadlock | TxnError::Deadline)
    )
}
