//! Back-pressure: writers are slowed down before they have to wait, and refused on a full disk.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::shared::Shared;
use crate::EngineError;

/// Delay for each byte when the engine is as far behind as it may be: 2 MB/s remain.
const NANOS_PER_BYTE_MAX: f64 = 500.0;
/// Delays are gathered until a sleep is worth its system call.
const SLEEP_MIN: Duration = Duration::from_micros(200);
/// One writer never sleeps longer than this for what others have gathered.
const SLEEP_MAX: Duration = Duration::from_millis(5);
/// A waiting writer looks again after this long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How far behind the engine is, and who waits for it.
#[derive(Debug)]
pub(super) struct Pressure {
    sealed_bytes: AtomicU64,
    level0_runs: AtomicU64,
    debt_nanos: AtomicU64,
    /// Free space is below the low-water mark.
    disk_low: AtomicBool,
    /// The last flush found the disk full.
    disk_full: AtomicBool,
    free_bytes: AtomicU64,
    stalls: AtomicU64,
    stall_nanos: AtomicU64,
    /// Guards the last damage found by background work. Taken alone.
    failure: Mutex<Option<String>>,
    /// Guards nothing but the sleep of waiting writers.
    waiting: Mutex<()>,
    progress: Condvar,
}

impl Pressure {
    pub(super) fn new() -> Self {
        Self {
            sealed_bytes: AtomicU64::new(0),
            level0_runs: AtomicU64::new(0),
            debt_nanos: AtomicU64::new(0),
            disk_low: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            stalls: AtomicU64::new(0),
            stall_nanos: AtomicU64::new(0),
            failure: Mutex::new(None),
            waiting: Mutex::new(()),
            progress: Condvar::new(),
        }
    }

    pub(super) fn set_sealed(&self, bytes: u64) {
        self.sealed_bytes.store(bytes, SeqCst);
    }

    /// Something was flushed or merged: whoever waits looks again.
    pub(super) fn progress(&self) {
        drop(self.waiting.lock());
        self.progress.notify_all();
    }

    pub(super) fn flush_ended(&self, flushed: &Result<(), EngineError>) {
        // The memtable of a failed flush stays: it is tried again until this is over.
        match flushed {
            Ok(()) => self.disk_full.store(false, SeqCst),
            Err(EngineError::DiskFull) => self.disk_full.store(true, SeqCst),
            Err(_) => {}
        }
        self.note(flushed.as_ref().err());
    }

    /// A compaction without room stops nobody: if level 0 grows for it, writers slow down.
    pub(super) fn compaction_ended(&self, merged: &Result<bool, EngineError>) {
        self.note(merged.as_ref().err());
    }

    fn note(&self, error: Option<&EngineError>) {
        if let Some(error @ EngineError::Corrupt { .. }) = error {
            *self.failure.lock() = Some(error.to_string());
        }
        self.progress();
    }

    pub(super) fn disk_is_full(&self) -> bool {
        self.disk_low.load(SeqCst) || self.disk_full.load(SeqCst)
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(SeqCst)).filter(|bytes| *bytes != u64::MAX)
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    pub(super) fn stall_seconds(&self) -> f64 {
        Duration::from_nanos(self.stall_nanos.load(Relaxed)).as_secs_f64()
    }

    fn stalled(&self, span: Duration) {
        self.stalls.fetch_add(1, Relaxed);
        self.stall_nanos.fetch_add(nanos(span), Relaxed);
    }
}

impl Shared {
    /// See [`crate::Engine::admit`].
    pub(super) fn admit(&self, bytes: u64) -> Result<(), EngineError> {
        self.refuse_when_closed()?;
        if self.pressure.disk_is_full() {
            return Err(EngineError::DiskFull);
        }
        // Room for a value of half the budget with its framing.
        let max = self.options.memory.memtables_bytes_max / 4 * 3;
        if bytes > max {
            return Err(EngineError::CommitTooLarge { bytes, max });
        }
        if !self.options.background {
            return Ok(());
        }
        let behind = self.behind();
        if behind >= 1.0 {
            return self.wait_for_room();
        }
        if behind > 0.0 {
            self.slow_down(bytes, behind);
        }
        Ok(())
    }

