//! A bell: threads sleep on it until it is rung, and one system call wakes all of them.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Timespec};

/// Wakes all who wait with one system call, where a condition variable would wake them one after
/// the other through its lock. Nobody is woken for nothing: who has seen an older count does not
/// sleep.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicU32,
}

impl Bell {
    /// How often it has been rung, modulo 2^32. To be taken before looking at what is waited for.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.rung.load(SeqCst)
    }

    /// Sleeps until the bell has been rung since `count`; may also return early.
    pub fn wait(&self, count: u32) {
        self.sleep(count, None);
    }

    /// As [`Self::wait`], but at most so long. To be called through [`crate::Env::wait`].
    pub(crate) fn wait_for(&self, count: u32, timeout: Duration) {
        let timespec = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.sleep(count, Some(&timespec));
    }

    fn sleep(&self, count: u32, timeout: Option<&Timespec>) {
        match futex::wait(&self.rung, futex::Flags::PRIVATE, count, timeout) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
            Err(error) => unreachable!("a futex of one's own memory answered {error}"),
        }
    }

    /// Rings: all who wait go on.
    pub fn ring(&self) {
        self.rung.fetch_add(1, SeqCst);
        if let Err(error) = futex::wake(&self.rung, futex::Flags::PRIVATE, u32::MAX >> 1) {
            unreachable!("waking on a word of one's own memory answered {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn wait_past(bell: &Bell, count: u32) {
        while bell.count() == count {
            bell.wait(count);
        }
    }

    #[test]
    fn all_who_wait_are_woken_and_a_late_one_does_not_sleep() {
        let bell = Arc::new(Bell::default());
        let count = bell.count();
        let wait = |_| {
            let bell = Arc::clone(&bell);
            std::thread::Builder::new().spawn(move || wait_past(&bell, count))
        };
        let threads: Vec<_> = (0..4).map(wait).collect();
        bell.ring();
        for thread in threads {
            thread.unwrap().join().unwrap();
        }
        bell.wait(count);
        bell.wait_for(bell.count(), Duration::from_millis(1));
    }
}
