//! What the lock table counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_engine::Counter;

use super::LockError;

/// Upper bounds of the waits in [`LockStats::waits_us`], in microseconds.
pub const LOCK_WAIT_BOUNDS_US: [u64; 10] = [
    10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000,
];

/// Row locks now, and counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockStats {
    /// Locks that transactions hold now.
    pub held: u64,
    /// Requests, and commits outside transactions, that stand in a queue now.
    pub waiting: u64,
    /// Waits that began.
    pub waits: u64,
    /// Requests that were refused because their wait would have closed a cycle.
    pub deadlocks: u64,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Requests that were refused at `Limits::row_locks_max` or `Limits::lock_waiters_max`.
    pub refused: u64,
    /// Time spent in all waits that have ended.
    pub wait_total: Duration,
    /// The longest of them.
    pub wait_max: Duration,
    /// How many of them took up to each of [`LOCK_WAIT_BOUNDS_US`] and longer than the one before;
    /// the last for those beyond all.
    pub waits_us: [u64; LOCK_WAIT_BOUNDS_US.len() + 1],
}

/// Live counters.
#[derive(Debug, Default)]
pub(super) struct LockCounters {
    pub(super) waits: Counter,
    pub(super) timeouts: Counter,
    deadlocks: Counter,
    refused: Counter,
    wait_nanos: Counter,
    wait_nanos_max: AtomicU64,
    waits_us: [AtomicU64; LOCK_WAIT_BOUNDS_US.len() + 1],
}

impl LockCounters {
    pub(super) fn count_refusal(&self, error: Option<&LockError>) {
        match error {
            Some(LockError::Deadlock) => self.deadlocks.add(1),
            Some(LockError::TooManyLocks { .. } | LockError::TooManyWaiters { .. }) => {
                self.refused.add(1);
            }
            // A deadline ends a wait, and is counted there.
            Some(LockError::Deadline) | None => {}
        }
    }

    /// Counts a wait that has ended, however it did.
    pub(super) fn waited(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.wait_nanos.add(nanos);
        self.wait_nanos_max.fetch_max(nanos, Relaxed);
        let bounds = LOCK_WAIT_BOUNDS_US.into_iter().chain([u64::MAX]);
        let found = bounds
            .zip(&self.waits_us)
            .find(|(bound, _)| nanos / 1000 <= *bound);
        if let Some((_, count)) = found {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn stats(&self, held: usize, waiting: usize) -> LockStats {
        LockStats {
            held: held as u64,
            waiting: waiting as u64,
            waits: self.waits.get(),
            deadlocks: self.deadlocks.get(),
            timeouts: self.timeouts.get(),
            refused: self.refused.get(),
            wait_total: Duration::from_nanos(self.wait_nanos.get()),
            wait_max: Duration::from_nanos(self.wait_nanos_max.load(Relaxed)),
            waits_us: std::array::from_fn(|at| {
                let count = self.waits_us.get(at);
                count.map_or(0, |count| count.load(Relaxed))
            }),
        }
    }
}