    /// How far behind: 0 and less, not at all; 1 and more, as far as it may be.
    fn behind(&self) -> f64 {
        let options = &self.options;
        let pinned = self.pinned.bytes()[0];
        let sealed = self.pressure.sealed_bytes.load(SeqCst);
        let used = self.active_bytes() + sealed + pinned;
        let max = options.memory.memtables_bytes_max;
        let memory = share(used, max / 2, max);
        let runs = self.pressure.level0_runs.load(Relaxed);
        let (soft, hard) = (
            options.level0_runs_soft as u64,
            options.level0_runs_hard as u64,
        );
        memory.max(share(runs, soft, hard))
    }

    /// Adds to the delay that writers owe, and pays it once it is worth a sleep.
    fn slow_down(&self, bytes: u64, behind: f64) {
        let owed = Duration::from_secs_f64(
            as_f64(bytes) * NANOS_PER_BYTE_MAX * behind * behind / 1_000_000_000.0,
        );
        let pressure = &self.pressure;
        let before = pressure.debt_nanos.fetch_add(nanos(owed), Relaxed);
        if before + nanos(owed) < nanos(SLEEP_MIN) {
            return;
        }
        let debt = Duration::from_nanos(pressure.debt_nanos.swap(0, Relaxed)).min(SLEEP_MAX);
        if debt >= SLEEP_MIN {
            self.env.clock().sleep(debt);
            pressure.stalled(debt);
        }
    }

    fn wait_for_room(&self) -> Result<(), EngineError> {
        let clock = self.env.clock();
        let started = clock.monotonic();
        let waited = || clock.monotonic().saturating_sub(started);
        let answer = loop {
            self.wake_flusher();
            self.wake_compactor();
            self.account_pinned();
            self.sleep_until_progress();
            if let Err(error) = self.refuse_when_closed() {
                break Err(error);
            }
            if self.pressure.disk_is_full() {
                break Err(EngineError::DiskFull);
            }
            if self.behind() < 1.0 {
                break Ok(());
            }
            if waited() > self.options.stall_wait_max {
                break Err(EngineError::Stalled);
            }
        };
        self.pressure.stalled(waited());
        answer
    }

    fn sleep_until_progress(&self) {
        let mut waiting = self.pressure.waiting.lock();
        if self.behind() >= 1.0 {
            self.pressure.progress.wait_for(&mut waiting, LOOK_AGAIN);
        }
    }

    /// Room for the next record of a replay. On a full disk replay goes on in memory: a store that
    /// cannot be written must still open.
    pub(super) fn make_room_for_replay(&self) -> Result<(), EngineError> {
        if !self.options.background {
            let max = self.options.memory.memtables_bytes_max;
            let used = self.active_bytes() + self.pressure.sealed_bytes.load(SeqCst);
            if used >= max {
                self.flush_oldest().map(drop)
            } else {
                Ok(())
            }
        } else if self.behind() >= 1.0 && !self.pressure.disk_is_full() {
            match self.wait_for_room() {
                Err(EngineError::DiskFull) => Ok(()),
                other => other,
            }
        } else {
            Ok(())
        }
    }

    /// Looks at the disk: writes stop below the low-water mark, and go on a quarter above it.
    pub(super) fn look_at_free_space(&self) {
        let pressure = &self.pressure;
        pressure
            .level0_runs
            .store(self.store.level0_runs() as u64, Relaxed);
        // A disk that does not say how much is free is found out by the next flush.
        let Ok(free) = self.env.fs().free_bytes(&self.dir) else {
            return;
        };
        pressure.free_bytes.store(free, SeqCst);
        let min = self.options.free_bytes_min;
        let enough = min.saturating_add(min / 4);
        let was_low = pressure.disk_low.load(SeqCst);
        let low = if was_low { free < enough } else { free < min };
        pressure.disk_low.store(low, SeqCst);
        if was_low && !low {
            pressure.progress();
        }
    }

    /// Level 0 has changed.
    pub(super) fn look_at_level0(&self) {
        self.pressure
            .level0_runs
            .store(self.store.level0_runs() as u64, Relaxed);
    }
}

/// Where `value` stands between `from` (0) and `to` (1).
fn share(value: u64, from: u64, to: u64) -> f64 {
    if value <= from {
        return 0.0;
    }
    as_f64(value - from) / as_f64(to.saturating_sub(from).max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a delay need not be exact to 2^-53"
)]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
