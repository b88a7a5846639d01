//! Row locks of a transaction: taken before a row is read that is to be written.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use mantis_engine::Record;
use mantis_types::Isolation;

use super::Transaction;
use super::buffer::Change;
use crate::locks::{LockError, LockRequest, LockWait, Requested};
use crate::{Store, TxnError};

/// The locks that are held, in the order in which they were taken.
#[derive(Debug, Default)]
pub(super) struct HeldLocks {
    places: HashMap<Box<[u8]>, usize>,
    order: Vec<Box<[u8]>>,
}

impl HeldLocks {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    fn push(&mut self, key: &[u8]) {
        self.places.insert(key.into(), self.order.len());
        self.order.push(key.into());
    }

    /// Those taken after the first `len`; they are forgotten here.
    fn split_off(&mut self, len: usize) -> Vec<Box<[u8]>> {
        let given_back = self.order.split_off(len.min(self.order.len()));
        for key in &given_back {
            self.places.remove(key);
        }
        given_back
    }
}

impl Transaction {
    /// Locks a row against every other writer, until this transaction ends, and reads it. With
    /// `ReadCommitted` the row's newest version is read; at the other levels a version newer than the
    /// snapshot is a conflict at once. Waits for a lock that another transaction holds, in the order
    /// of asking, up to the deadline.
    ///
    /// # Errors
    /// `Locked` with [`LockWait::NoWait`]; `Deadlock`, `DeadlineExceeded`, `SerializationFailure`,
    /// `TooLarge` beyond `Limits::row_locks_max`; `InvalidRequest` in a read-only transaction. As
    /// [`Self::get`].
    pub fn get_for_update(
        &mut self,
        key: &[u8],
        wait: LockWait,
    ) -> Result<Option<Record>, TxnError> {
        match wait {
            LockWait::Wait => self.lock(key)?,
            LockWait::NoWait if self.try_lock(key)? => {}
            LockWait::NoWait => return Err(TxnError::Locked),
        }
        self.see_the_newest(key)?;
        self.get(key)
    }

    /// The record that a write of `key` is going to replace: with `ReadCommitted` locked and the
    /// newest, else that of the snapshot, whose change by another makes the commit fail.
    ///
    /// # Errors
    /// As [`Self::get_for_update`] and [`Self::get`].
    pub fn get_to_write(&mut self, key: &[u8]) -> Result<Option<Record>, TxnError> {
        if self.isolation() == Isolation::ReadCommitted && !self.read_only() {
            self.get_for_update(key, LockWait::Wait)
        } else {
            self.get(key)
        }
    }

    /// Locks a row if nobody holds it; false when somebody does. Never waits.
    ///
    /// # Errors
    /// As [`Self::get_for_update`].
    pub fn try_lock(&mut self, key: &[u8]) -> Result<bool, TxnError> {
        self.may_lock()?;
        if self.locks.has(key) {
            return Ok(true);
        }
        // A place in its queue would give back what is taken here.
        self.stop_waiting();
        let store = self.store.clone();
        // The latch: whoever looked for locks before this one is in the memtable, and in the index.
        let latched = store.latch(key);
        let locked = store.row_locks().try_lock(self.id, key);
        drop(latched);
        let locked = locked?;
        if locked {
            self.locks.push(key);
        }
        Ok(locked)
    }

    /// Locks a row, and waits for it up to the deadline. After `Deadlock` the transaction holds no
    /// locks any more, and can only be rolled back.
    pub(super) fn lock(&mut self, key: &[u8]) -> Result<(), TxnError> {
        self.may_lock()?;
        if self.locks.has(key) {
            return Ok(());
        }
        let store = self.store.clone();
        let locked = self.lock_within(&store, key);
        if matches!(locked, Err(LockError::Deadlock)) {
            // The others of the circle wait for these.
            self.give_back_locks(0);
            self.doomed = true;
        }
        if matches!(locked, Err(LockError::Deadline)) {
            // Either its own end has come, or only that of the call.
            self.check_usable()?;
            return Err(TxnError::RowBusy);
        }
        locked?;
        self.locks.push(key);
        // A commit that looked for locks before this one was handed over is in the memtable, and in
        // the index, when its latch is free.
        drop(store.latch(key));
        Ok(())
    }

    fn lock_within(&mut self, store: &Store, key: &[u8]) -> Result<(), LockError> {
        let now = store.env().clock().monotonic();
        let hurried = self.row_deadline.is_some_and(|deadline| deadline <= now);
        // A place at another row is given up.
        let asked = self.asked.take().filter(|asked| *asked.key == *key);
        let request = match asked {
            Some(asked) => asked.request,
            None => {
                let latched = store.latch(key);
                if hurried && !self.keeps_places {
                    let locked = store.row_locks().try_lock(self.id, key)?;
                    return locked.then_some(()).ok_or(LockError::Deadline);
                }
                let requested = store.row_locks().request(self.id, key)?;
                drop(latched);
                match requested {
                    Requested::Granted => return Ok(()),
                    Requested::Queued(request) => request,
                }
            }
        };
        if !hurried {
            return request.wait(self.waits_until());
        }
        if let Some(answer) = request.poll() {
            return answer;
        }
        let key = key.into();
        self.asked = Some(Asked { key, request });
        Err(LockError::Deadline)
    }

