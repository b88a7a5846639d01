//! The protocol under drawn schedules of its threads: shuttle stops each thread at every mutex, flag
//! and bell, and reports a lost wake-up as a deadlock. Seeded mutants show that it would.

use std::mem::ManuallyDrop;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_testkit::schedule::{check, schedules};
use mantis_types::Limits;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::sync::{Condvar, Mutex};
use shuttle::{check_random, thread};

use super::super::threads::{Exclusive, Signal, Threads};
use super::super::{LockError, LockRequest, Requested, RowLocks, Turn};
use super::txn;

const SCHEDULES: usize = 5_000;
/// A mutant is to be found within so many.
const MUTANT_SCHEDULES: usize = 20_000;

/// What is wrong with the protocol.
type Mutant = u8;
const NONE: Mutant = 0;
/// A wait that begins after the ring sleeps, as if the count were taken after the look.
const COUNTS_LATE: Mutant = 1;
/// The bell rings before the flag says why.
const RINGS_EARLY: Mutant = 2;
/// A dropped request stays in its queue.
const STAYS_IN_QUEUE: Mutant = 3;
/// A dropped request that has just been served keeps the lock.
const KEEPS_GRANT: Mutant = 4;
/// A turn does not end.
const KEEPS_TURN: Mutant = 5;

/// Threads of the checker. Its time passes by chance, in waits with a limit.
#[derive(Default)]
struct Drawn<const M: Mutant> {
    nanos: AtomicU64,
}

#[derive(Default)]
struct DrawnSignal<const M: Mutant> {
    served: AtomicBool,
    rings: Mutex<u32>,
    rung: Condvar,
}

impl<const M: Mutant> Threads for Drawn<M> {
    type Mutex<T: Send> = Mutex<T>;
    type Signal = DrawnSignal<M>;

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }

    fn wait(&self, signal: &DrawnSignal<M>, count: u32, limit: Option<Duration>) {
        if let Some(limit) = limit
            && shuttle::rand::thread_rng().gen_bool(0.5)
        {
            let nanos = u64::try_from(limit.as_nanos()).unwrap();
            self.nanos.fetch_add(nanos, Relaxed);
            thread::yield_now();
            return;
        }
        let mut rings = signal.rings.lock().unwrap();
        let count = if M == COUNTS_LATE { *rings } else { count };
        while *rings == count {
            rings = signal.rung.wait(rings).unwrap();
        }
    }
}

impl<T: Send> Exclusive<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.lock().unwrap())
    }
}

impl<const M: Mutant> Signal for DrawnSignal<M> {
    fn serve(&self) {
        if M != RINGS_EARLY {
            self.served.store(true, SeqCst);
        }
    }

    fn is_served(&self) -> bool {
        self.served.load(SeqCst)
    }

    fn count(&self) -> u32 {
        *self.rings.lock().unwrap()
    }

    fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.rung.notify_all();
        if M == RINGS_EARLY {
            self.served.store(true, SeqCst);
        }
    }
}

/// The row that is fought for, and who is in it.
struct Scene<const M: Mutant> {
    locks: RowLocks<Drawn<M>>,
    inside: AtomicBool,
}

