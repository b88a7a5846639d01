//! Transactions: a snapshot, a buffer of changes, what was read, and one commit for all models.
//!
//! ```text
//! begin -> statement -> get, scan, put, delete, lock ... -> commit
//! ```
//! Nothing is written before the commit; dropping a transaction rolls it back. What each level
//! promises stands at [`Isolation`].

mod begin;
mod buffer;
mod commit;
mod locking;
mod merge;
mod reads;
mod scan;

use std::ops::Bound;
use std::time::Duration;

use mantis_engine::{Direction, Record, Snapshot};
use mantis_types::{Durability, Isolation, Limits, Seq, WriteBatch};

use crate::conflict::Ticket;
use crate::pipeline::Pipeline;
use crate::txn_id::TxnId;
use crate::{Store, TxnError};

pub use begin::Begin;
pub use merge::Merge;
pub use scan::TxnScan;

use buffer::{Buffer, Change};
use locking::{Asked, HeldLocks};
use reads::ReadSet;

/// A transaction over everything in the store. One caller at a time uses it.
///
/// Memory: its changes, bounded by `Limits::batch_bytes_max`; what it has read, bounded by
/// `Limits::txn_reads_max`; its snapshot keeps memtables and tables of its moment.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    id: TxnId,
    begin: Begin,
    snapshot: Snapshot,
    now_ms: u64,
    buffer: Buffer,
    reads: ReadSet,
    locks: HeldLocks,
    /// The moment up to which the current call waits for rows; `None` for as long as it lives.
    row_deadline: Option<Duration>,
    /// Where it stands in a queue, while nobody waits there for it.
    asked: Option<Asked>,
    keeps_places: bool,
    /// It was chosen to break a circle: its locks have been given back.
    doomed: bool,
    /// It has ended otherwise than by being rolled back.
    committed: bool,
    /// Keeps the conflict index from forgetting what this transaction will ask; `None` when it is
    /// read-only.
    _live: Option<Ticket>,
}

impl Transaction {
    /// Its number, which no other transaction of this process has.
    #[must_use]
    pub const fn id(&self) -> TxnId {
        self.id
    }