    /// From here on a call that does not wait for a row leaves a place in its queue, which the same
    /// call made again finds, until [`Self::stop_waiting`], another lock, or the end. For callers who
    /// ask again and again instead of keeping a thread: they are served in turn, and a circle of waits
    /// is found.
    pub const fn keep_places(&mut self) {
        self.keeps_places = true;
    }

    /// Whether a call that has left a place in a queue may be made again with success; if not, `waker`
    /// is woken once it may. True when there is no such place. Never blocks.
    #[must_use]
    pub fn poll_row(&self, waker: &Waker) -> bool {
        let asked = self.asked.as_ref();
        asked.is_none_or(|asked| asked.request.poll_ready(waker))
    }

    /// Gives the place in a queue up, if there is one.
    pub fn stop_waiting(&mut self) {
        self.asked = None;
    }

    /// Takes the locks that the commit would wait for, so that it does not: those of rows that are
    /// added to, while somebody holds locks. For callers who count how many wait at once. Waits as
    /// [`Self::get_for_update`] does.
    ///
    /// # Errors
    /// As [`Self::get_for_update`].
    pub fn lock_for_commit(&mut self) -> Result<(), TxnError> {
        if !self.buffer.merges() || !self.store.row_locks().any() {
            return Ok(());
        }
        let added = self.buffer.iter();
        let added = added.filter(|(_, change)| matches!(change, Change::Merge(_)));
        let added: Vec<Vec<u8>> = added.map(|(key, _)| key.to_vec()).collect();
        added.iter().try_for_each(|key| self.lock(key))
    }

    /// The moment up to which it waits for a row.
    fn waits_until(&self) -> Option<Duration> {
        let ends = self.begin.deadline;
        ends.into_iter().chain(self.row_deadline).min()
    }

    fn may_lock(&self) -> Result<(), TxnError> {
        self.check_usable()?;
        if self.read_only() {
            return Err(TxnError::ReadOnly);
        }
        Ok(())
    }

    /// After a lock was taken: whoever held it before may have committed since the snapshot.
    pub(super) fn see_the_newest(&mut self, key: &[u8]) -> Result<(), TxnError> {
        let index = &self.pipeline().tracking.index;
        let newest = index.newest(index.hash(key));
        let Some(newest) = newest.filter(|seq| *seq > self.snapshot_seq()) else {
            return Ok(());
        };
        if self.isolation() != Isolation::ReadCommitted {
            self.pipeline().counters.conflicts.add(1);
            return Err(TxnError::Conflict { with: newest });
        }
        self.wait_until_visible(newest)?;
        self.refresh();
        Ok(())
    }

    /// A key of the buffer that another transaction has locked, if waiting for it makes sense.
    ///
    /// # Errors
    /// `Locked` when it does not: what was read may be about to change.
    pub(super) fn locked_by_another(&self) -> Result<Option<Vec<u8>>, TxnError> {
        let locks = self.store.row_locks();
        if !locks.any() {
            return Ok(None);
        }
        for (key, change) in self.buffer.iter() {
            if locks.holder(key).is_some_and(|holder| holder != self.id) {
                return match change {
                    Change::Merge(_) => Ok(Some(key.to_vec())),
                    _ => Err(TxnError::Locked),
                };
            }
        }
        Ok(None)
    }

    /// Gives back the locks taken after the first `len`.
    pub(super) fn give_back_locks(&mut self, len: usize) {
        let given_back = self.locks.split_off(len);
        if !given_back.is_empty() {
            let keys = given_back.iter().map(|key| &**key);
            self.store.row_locks().release(self.id, keys);
        }
    }
}

/// A place in the queue of a row, for a call that will be made again.
#[derive(Debug)]
pub(super) struct Asked {
    key: Box<[u8]>,
    request: LockRequest,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.stop_waiting();
        self.give_back_locks(0);
        let counters = &self.pipeline().counters;
        if !self.committed {
            counters.rolled_back.add(1);
            counters.levels.of(self.isolation()).rolled_back.add(1);
        }
    }
}

impl From<LockError> for TxnError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Deadlock => Self::Deadlock,
            LockError::Deadline => Self::Deadline,
            LockError::TooManyLocks { max } => Self::TooManyLocks { max },
            LockError::TooManyWaiters { max } => Self::TooManyWaiters { max },
        }
    }
}
