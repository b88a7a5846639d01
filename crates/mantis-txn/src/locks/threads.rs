//! What the lock table needs of threads, so that a model checker can stand in for the machine.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Waker;
use std::time::Duration;

use mantis_env::{Bell, Env};
use parking_lot::Mutex;

/// Mutexes, signals and time.
pub(crate) trait Threads: Send + Sync + 'static {
    /// Lets one thread at a time at a `T`.
    type Mutex<T: Send>: Exclusive<T>;
    /// What one waiter sleeps on.
    type Signal: Signal;

    /// Time of the clock that deadlines are measured by.
    fn monotonic(&self) -> Duration;

    /// Sleeps until the signal has been rung since `count`, at most `limit`; may return early.
    fn wait(&self, signal: &Self::Signal, count: u32, limit: Option<Duration>);
}

/// A mutex whose guard does not leave it.
pub(crate) trait Exclusive<T>: Send + Sync {
    fn new(value: T) -> Self;
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R;
}

/// Tells one waiter that it has been served.
pub(crate) trait Signal: Default + Send + Sync {
    /// Notes it; under the table's mutex.
    fn serve(&self);
    /// Whether it has been noted.
    fn is_served(&self) -> bool;
    /// How often it has been rung. To be taken before looking whether it is served.
    fn count(&self) -> u32;
    /// Wakes the waiter; outside the mutex.
    fn ring(&self);
}

/// The machine's threads, and the environment's clock.
#[derive(Debug)]
pub(crate) struct RealThreads {
    env: Env,
}

impl RealThreads {
    pub(super) fn new(env: &Env) -> Self {
        Self { env: env.clone() }
    }
}

impl Threads for RealThreads {
    type Mutex<T: Send> = Mutex<T>;
    type Signal = ServedBell;

    fn monotonic(&self) -> Duration {
        self.env.clock().monotonic()
    }

    fn wait(&self, signal: &ServedBell, count: u32, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.env.wait(&signal.bell, count, limit),
            None => self.env.wait_for_ring(&signal.bell, count),
        }
    }
}

impl<T: Send> Exclusive<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.lock())
    }
}

/// A flag, and the bell and the waker that tell of it.
#[derive(Debug, Default)]
pub(crate) struct ServedBell {
    served: AtomicBool,
    bell: Bell,
    /// Guards whom to wake, for a waiter that keeps no thread. Leaf lock; held to swap one in or out.
    waker: Mutex<Option<Waker>>,
}

impl ServedBell {
    /// Whether it is served; if not, `waker` is woken once it is.
    pub(super) fn is_served_or_wake(&self, waker: &Waker) -> bool {
        // Before the look: whoever serves afterwards finds it.
        *self.waker.lock() = Some(waker.clone());
        self.is_served()
    }
}

impl Signal for ServedBell {
    fn serve(&self) {
        self.served.store(true, SeqCst);
    }

    fn is_served(&self) -> bool {
        self.served.load(SeqCst)
    }

    fn count(&self) -> u32 {
        self.bell.count()
    }

    fn ring(&self) {
        self.bell.ring();
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
