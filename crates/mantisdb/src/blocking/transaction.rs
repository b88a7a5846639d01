//! A transaction, for one thread at a time.

use std::time::Duration;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Command, Committed, Condition, Entry, List, LockWait, OpDone, Put, Reply, TxnId,
};
use mantis_types::{Durability, Isolation};

use crate::Error;

/// How long a call waits for a row that somebody else has locked, unless it is told otherwise.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A transaction. Dropping it rolls it back.
///
/// An error of a call leaves it as it was before, but for a deadlock, which ends it. Whatever
/// [`retryable`](Error::retryable) says, a transaction that was refused has to be run again as a whole,
/// reads included: [`Database::transact`](super::Database::transact) does that.
#[derive(Debug)]
pub struct Transaction {
    txn: mantis_session::Transaction,
    env: Env,
    lock_timeout: Duration,
}

impl Transaction {
    pub(super) const fn new(txn: mantis_session::Transaction, env: Env) -> Self {
        Self {
            txn,
            env,
            lock_timeout: LOCK_TIMEOUT,
        }
    }

    /// Its number, which no other transaction of this process has.
    #[must_use]
    pub const fn id(&self) -> TxnId {
        self.txn.id()
    }

    /// The newest commit that it sees; with `ReadCommitted` that of its last call.
    #[must_use]
    pub const fn snapshot_timestamp(&self) -> u64 {
        self.txn.snapshot_seq().get()
    }

    /// Its level.
    #[must_use]
    pub const fn isolation_level(&self) -> Isolation {
        self.txn.isolation()
    }

    /// Changes how long calls wait for rows that others have locked, 30 s by default; zero is not at
    /// all. Then they answer `deadline_exceeded`, and the transaction goes on.
    pub const fn set_lock_timeout(&mut self, timeout: Duration) {
        self.lock_timeout = timeout;
    }

    pub(crate) const fn keep_places(&mut self) {
        self.txn.keep_places();
    }

    pub(crate) fn poll_row(&self, waker: &std::task::Waker) -> bool {
        self.txn.poll_row(waker)
    }

    pub(crate) fn stop_waiting(&mut self) {
        self.txn.stop_waiting();
    }

    pub(crate) const fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    fn execute(&mut self, command: Command) -> Result<Reply, Error> {
        self.wait_for_rows();
        self.txn.execute(command)
    }

    fn wait_for_rows(&mut self) {
        let until = self
            .env
            .clock()
            .monotonic()
            .saturating_add(self.lock_timeout);
        self.txn.set_row_deadline(Some(until));
    }

    /// The value that it sees, its own changes included.
    ///
    /// # Errors
    /// `snapshot_too_old`, `corrupt`; `wrong_type` for a key that holds a collection.
    pub fn get(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        let key = key.into();
        match self.execute(Command::KvGet { key })? {
            Reply::KvGet(entry) => Ok(entry.map(|entry| entry.value)),
            _ => Err(other_reply()),
        }
    }

