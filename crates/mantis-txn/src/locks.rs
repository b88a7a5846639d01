//! Row locks: who may write a key until its transaction ends.
//!
//! One table for each store, of exclusive locks by encoded key, each with a fair queue. A lock is
//! handed to the first in its queue at once, so that it is never free while somebody waits for it.
//!
//! **Deadlocks.** A transaction waits for one key at a time, and a key has one holder: what waits for
//! what is a chain, waiter -> key -> holder -> key ..., and it is walked when a wait begins. The one
//! whose wait would close a cycle is refused. Looking then, and only then, is enough:
//! - Only a new wait of a transaction that holds something can close a cycle. A release, a deadline
//!   and a withdrawal take edges away. A hand-over turns the edges of those behind towards the new
//!   holder, but that one has just ceased to wait: the chain ends at it. A free key that is taken has
//!   nobody waiting for it.
//! - Who queues waits for those ahead of it as well, and that adds no cycle. All of them wait for the
//!   same key: from each, the way out of the queue leads through the holder, to which everybody in
//!   the queue has an edge of their own. A cycle over somebody ahead is a cycle over the holder, and
//!   the order within a queue has none.
//! - All changes happen under one mutex, so that the walk sees one state.
//!
//! **Commits outside transactions** hold no row locks; before they write they ask whether somebody
//! else does. Such a commit waits in the same queue and gets a [`Turn`] in place of the lock:
//! neighbours in the queue share it, and the next transaction gets the lock when their turns are
//! over. So neither kind can starve the other. A turn has to be short and waits for latches only,
//! therefore no cycle leads through it.
//!
//! **One mutex.** A call holds it for 0.1 to 0.4 us (20,000 locks in one table); a transaction makes
//! two for each row that it writes, beside a commit of some 10 us. To shard the rows, the walk would have to stop all shards
//! or to prove a cycle on a state that moves under it, and a release would visit as many shards as
//! it has keys; that is worth it when a profile shows this mutex, and not before.

mod request;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use mantis_env::Env;
use mantis_types::{Code, ErrorKind, Limits};
use thiserror::Error;

use crate::txn_id::TxnId;
pub(crate) use request::{LockRequest, Turn};
use stats::LockCounters;
pub use stats::{LOCK_WAIT_BOUNDS_US, LockStats};
use table::{Place, Table};
use threads::{Exclusive, RealThreads, Signal, Threads};

/// Locks that one hold of the table's mutex gives back, so that the end of a large transaction does
/// not keep the others out for milliseconds.
const RELEASED_AT_ONCE: usize = 64;

/// What to do about a row that somebody else has locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockWait {
    /// Wait for it, as long as the transaction's deadline allows.
    #[default]
    Wait,
    /// Fail at once.
    NoWait,
}

/// Why a row lock was not had.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// The wait would have closed a cycle of transactions that wait for each other. The others go
    /// on when this one is rolled back.
    #[error("transactions wait for each other's locks")]
    Deadlock,
    /// The deadline passed before the lock was free.
    #[error("the deadline passed while waiting for a row lock")]
    Deadline,
    /// The transaction holds as many locks as it may.
    #[error("a transaction locks at most {max} rows")]
    TooManyLocks {
        /// `Limits::row_locks_max`.
        max: usize,
    },
    /// The queue of this row is full.
    #[error("at most {max} wait for one row lock")]
    TooManyWaiters {
        /// `Limits::lock_waiters_max`.
        max: usize,
    },
}

impl LockError {
    /// What the caller should do.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        self.code().kind()
    }

    /// The machine word.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Deadlock => Code::Deadlock,
            Self::Deadline => Code::DeadlineExceeded,
            Self::TooManyLocks { .. } => Code::TooLarge,
            // More room comes by waiting, as with a pool.
            Self::TooManyWaiters { .. } => Code::PoolExhausted,
        }
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Requested<M: Threads = RealThreads> {
    /// The lock is the caller's.
    Granted,
    /// Somebody else has it; the request stands in the queue.
    Queued(LockRequest<M>),
}

/// The row locks of one store. Cheap to clone; all clones are the same table.
#[derive(Debug)]
pub(crate) struct RowLocks<M: Threads = RealThreads> {
    shared: Arc<Shared<M>>,
}

impl<M: Threads> Clone for RowLocks<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl RowLocks {
    /// No locks yet, with `row_locks_max` and `lock_waiters_max` of the limits.
    pub(crate) fn new(env: &Env, limits: &Limits) -> Self {
        Self::over(RealThreads::new(env), limits)
    }
}

