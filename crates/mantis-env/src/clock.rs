//! The clock: wall time, monotonic time and sleeping.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time and sleeps.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970; may jump when a human sets the clock.
    fn now_ms(&self) -> u64;
    /// Time since some moment before this clock was made; never goes back.
    fn monotonic(&self) -> Duration;
    /// Lets the calling thread sleep; the simulated clock only moves itself forward.
    fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct RealClock {
    started: Instant,
}

impl RealClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others are sent to"
    )]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for RealClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others are sent to"
    )]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others are sent to"
    )]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