    /// Its level.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.begin.isolation
    }

    /// Whether it refuses writes.
    #[must_use]
    pub const fn read_only(&self) -> bool {
        self.begin.read_only
    }

    /// What its commit waits for.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.begin.durability
    }

    /// Changes what its commit will wait for.
    pub const fn set_durability(&mut self, durability: Durability) {
        self.begin.durability = durability;
    }

    /// Moves the moment, by the environment's monotonic clock, after which every call answers
    /// `Deadline`; `None` for never.
    pub const fn set_deadline(&mut self, deadline: Option<Duration>) {
        self.begin.deadline = deadline;
    }

    /// Moves the moment, by the environment's monotonic clock, up to which calls wait for rows that
    /// others have locked; then they answer `RowBusy`, and the transaction goes on. A moment that has
    /// passed means not to wait at all; `None` to wait up to its own deadline.
    pub const fn set_row_deadline(&mut self, deadline: Option<Duration>) {
        self.row_deadline = deadline;
    }

    /// The newest commit that it sees; with `ReadCommitted` that of the current statement.
    #[must_use]
    pub const fn snapshot_seq(&self) -> Seq {
        self.snapshot.seq()
    }

    /// The time that expiry is compared with, in milliseconds since 1970: when it began, with
    /// `ReadCommitted` when the statement began.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The store that it belongs to.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// How many keys it will change.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.buffer.len()
    }

    /// Begins a statement: with `ReadCommitted` it sees everything committed before; otherwise this
    /// does nothing. Models and languages call it once for each of their operations.
    ///
    /// # Errors
    /// `DeadlineExceeded`.
    pub fn statement(&mut self) -> Result<(), TxnError> {
        self.check_usable()?;
        if self.isolation() == Isolation::ReadCommitted {
            self.refresh();
        }
        Ok(())
    }

    /// The record of an encoded key: the transaction's own, or that of its snapshot. Own records
    /// have no Seq yet. May read tables.
    ///
    /// # Errors
    /// `DeadlineExceeded`, `SnapshotTooOld`, `Corrupt`; what a [`Merge`] answers.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Record>, TxnError> {
        self.check_usable()?;
        self.resolve(key)?;
        match self.buffer.get(key) {
            Some(Change::Put(record)) => Ok(Some(record.clone())),
            Some(_) => Ok(None),
            None => self.read(key),
        }
    }

    /// As [`Self::get`] for several keys, in their order.
    ///
    /// # Errors
    /// As [`Self::get`]; the first error ends it.
    pub fn multi_get(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Record>>, TxnError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// The rows of a range of encoded keys in order, own changes included. Nothing is read before
    /// the first row is asked for.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn scan(
        &mut self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<TxnScan<'_>, TxnError> {
        self.check_usable()?;
        let range = (from, to);
        self.resolve_range(range)?;
        let rows = self.store.engine().scan(&self.snapshot, range, direction)?;
        let tracked = self.tracks_reads();
        let max = self.store.limits().txn_reads_max;
        let Self { buffer, reads, .. } = self;
        let reads = tracked.then_some((reads, max));
        let own = buffer.range(range);
        Ok(match direction {
            Direction::Forward => TxnScan::new(rows, Box::new(own), range, direction, reads),
            Direction::Backward => TxnScan::new(rows, Box::new(own.rev()), range, direction, reads),
        })
    }

    /// Puts record bytes, as `RecordBuilder` writes them, under an encoded key. With
    /// `ReadCommitted` it takes the key's row lock first, and may wait for it.
    ///
    /// # Errors
    /// `ReadOnly`, `TooLarge` beyond `Limits::batch_bytes_max` (nothing is changed), `Corrupt` for
    /// bytes that are no record, `DeadlineExceeded`, `Deadlock`.
    pub fn put(&mut self, key: &[u8], record: &[u8]) -> Result<(), TxnError> {
        let record = Record::copy_from(record)?;
        self.change(key, Change::Put(record))
    }

    /// Deletes an encoded key, there or not. Row locks as in [`Self::put`].
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), TxnError> {
        self.change(key, Change::Delete)
    }

    /// Takes in a whole batch: all of it or, on an error, nothing. It takes no row locks: the caller
    /// has read the rows that matter by [`Self::get_to_write`].
    ///
    /// # Errors
    /// `TooLarge`, `InvalidRequest` in a read-only transaction, `Corrupt`.
    pub fn apply(&mut self, batch: &WriteBatch) -> Result<(), TxnError> {
        self.check_usable()?;
        if self.read_only() {
            return Err(TxnError::ReadOnly);
        }
        self.store.engine().check(batch)?;
        let max = self.limits().batch_bytes_max;
        let bytes = self.buffer.bytes() + batch.as_bytes().len() as u64;
        if bytes > max {
            return Err(TxnError::BatchTooLarge { bytes, max });
        }
        for (key, record) in batch.ops() {
            let change = match record {
                Some(record) => Change::Put(Record::copy_from(record)?),
                None => Change::Delete,
            };
            self.buffer.set(key, change, u64::MAX)?;
        }
        Ok(())
    }

    /// Makes the commit, if it writes anything, fail with a conflict when somebody else changes
    /// `key` from here on: for what a write rests on without being a row of its own, such as the
    /// generation of a keyspace. Holds at every level.
    pub fn guard(&mut self, key: &[u8]) {
        let as_of = self.snapshot.seq();
        self.reads
            .guard(&self.store.pipeline().tracking.index, key, as_of);
    }

    /// Opens a savepoint. A name may be used again: the newest one counts.
    ///
    /// # Errors
    /// `TooLarge` beyond `Limits::txn_savepoints_max`.
    pub fn savepoint(&mut self, name: &str) -> Result<(), TxnError> {
        let max = self.store.limits().txn_savepoints_max;
        self.buffer.savepoint(name, self.locks.len(), max)
    }

    /// Takes back every change since the newest savepoint of this name, and gives back row locks
    /// that were taken since. The savepoint stays open. What was read since still counts.
    ///
    /// # Errors
    /// `NotFound` when there is no such savepoint; nothing is changed.
    pub fn rollback_to(&mut self, name: &str) -> Result<(), TxnError> {
        let locks = self.buffer.rollback_to(name)?;
        self.give_back_locks(locks);
        Ok(())
    }

    /// Forgets a savepoint, and those opened after it; their changes stay.
    ///
    /// # Errors
    /// `NotFound` when there is no such savepoint.
    pub fn release(&mut self, name: &str) -> Result<(), TxnError> {
        self.buffer.release(name)
    }

    /// Ends it without a trace. The same as dropping it.
    pub fn rollback(self) {
        drop(self);
    }

    fn change(&mut self, key: &[u8], change: Change) -> Result<(), TxnError> {
        self.check_usable()?;
        if self.read_only() {
            return Err(TxnError::ReadOnly);
        }
        if self.isolation() == Isolation::ReadCommitted {
            self.lock(key)?;
        }
        let max = self.store.limits().batch_bytes_max;
        self.buffer.set(key, change, max)
    }

    /// The record at the snapshot, noted as read where that counts.
    fn read(&mut self, key: &[u8]) -> Result<Option<Record>, TxnError> {
        if self.tracks_reads() {
            let max = self.store.limits().txn_reads_max;
            self.reads
                .key(&self.store.pipeline().tracking.index, key, max);
        }
        Ok(self.store.engine().get(&self.snapshot, key)?)
    }

    /// Sees everything that is visible now.
    fn refresh(&mut self) {
        self.snapshot = self.store.engine().snapshot();
        self.now_ms = self.store.env().clock().now_ms();
    }

    fn tracks_reads(&self) -> bool {
        self.isolation() == Isolation::Serializable && !self.read_only()
    }

    fn check_usable(&self) -> Result<(), TxnError> {
        if self.doomed {
            return Err(TxnError::Deadlock);
        }
        let passed = |deadline| self.store.env().clock().monotonic() >= deadline;
        if self.begin.deadline.is_some_and(passed) {
            Err(TxnError::Deadline)
        } else {
            Ok(())
        }
    }

    fn pipeline(&self) -> &Pipeline {
        self.store.pipeline()
    }

    fn limits(&self) -> &Limits {
        self.store.limits()
    }
}