impl<M: Threads> RowLocks<M> {
    /// The table with another idea of threads than the machine's own.
    fn over(threads: M, limits: &Limits) -> Self {
        let table = Table::new(limits.row_locks_max, limits.lock_waiters_max);
        let shared = Shared {
            threads,
            table: Exclusive::new(table),
            occupied: AtomicUsize::new(0),
            counters: LockCounters::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether somebody holds a row lock or has a turn. One atomic load.
    ///
    /// A commit asks under its latches and may go on when the answer is no: who takes a lock of its
    /// keys after that latches the key before reading under the lock, and so finds the commit.
    pub(crate) fn any(&self) -> bool {
        self.shared.occupied.load(SeqCst) != 0
    }

    /// Takes the lock if it is free or already the caller's, which then is no second hold. Never
    /// waits and never passes by those who do. Some instructions under the table's mutex.
    ///
    /// # Errors
    /// `TooManyLocks`, which is not the same as a row that somebody else has.
    pub(crate) fn try_lock(&self, who: TxnId, key: &[u8]) -> Result<bool, LockError> {
        let taken = self.shared.change(|table, _| table.try_take(who, key));
        self.shared.counters.count_refusal(taken.as_ref().err());
        taken
    }

    /// Takes the lock as [`Self::try_lock`] does, or joins its queue. Does not block, and walks at
    /// most as many steps under the table's mutex as transactions wait.
    ///
    /// # Errors
    /// `Deadlock` when waiting would close a cycle, `TooManyLocks`, `TooManyWaiters`. Nothing has
    /// changed then.
    ///
    /// # Panics
    /// When the transaction has a request in a queue already.
    pub(crate) fn request(&self, who: TxnId, key: &[u8]) -> Result<Requested<M>, LockError> {
        let placed = self.shared.change(|table, _| table.request(who, key));
        self.shared.counters.count_refusal(placed.as_ref().err());
        Ok(match placed? {
            None => Requested::Granted,
            Some(place) => {
                let shared = Arc::clone(&self.shared);
                Requested::Queued(LockRequest::new(shared, who, place))
            }
        })
    }

    /// Who holds the lock of `key`. Out of date on return, unless the caller's latch keeps new
    /// holders from doing anything with it.
    pub(crate) fn holder(&self, key: &[u8]) -> Option<TxnId> {
        self.shared.table.with(|table| table.holder(key))
    }

    /// Gives locks back, each to the first in its queue. Keys that `who` does not hold are passed
    /// over. Does not block; takes the table's mutex once for every 64 keys.
    pub(crate) fn release<'k>(&self, who: TxnId, mut keys: impl Iterator<Item = &'k [u8]>) {
        let mut some = Vec::with_capacity(RELEASED_AT_ONCE);
        loop {
            // Collected first: the caller's iterator is not run under the mutex.
            some.extend(keys.by_ref().take(RELEASED_AT_ONCE));
            if some.is_empty() {
                return;
            }
            let some = some.drain(..);
            self.shared
                .change(|table, woken| some.for_each(|key| table.release(who, key, woken)));
        }
    }

    /// Waits until no transaction holds the lock of `key`, and does not take it. For commits outside
    /// transactions: the caller looks again under its latches, and keeps the [`Turn`] until its
    /// versions are in the memtable. Until then no transaction gets the lock, if the caller has
    /// waited; if it has not, the turn keeps nobody out, so that a stream of commits does not
    /// starve transactions.
    ///
    /// A caller with several keys gives its turn back before it waits for another one, or two such
    /// commits wait for each other unseen. Blocks.
    ///
    /// # Errors
    /// `Deadline` when `deadline`, a time of the environment's monotonic clock, passes first;
    /// `TooManyWaiters`.
    pub(crate) fn wait_free(
        &self,
        key: &[u8],
        deadline: Option<Duration>,
    ) -> Result<Turn<M>, LockError> {
        let placed = self.shared.change(|table, _| table.request_turn(key));
        self.shared.counters.count_refusal(placed.as_ref().err());
        let Some(place) = placed? else {
            return Ok(Turn::free());
        };
        self.shared.await_place(&place, deadline)?;
        Ok(Turn::of(Arc::clone(&self.shared), place))
    }

    /// What stands and what has been counted since the store was opened.
    pub(crate) fn stats(&self) -> LockStats {
        let (held, waiting) = self.shared.table.with(|t| (t.held(), t.waiting()));
        self.shared.counters.stats(held, waiting)
    }
}

/// What the table, its requests and its turns share.
struct Shared<M: Threads> {
    threads: M,
    /// Guards all rows and queues. Taken alone: no other lock is taken under it, and it may be taken
    /// under latches. Longest hold: the release of 64 keys, or a walk along all waiting transactions.
    table: M::Mutex<Table<M::Signal>>,
    /// Rows of the table, written under its mutex.
    occupied: AtomicUsize,
    counters: LockCounters,
}

impl<M: Threads> std::fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowLocks")
            .field("occupied", &self.occupied)
            .finish_non_exhaustive()
    }
}

impl<M: Threads> Shared<M> {
    /// Changes the table, and rings outside the mutex for those who were served.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut Table<M::Signal>, &mut Vec<Arc<M::Signal>>) -> R,
    ) -> R {
        let mut woken = Vec::new();
        let result = self.table.with(|table| {
            let result = change(table, &mut woken);
            self.occupied.store(table.rows(), SeqCst);
            result
        });
        for signal in woken {
            signal.ring();
        }
        result
    }

    /// Blocks until the place has been served; at the deadline leaves the queue. A place that was
    /// served at the last moment counts as served.
    fn await_place(
        &self,
        place: &Place<M::Signal>,
        deadline: Option<Duration>,
    ) -> Result<(), LockError> {
        let since = self.threads.monotonic();
        self.counters.waits.add(1);
        let served =
            self.sleep(&place.signal, deadline) || !self.change(|table, _| table.leave(place));
        self.counters
            .waited(self.threads.monotonic().saturating_sub(since));
        if served {
            return Ok(());
        }
        self.counters.timeouts.add(1);
        Err(LockError::Deadline)
    }

    /// Sleeps until served, and answers true, or until the deadline.
    fn sleep(&self, signal: &M::Signal, deadline: Option<Duration>) -> bool {
        loop {
            // Counted before looking: a ring between the look and the sleep ends the sleep.
            let count = signal.count();
            if signal.is_served() {
                return true;
            }
            match deadline {
                None => self.threads.wait(signal, count, None),
                Some(end) => match end.checked_sub(self.threads.monotonic()) {
                    None | Some(Duration::ZERO) => return false,
                    Some(rest) => self.threads.wait(signal, count, Some(rest)),
                },
            }
        }
    }
}
