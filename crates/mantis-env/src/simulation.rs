//! The simulated machine: one seed drives its clock, its randomness, its disk and the order of its
//! tasks.

mod disk;
mod files;
mod schedule;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::rng::splitmix64;
use crate::{Clock, Fs, Rng, SeededRng, Tasks};
use files::SimFs;
use schedule::Schedule;

/// 2023-11-14, so that times look like times.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// The controls of a simulated machine. Cheap to clone; all clones are the same machine.
///
/// Nothing in it runs by itself: tasks are stepped by [`Simulation::run_tasks`] and
/// [`Simulation::advance`], and time passes by [`Simulation::advance`] and [`Clock::sleep`] only.
#[derive(Clone)]
pub struct Simulation {
    machine: Arc<Machine>,
}

struct Machine {
    seed: u64,
    clock: Arc<SimClock>,
    rng: Arc<SeededRng>,
    fs: Arc<SimFs>,
    schedule: Arc<Schedule>,
    trace: Arc<Trace>,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        let trace = Arc::new(Trace::default());
        let clock = Arc::new(SimClock::new(Arc::clone(&trace)));
        let mut mix = seed;
        let rng = Arc::new(SeededRng::new(splitmix64(&mut mix)));
        let fs = Arc::new(SimFs::new(splitmix64(&mut mix), Arc::clone(&trace)));
        let schedule = Schedule::new(splitmix64(&mut mix), Arc::clone(&clock), Arc::clone(&trace));
        let schedule = Arc::new(schedule);
        Self {
            machine: Arc::new(Machine {
                seed,
                clock,
                rng,
                fs,
                schedule,
                trace,
            }),
        }
    }

    /// The seed that it was made from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.machine.seed
    }

    /// Steps tasks in an order drawn from the seed, until none wants to go on without time passing
    /// or a wake, or `steps_max` have been made; answers how many were.
    pub fn run_tasks(&self, steps_max: usize) -> usize {
        self.machine.schedule.run(steps_max)
    }

    /// Lets time pass, and steps each task when its time has come; answers how many steps were
    /// made, at most `steps_max`.
    pub fn advance(&self, span: Duration, steps_max: usize) -> usize {
        self.machine.schedule.advance(span, steps_max)
    }

    /// Pulls the plug: every task is dropped, every open file and lock is dead, and by seed each
    /// write that was not synced is kept, dropped or torn at 512-byte sectors, each change of names
    /// that was not synced is kept or lost.
    pub fn crash(&self) {
        self.machine.schedule.drop_all();
        self.machine.fs.crash();
    }

    /// Kills the process but not the machine: tasks are dropped, files and locks are dead, and
    /// everything that was written stays.
    pub fn kill(&self) {
        self.machine.schedule.drop_all();
        self.machine.fs.kill();
    }

    /// Sets the size of the disk; writing beyond it fails with ENOSPC. Default: no bound.
    pub fn set_disk_bytes(&self, bytes: u64) {
        self.machine.fs.set_capacity(bytes);
    }

    /// Makes the next syncs of files fail as the worst systems do: EIO is answered once, readers go on
    /// seeing what was written, a later sync succeeds, and yet it is not on disk.
    pub fn fail_syncs(&self, count: u32) {
        self.machine.fs.fail_syncs(count);
    }

    /// A hash over every file operation, draw, task step and passing of time so far: equal for
    /// equal runs.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        let drawn = *self.machine.trace.hash.lock();
        // The generator's own state stands for the draws that were made from it.
        splitmix64(&mut (drawn ^ self.machine.rng.fingerprint()))
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::<SimClock>::clone(&self.machine.clock)
    }

    pub(crate) fn rng(&self) -> Arc<dyn Rng> {
        Arc::<SeededRng>::clone(&self.machine.rng)
    }

    pub(crate) fn fs(&self) -> Arc<dyn Fs> {
        Arc::<SimFs>::clone(&self.machine.fs)
    }

    pub(crate) fn tasks(&self) -> Arc<dyn Tasks> {
        Arc::<Schedule>::clone(&self.machine.schedule)
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.machine.seed)
            .finish_non_exhaustive()
    }
}

/// The running hash over what happened.
#[derive(Debug, Default)]
struct Trace {
    /// Guards the hash. Last in every lock order; held for some instructions.
    hash: Mutex<u64>,
}

impl Trace {
    fn note(&self, event: &str, numbers: &[u64], bytes: &[u8]) {
        let mut hash = self.hash.lock();
        let words = numbers.iter().copied().chain(event.bytes().map(u64::from));
        for word in words.chain([fnv1a(bytes)]) {
            let mut mixed = *hash ^ word;
            *hash = splitmix64(&mut mixed);
        }
    }
}

/// FNV-1a: small, and good enough to tell two runs apart.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A clock that stands still until it is told.
#[derive(Debug)]
struct SimClock {
    nanos: AtomicU64,
    trace: Arc<Trace>,
}

impl SimClock {
    fn new(trace: Arc<Trace>) -> Self {
        Self {
            nanos: AtomicU64::new(0),
            trace,
        }
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.nanos.load(Ordering::SeqCst) / 1_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.trace.note("time", &[nanos], &[]);
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}
