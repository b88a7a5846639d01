//! Threads that wait for each other, with the machine's own mutexes and futexes.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::scope;
use std::time::Duration;

use mantis_env::{Env, SeededRng};
use mantis_types::Limits;

use super::super::{LockError, Requested, RowLocks};
use super::{PATIENCE, give, queue, take, txn};

/// Notices two who are in the same row at once.
#[derive(Default)]
struct Occupancy {
    taken: [AtomicBool; 3],
    clashes: AtomicU64,
}

impl Occupancy {
    fn enter(&self, row: usize) {
        if self.taken[row].swap(true, SeqCst) {
            self.clashes.fetch_add(1, SeqCst);
        }
    }

    fn leave(&self, row: usize) {
        self.taken[row].store(false, SeqCst);
    }
}

fn real() -> (Env, RowLocks) {
    let env = Env::real();
    let locks = RowLocks::new(&env, &Limits::default());
    (env, locks)
}

/// Takes the lock and waits as long as it takes.
fn lock(env: &Env, locks: &RowLocks, who: u64, key: &[u8]) -> Result<(), LockError> {
    match locks.request(txn(who), key)? {
        Requested::Granted => Ok(()),
        Requested::Queued(request) => request.wait(Some(env.clock().monotonic() + PATIENCE)),
    }
}

/// Waits until so many stand in queues.
fn await_waiting(env: &Env, locks: &RowLocks, count: u64) {
    let end = env.clock().monotonic() + PATIENCE;
    while locks.stats().waiting != count {
        assert!(env.clock().monotonic() < end, "nobody joined the queue");
        std::thread::yield_now();
    }
}

const ROUNDS: u64 = 2_000;

/// Locks one of three rows at a time, and adds one to its count in two steps.
fn count_under_locks(
    env: &Env,
    locks: &RowLocks,
    thread: u64,
    rows: &Occupancy,
    counts: &[AtomicU64; 3],
) {
    let rng = SeededRng::new(thread);
    for round in 0..ROUNDS {
        let who = thread * ROUNDS + round + 1;
        let number = rng.below(3);
        let (key, row) = (number.to_le_bytes(), usize::try_from(number).unwrap());
        lock(env, locks, who, &key).unwrap();
        rows.enter(row);
        // Loses updates when somebody is between the two.
        let seen = counts[row].load(SeqCst);
        std::thread::yield_now();
        counts[row].store(seen + 1, SeqCst);
        rows.leave(row);
        give(locks, who, &[&key]);
    }
}

#[test]
fn eight_threads_on_three_rows_are_never_two_in_one() {
    let (env, locks) = real();
    let rows = Occupancy::default();
    let counts: [AtomicU64; 3] = Default::default();
    scope(|s| {
        for thread in 0..8 {
            let (env, locks, rows, counts) = (&env, &locks, &rows, &counts);
            s.spawn(move || count_under_locks(env, locks, thread, rows, counts));
        }
    });
    assert_eq!(rows.clashes.load(SeqCst), 0);
    let total: u64 = counts.iter().map(|c| c.load(SeqCst)).sum();
    assert_eq!(total, 8 * ROUNDS);
    assert!(!locks.any());
    assert_eq!(locks.stats().waiting, 0);
}

#[test]
fn control_two_in_one_row_are_noticed() {
    let rows = Occupancy::default();
    rows.enter(1);
    rows.enter(2);
    assert_eq!(rows.clashes.load(SeqCst), 0);
    rows.enter(1);
    assert_eq!(rows.clashes.load(SeqCst), 1);
}

/// Holds one row and asks for the next one's, at the same time as everybody else; answers whether it
/// was the victim.
fn ask_for_next(env: &Env, locks: &RowLocks, barrier: &Barrier, n: u64, length: u64) -> bool {
    let (own, next) = (n.to_le_bytes(), ((n + 1) % length).to_le_bytes());
    take(locks, n, &own);
    barrier.wait();
    let got = lock(env, locks, n, &next);
    give(locks, n, &[&own, &next]);
    match got {
        Ok(()) => false,
        Err(LockError::Deadlock) => true,
        Err(error) => panic!("{n} of {length}: {error}"),
    }
}

