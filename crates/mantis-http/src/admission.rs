//! Admission of calls that block: so many at once, so many waiting, first come first served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mantis_types::Code;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::failure::{Failure, Outcome};
use crate::metrics::Histogram;
use crate::server::TaskGroup;

/// Longest wait for a place. Beyond: 503 `pool_exhausted`.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The places for calls that block.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    calls_max: usize,
    waiting_max: usize,
    tasks: TaskGroup,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    waiting: AtomicUsize,
    active: AtomicUsize,
    acquires: AtomicU64,
    waits: AtomicU64,
    timeouts: AtomicU64,
    refused: AtomicU64,
    wait_micros_max: AtomicU64,
    wait: Histogram,
}

/// What the admission says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdmissionStats {
    pub(crate) calls_max: usize,
    pub(crate) active: usize,
    pub(crate) waiting: usize,
    pub(crate) acquires: u64,
    /// Calls that found no free place.
    pub(crate) waits: u64,
    pub(crate) wait_sum: Duration,
    pub(crate) wait_max: Duration,
    pub(crate) timeouts: u64,
    /// Calls that were refused because too many were waiting.
    pub(crate) refused: u64,
}

impl Admission {
    pub(crate) fn new(calls_max: usize, waiting_max: usize, tasks: TaskGroup) -> Self {
        Self {
            places: Arc::new(Semaphore::new(calls_max)),
            calls_max,
            waiting_max,
            tasks,
            counters: Arc::default(),
        }
    }

    /// Runs a call when there is a place for it. A call whose deadline passes before, or whose
    /// caller leaves, never begins; one that has begun runs to its end.
    ///
    /// # Errors
    /// 503 `pool_exhausted` when too many wait or the wait takes too long; 408 at the deadline, with
    /// `outcome: unknown` when the call had begun and writes; 500 when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        terms: Terms,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let place = self.place(terms).await?;
        let active = Active::new(&self.counters);
        let placed = move || {
            let answer = call();
            drop((active, place));
            answer
        };
        self.run_beside(terms, placed).await
    }

    /// Runs a call that has a place elsewhere.
    ///
    /// # Errors
    /// 408 and 500 as [`Self::run`].
    pub(crate) async fn run_beside<T: Send + 'static>(
        &self,
        terms: Terms,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let running = self.tasks.block(call);
        match tokio::time::timeout_at(terms.deadline, running).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => {
                Err(Failure::new(Code::Internal, "internal error").because("a call panicked"))
            }
            Err(_) if terms.writes => Err(terms.late().detail("outcome", "unknown")),
            Err(_) => Err(terms.late()),
        }
    }

    async fn place(&self, terms: Terms) -> Outcome<tokio::sync::OwnedSemaphorePermit> {
        let counters = &self.counters;
        counters.acquires.fetch_add(1, Relaxed);
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            counters.wait.observe(Duration::ZERO);
            return Ok(place);
        }
        if counters.waiting.load(Relaxed) >= self.waiting_max {
            counters.refused.fetch_add(1, Relaxed);
            return Err(exhausted("too many requests are waiting"));
        }
        counters.waits.fetch_add(1, Relaxed);
        let _waiting = Waiting::new(counters);
        let from = Instant::now();
        let until = terms.deadline.min(from + WAIT_MAX);
        let place = tokio::time::timeout_at(until, Arc::clone(&self.places).acquire_owned()).await;
        let waited = from.elapsed();
        counters.wait.observe(waited);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        counters.wait_micros_max.fetch_max(micros, Relaxed);
        match place {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Failure::new(
                Code::ShuttingDown,
                "the server is shutting down",
            )),
            Err(_) => {
                counters.timeouts.fetch_add(1, Relaxed);
                if until == terms.deadline {
                    Err(terms.late())
                } else {
                    Err(exhausted("no place became free in time"))
                }
            }
        }
    }

    pub(crate) fn stats(&self) -> AdmissionStats {
        let c = &self.counters;
        AdmissionStats {
            calls_max: self.calls_max,
            active: c.active.load(Relaxed),
            waiting: c.waiting.load(Relaxed),
            acquires: c.acquires.load(Relaxed),
            waits: c.waits.load(Relaxed),
            wait_sum: c.wait.sum(),
            wait_max: Duration::from_micros(c.wait_micros_max.load(Relaxed)),
            timeouts: c.timeouts.load(Relaxed),
            refused: c.refused.load(Relaxed),
        }
    }

    pub(crate) fn wait_histogram(&self) -> &Histogram {
        &self.counters.wait
    }
}

/// On which terms a call runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) deadline: Instant,
    /// The caller has set the deadline, not the server.
    pub(crate) by_caller: bool,
    pub(crate) writes: bool,
}

impl Terms {
    /// 408: the deadline has passed.
    pub(crate) fn late(self) -> Failure {
        if self.by_caller {
            Failure::new(
                Code::DeadlineExceeded,
                "the deadline of X-Mantis-Timeout-Ms has passed",
            )
        } else {
            Failure::new(
                Code::Timeout,
                "the request took longer than server.request_timeout",
            )
        }
    }
}

fn exhausted(message: &'static str) -> Failure {
    Failure::new(Code::PoolExhausted, message)
}

/// Counts a waiting caller for as long as it waits, also when it leaves.
struct Waiting<'a>(&'a Counters);

impl<'a> Waiting<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.waiting.fetch_add(1, Relaxed);
        Self(counters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// Counts a call for as long as it runs, also when it panics.
struct Active(Arc<Counters>);

impl Active {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.active.fetch_add(1, Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