    /// Several values, all from one moment.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn multi_get<K: Into<Bytes>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        let get = |key: K| mantis_session::BatchOp::Get { key: key.into() };
        let batch = mantis_session::Batch {
            ops: keys.into_iter().map(get).collect(),
            atomic: true,
            durability: Durability::None,
        };
        let Reply::KvBatch(done) = self.execute(Command::KvBatch(batch))? else {
            return Err(other_reply());
        };
        let value = |op: Result<OpDone, mantis_session::KvError>| match op? {
            OpDone::Got(entry) => Ok(entry.map(|entry| entry.value)),
            _ => Err(other_reply()),
        };
        done.results.into_iter().map(value).collect()
    }

    /// The keys from `from` on and below `to`, or without end, with their values in byte order, at
    /// most `limit` of them. Collections are left out. With `ReadCommitted`, which looks anew with each
    /// statement, every thousand keys are a statement.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn scan(
        &mut self,
        from: impl Into<Bytes>,
        to: Option<Bytes>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let mut list = List {
            start: Some(from.into()),
            end: to,
            values: true,
            total: false,
            ..List::default()
        };
        let mut found = Vec::new();
        while found.len() < limit {
            list.limit = (limit - found.len()).min(1000);
            let Reply::KvList(page) = self.execute(Command::KvList(list.clone()))? else {
                return Err(other_reply());
            };
            let values = page.items.into_iter().filter_map(|item| item.entry);
            found.extend(values.map(|Entry { key, value, .. }| (key, value)));
            match page.next_cursor {
                Some(cursor) => list.cursor = Some(cursor),
                None => break,
            }
        }
        Ok(found)
    }

    /// Writes a value; a commit makes it visible to others.
    ///
    /// # Errors
    /// `too_large`; with `ReadCommitted`, which locks the row at once, `deadline_exceeded` and
    /// `deadlock`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<(), Error> {
        let put = Put::new(key, value);
        let durability = Durability::None;
        self.execute(Command::KvPut { put, durability }).map(drop)
    }

    /// Removes a key; answers whether it was there.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(&mut self, key: impl Into<Bytes>) -> Result<bool, Error> {
        let command = Command::KvDelete {
            key: key.into(),
            condition: Condition::Always,
            durability: Durability::None,
        };
        match self.execute(command)? {
            Reply::KvDelete(done) => Ok(done.committed.is_some()),
            _ => Err(other_reply()),
        }
    }

    /// Adds to an integer; an absent key counts as 0. Increments do not conflict with each other,
    /// except with `Serializable`: what they add is added to the newest value at the commit. Answers
    /// the value that the transaction sees.
    ///
    /// # Errors
    /// `wrong_type` for what is no integer; `invalid_value` beyond 64 bits; as [`Self::put`].
    pub fn increment(&mut self, key: impl Into<Bytes>, by: i64) -> Result<i64, Error> {
        let command = Command::KvIncrement {
            key: key.into(),
            by,
            initial: None,
            durability: Durability::None,
        };
        match self.execute(command)? {
            Reply::KvIncrement(done) => Ok(done.value),
            _ => Err(other_reply()),
        }
    }

    /// Reads a value and locks its row against everybody else's writes until the transaction ends,
    /// whether the key is there or not. Waits up to the lock timeout.
    ///
    /// # Errors
    /// `serialization_failure` when somebody has written it since the snapshot (but for
    /// `ReadCommitted`); `deadline_exceeded`, `deadlock`.
    pub fn get_for_update(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        self.wait_for_rows();
        let found = self.txn.get_for_update(key.into(), LockWait::Wait)?;
        Ok(found.map(|entry| entry.value))
    }

    /// Opens a savepoint. A name may be used again: the newest one counts.
    ///
    /// # Errors
    /// `too_large` beyond `Limits::txn_savepoints_max`.
    pub fn savepoint(&mut self, name: &str) -> Result<(), Error> {
        self.txn.savepoint(name)
    }

    /// Takes back every change since the newest savepoint of this name, which stays open.
    ///
    /// # Errors
    /// `not_found` when there is none; nothing is changed.
    pub fn rollback_to(&mut self, name: &str) -> Result<(), Error> {
        self.txn.rollback_to(name)
    }

    /// Forgets a savepoint, and those opened after it; their changes stay.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub fn release(&mut self, name: &str) -> Result<(), Error> {
        self.txn.release(name)
    }

    /// Makes everything durable and visible as one commit. Blocks for the fsync that its class asks
    /// for.
    ///
    /// # Errors
    /// `serialization_failure`, `deadlock`, `snapshot_too_old`: nothing was written, run it again.
    /// `timeout`, `sync_failed`: the outcome is unknown.
    pub fn commit(mut self) -> Result<Committed, Error> {
        self.wait_for_rows();
        self.txn.commit(None)
    }

    /// Ends it without a trace; the same as dropping it.
    pub fn rollback(self) {
        self.txn.rollback();
    }

    /// Takes the locks that the commit would wait for.
    pub(crate) fn lock_for_commit(&mut self) -> Result<(), Error> {
        self.wait_for_rows();
        self.txn.lock_for_commit()
    }
}

/// A reply that does not belong to its command.
fn other_reply() -> Error {
    Error::Kv(mantis_session::KvError::Damaged)
}

/// What is wrong with a transaction that is not there any more.
pub(crate) fn finished() -> Error {
    Error::Finished {
        state: mantis_session::TransactionState::RolledBack,
    }
}