fn cycle_of(length: u64) {
    let (env, locks) = real();
    let barrier = Barrier::new(usize::try_from(length).unwrap());
    let ask = |n| ask_for_next(&env, &locks, &barrier, n, length);
    let victims = scope(|s| {
        let threads: Vec<_> = (0..length).map(|n| s.spawn(move || ask(n))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.filter(|victim| *victim).count()
    });
    assert_eq!(victims, 1);
    assert_eq!(locks.stats().deadlocks, 1);
    assert!(!locks.any());
}

#[test]
fn a_cycle_of_threads_has_one_victim_and_the_rest_finish() {
    for _ in 0..100 {
        cycle_of(2);
        cycle_of(5);
    }
}

#[test]
fn a_deadline_wakes_a_sleeping_thread() {
    let (env, locks) = real();
    take(&locks, 1, b"a");
    let end = env.clock().monotonic() + Duration::from_millis(20);
    assert_eq!(
        queue(&locks, 2, b"a").wait(Some(end)),
        Err(LockError::Deadline)
    );
    assert!(env.clock().monotonic() >= end);
    assert!(locks.stats().wait_max >= Duration::from_millis(15));
}

#[test]
fn a_release_wakes_who_waits_without_a_deadline() {
    let (env, locks) = real();
    take(&locks, 1, b"a");
    scope(|s| {
        let waiter = s.spawn(|| queue(&locks, 2, b"a").wait(None));
        await_waiting(&env, &locks, 1);
        give(&locks, 1, &[b"a"]);
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!(locks.holder(b"a"), Some(txn(2)));
}

#[test]
fn nobody_waits_for_a_free_row() {
    let (_, locks) = real();
    let turn = locks.wait_free(b"a", None).unwrap();
    // It keeps nobody out either.
    take(&locks, 1, b"a");
    drop(turn);
    assert_eq!(locks.holder(b"a"), Some(txn(1)));
}

#[test]
fn commits_outside_transactions_get_their_turn_in_the_order_of_the_queue() {
    let (env, locks) = real();
    take(&locks, 1, b"a");
    let second = queue(&locks, 2, b"a");
    scope(|s| {
        let waits = || locks.wait_free(b"a", Some(env.clock().monotonic() + PATIENCE));
        let commits = [s.spawn(waits), s.spawn(waits)];
        await_waiting(&env, &locks, 3);
        let third = queue(&locks, 3, b"a");
        give(&locks, 1, &[b"a"]);
        // The transaction ahead of them comes first.
        assert_eq!(second.poll(), Some(Ok(())));
        assert_eq!(locks.stats().waiting, 3);
        give(&locks, 2, &[b"a"]);
        // Then both commits at once, and no transaction meanwhile.
        let turns = commits.map(|commit| commit.join().unwrap().unwrap());
        assert_eq!(locks.holder(b"a"), None);
        assert!(locks.any());
        assert_eq!((locks.stats().held, locks.stats().waiting), (0, 1));
        assert_eq!(locks.try_lock(txn(4), b"a"), Ok(false));
        assert_eq!(third.poll(), None);
        // A commit that comes now goes at once, and does not prolong the turns.
        let late = locks.wait_free(b"a", None).unwrap();
        let [first, last] = turns;
        drop(first);
        assert_eq!(third.poll(), None);
        drop(last);
        assert_eq!(third.poll(), Some(Ok(())));
        drop(late);
        assert_eq!(locks.holder(b"a"), Some(txn(3)));
    });
}

#[test]
fn a_commit_that_waits_for_a_turn_is_in_no_cycle() {
    let (env, locks) = real();
    take(&locks, 1, b"a");
    take(&locks, 2, b"b");
    scope(|s| {
        let commit = s.spawn(|| locks.wait_free(b"a", Some(env.clock().monotonic() + PATIENCE)));
        await_waiting(&env, &locks, 1);
        let first = queue(&locks, 1, b"b");
        give(&locks, 2, &[b"b"]);
        assert_eq!(first.poll(), Some(Ok(())));
        give(&locks, 1, &[b"a", b"b"]);
        let turn = commit.join().unwrap().unwrap();
        // Who waits behind a turn waits for nobody that could wait in return.
        take(&locks, 3, b"c");
        let behind = queue(&locks, 3, b"a");
        drop(turn);
        assert_eq!(behind.poll(), Some(Ok(())));
    });
}

/// A row that is fought for until everybody had it so often.
struct Contest {
    env: Env,
    locks: RowLocks,
    end: Duration,
    next_txn: AtomicU64,
    satisfied: AtomicU64,
}

impl Contest {
    const TIMES: u64 = 50;
    const THREADS: u64 = 4;

    fn goes_on(&self) -> bool {
        self.satisfied.load(SeqCst) < Self::THREADS && self.env.clock().monotonic() < self.end
    }

    fn run(&self, mut once: impl FnMut() -> bool) {
        let mut times = 0;
        while self.goes_on() {
            times += u64::from(once());
            if times == Self::TIMES {
                times += 1;
                self.satisfied.fetch_add(1, SeqCst);
            }
        }
        assert!(times > Self::TIMES, "only {times} times");
    }

    /// Locks the row, and gives it back when somebody stands in the queue: it is never free.
    fn hold(&self) -> bool {
        let who = self.next_txn.fetch_add(1, SeqCst);
        lock(&self.env, &self.locks, who, b"a").unwrap();
        while self.locks.stats().waiting == 0 && self.goes_on() {
            std::thread::yield_now();
        }
        give(&self.locks, who, &[b"a"]);
        true
    }

    /// Waits for a turn; one that had nobody to wait for does not count.
    fn commit(&self) -> bool {
        let end = self.env.clock().monotonic() + PATIENCE;
        let turn = self.locks.wait_free(b"a", Some(end)).unwrap();
        if turn.keeps_others_out() {
            assert_eq!(self.locks.holder(b"a"), None);
        }
        turn.keeps_others_out()
    }
}

#[test]
fn neither_transactions_nor_commits_starve() {
    let (env, locks) = real();
    let contest = Contest {
        end: env.clock().monotonic() + PATIENCE,
        env,
        locks,
        next_txn: AtomicU64::new(1),
        satisfied: AtomicU64::new(0),
    };
    scope(|s| {
        for _ in 0..2 {
            s.spawn(|| contest.run(|| contest.hold()));
            s.spawn(|| contest.run(|| contest.commit()));
        }
    });
    assert!(!contest.locks.any());
}
