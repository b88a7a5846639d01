//! What one has of the lock table while waiting, and while one's turn lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use super::table::Place;
use super::threads::{RealThreads, Signal, Threads};
use super::{LockError, Shared};
use crate::txn_id::TxnId;

/// A place in the queue of one lock. Dropping it before its answer leaves the queue, and hands the
/// lock on if it had just come; after the answer the lock is the transaction's.
#[must_use = "dropping it leaves the queue"]
pub(crate) struct LockRequest<M: Threads = RealThreads> {
    shared: Arc<Shared<M>>,
    who: TxnId,
    place: Place<M::Signal>,
    since: Duration,
    /// The caller knows how it ended.
    answered: AtomicBool,
}

impl<M: Threads> std::fmt::Debug for LockRequest<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key, which is somebody's data.
        f.debug_struct("LockRequest")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

impl<M: Threads> LockRequest<M> {
    pub(super) fn new(shared: Arc<Shared<M>>, who: TxnId, place: Place<M::Signal>) -> Self {
        shared.counters.waits.add(1);
        Self {
            since: shared.threads.monotonic(),
            shared,
            who,
            place,
            answered: AtomicBool::new(false),
        }
    }

    /// The answer, if there is one. Never blocks; one atomic load. Once it was `Ok`, the lock is the
    /// transaction's and has to be released by it.
    pub(crate) fn poll(&self) -> Option<Result<(), LockError>> {
        if !self.place.signal.is_served() {
            return None;
        }
        self.answer();
        Some(Ok(()))
    }

    /// Blocks until the lock is the transaction's, or until `deadline`, a time of the environment's
    /// monotonic clock; without one, for ever. A lock that comes at the last moment is taken.
    ///
    /// # Errors
    /// `Deadline`; the queue has been left then.
    pub(crate) fn wait(self, deadline: Option<Duration>) -> Result<(), LockError> {
        let served = self.shared.sleep(&self.place.signal, deadline)
            || !self.shared.change(|table, _| table.leave(&self.place));
        self.answer();
        if served {
            return Ok(());
        }
        self.shared.counters.timeouts.add(1);
        Err(LockError::Deadline)
    }

    /// Where it stands, for a model that leaves the queue in a wrong way.
    #[cfg(test)]
    pub(super) fn place(&self) -> &Place<M::Signal> {
        &self.place
    }

    fn answer(&self) {
        if !self.answered.swap(true, Relaxed) {
            let now = self.shared.threads.monotonic();
            self.shared.counters.waited(now.saturating_sub(self.since));
        }
    }
}

impl LockRequest {
    /// Whether there is an answer; if not, `waker` is woken once there is. Never blocks.
    pub(crate) fn poll_ready(&self, waker: &Waker) -> bool {
        self.place.signal.is_served_or_wake(waker)
    }
}

impl<M: Threads> Drop for LockRequest<M> {
    fn drop(&mut self) {
        if self.answered.load(Relaxed) {
            return;
        }
        self.shared.change(|table, woken| {
            // One section: between the two nobody must be served who is going away.
            if !table.leave(&self.place) {
                table.release(self.who, &self.place.key, woken);
            }
        });
        self.answer();
    }
}

/// The turn of a commit outside transactions: while it lasts, no transaction that waited behind gets
/// the lock. To be dropped when the versions are in the memtable; while it is held, its holder waits
/// for latches only.
#[must_use = "dropping it ends the turn"]
pub(crate) struct Turn<M: Threads = RealThreads> {
    /// `None` when nobody had to be waited for.
    at: Option<TurnAt<M>>,
}

struct TurnAt<M: Threads> {
    shared: Arc<Shared<M>>,
    key: Arc<[u8]>,
}

impl<M: Threads> std::fmt::Debug for Turn<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn")
            .field("keeps_others_out", &self.keeps_others_out())
            .finish()
    }
}

impl<M: Threads> Turn<M> {
    pub(super) fn free() -> Self {
        Self { at: None }
    }

    /// Whether transactions wait for its end: not when nobody had to be waited for.
    pub(super) fn keeps_others_out(&self) -> bool {
        self.at.is_some()
    }

    pub(super) fn of(shared: Arc<Shared<M>>, place: Place<M::Signal>) -> Self {
        Self {
            at: Some(TurnAt {
                shared,
                key: place.key,
            }),
        }
    }
}

impl<M: Threads> Drop for Turn<M> {
    fn drop(&mut self) {
        if let Some(TurnAt { shared, key }) = self.at.take() {
            shared.change(|table, woken| table.end_turn(&key, woken));
        }
    }
}
