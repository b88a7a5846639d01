//! Writes out what gathers faster than the keeper comes by, so that the commits which wait for
//! nothing do not have to: neither for the copy into the file, nor for the end of a segment.
//!
//! It is a task of its own because the keeper may be at a sync, which takes as long as the disk
//! likes.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Weak};

use mantis_env::{Step, Task};

use crate::inner::Inner;

/// The share of the buffer's bound at which it is written out. Small enough that the rest is not
/// filled meanwhile, large enough that one wake-up serves some thousand commits.
const SHARE: u64 = 4;

/// Writes the buffer of one log when asked.
pub(crate) struct WriteOut {
    log: Weak<Inner>,
}

impl WriteOut {
    pub(crate) fn new(log: &Arc<Inner>) -> Self {
        Self {
            log: Arc::downgrade(log),
        }
    }
}

impl Inner {
    /// Has the buffer written in the background if enough is in it. Wakes once for each writing.
    pub(crate) fn ask_to_write_out(&self, buffered: u64) {
        if !self.is_much(buffered) || self.asked_to_write_out.load(Relaxed) {
            return;
        }
        if let Some(waker) = self.write_out.get()
            && !self.asked_to_write_out.swap(true, SeqCst)
        {
            waker.wake();
        }
    }

    fn is_much(&self, buffered: u64) -> bool {
        buffered >= self.options.buffer_bytes_max / SHARE
    }
}

impl Task for WriteOut {
    fn step(&mut self) -> Step {
        let Some(log) = self.log.upgrade() else {
            return Step::Done;
        };
        log.asked_to_write_out.store(false, SeqCst);
        let is_much = log.is_much(log.buffered.load(Relaxed));
        // A failure has poisoned the log, or the disk is full: either is told to the next who asks.
        if is_much && log.poison.get().is_none() && log.write(log.last_seq()).is_err() {
            log.counters.background_failures.add(1);
        }
        Step::Idle
    }
}