impl<const M: Mutant> Scene<M> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            locks: RowLocks::over(Drawn::default(), &Limits::default()),
            inside: AtomicBool::new(false),
        })
    }

    fn write(&self) {
        assert!(!self.inside.swap(true, SeqCst), "two in one row");
        self.inside.store(false, SeqCst);
    }

    fn release(&self, who: u64, key: &[u8]) {
        self.locks.release(txn(who), std::iter::once(key));
    }

    /// Locks, writes, releases; or gives up at the deadline.
    fn lock_and_write(&self, who: u64, deadline: Option<Duration>) {
        let got = match self.locks.request(txn(who), b"a").unwrap() {
            Requested::Granted => Ok(()),
            Requested::Queued(request) => request.wait(deadline),
        };
        match got {
            Ok(()) => {
                self.write();
                self.release(who, b"a");
            }
            Err(error) => assert_eq!(error, LockError::Deadline),
        }
    }

    /// Asks and goes away again, whether or not the lock has come.
    fn ask_and_leave(&self, who: u64) {
        match self.locks.request(txn(who), b"a").unwrap() {
            Requested::Granted => self.release(who, b"a"),
            Requested::Queued(request) => {
                thread::yield_now();
                drop_request(&self.locks, request);
            }
        }
    }

    /// A commit outside transactions.
    fn commit(&self) {
        let turn = self.locks.wait_free(b"a", None).unwrap();
        if turn.keeps_others_out() {
            self.write();
        }
        drop_turn(turn);
    }

    fn check_empty(&self) {
        assert!(!self.locks.any(), "a lock was left behind");
        let stats = self.locks.stats();
        assert_eq!((stats.held, stats.waiting), (0, 0));
    }
}

fn drop_request<const M: Mutant>(locks: &RowLocks<Drawn<M>>, request: LockRequest<Drawn<M>>) {
    match M {
        STAYS_IN_QUEUE => {
            let _undropped = ManuallyDrop::new(request);
        }
        KEEPS_GRANT => {
            let request = ManuallyDrop::new(request);
            locks.shared.change(|table, _| table.leave(request.place()));
        }
        _ => drop(request),
    }
}

fn drop_turn<const M: Mutant>(turn: Turn<Drawn<M>>) {
    let turn = ManuallyDrop::new(turn);
    if M != KEEPS_TURN {
        drop(ManuallyDrop::into_inner(turn));
    }
}

/// Everything that can meet at one row, at once.
fn meet_at_one_row<const M: Mutant>() {
    let scene = Scene::<M>::new();
    let spawn = |act: fn(&Scene<M>)| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || act(&scene))
    };
    let threads = [
        spawn(|s| s.lock_and_write(1, None)),
        spawn(|s| s.lock_and_write(2, Some(Duration::from_nanos(2)))),
        spawn(|s| s.ask_and_leave(3)),
        spawn(Scene::commit),
        spawn(|s| s.lock_and_write(4, None)),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    scene.check_empty();
}

/// Two transactions take two rows in opposite order: at most one is refused, and both end.
fn cross_over_two_rows() {
    let scene = Scene::<NONE>::new();
    let cross = |who: u64, keys: [&'static [u8]; 2]| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || {
            let got = keys.map(|key| match scene.locks.request(txn(who), key) {
                Ok(Requested::Granted) => Ok(()),
                Ok(Requested::Queued(request)) => request.wait(None),
                Err(error) => Err(error),
            });
            keys.iter().for_each(|key| scene.release(who, key));
            got.into_iter().filter(Result::is_err).count()
        })
    };
    let threads = [cross(1, [b"a", b"b"]), cross(2, [b"b", b"a"])];
    let refused: usize = threads.map(|t| t.join().unwrap()).into_iter().sum();
    assert!(refused <= 1);
    assert_eq!(scene.locks.stats().deadlocks, refused as u64);
    scene.check_empty();
}

#[test]
fn no_schedule_loses_a_wake_up_or_a_lock() {
    check(meet_at_one_row::<NONE>, schedules(SCHEDULES));
}

#[test]
fn no_schedule_hangs_two_who_cross_over() {
    check(cross_over_two_rows, schedules(SCHEDULES));
}

fn is_caught<const M: Mutant>() -> bool {
    catch_unwind(|| check_random(meet_at_one_row::<M>, MUTANT_SCHEDULES)).is_err()
}

#[test]
fn control_every_mutant_is_caught() {
    assert!(is_caught::<COUNTS_LATE>(), "a count taken late");
    assert!(is_caught::<RINGS_EARLY>(), "a ring before its reason");
    assert!(is_caught::<STAYS_IN_QUEUE>(), "a request that stays");
    assert!(is_caught::<KEEPS_GRANT>(), "a grant that is kept");
    assert!(is_caught::<KEEPS_TURN>(), "a turn that does not end");
}
