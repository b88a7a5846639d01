//! One call after the other: what each does to the queue and to the counts.

use std::time::Duration;

use mantis_env::Env;
use mantis_types::{Code, ErrorKind, Limits};

use super::super::{LockError, LockStats, Requested, RowLocks};
use super::{give, queue, table, take, txn};

#[test]
fn a_held_lock_is_refused_to_others_and_given_to_its_holder_again() {
    let locks = table();
    assert!(!locks.any());
    take(&locks, 1, b"a");
    assert!(locks.any());
    assert_eq!(locks.try_lock(txn(2), b"a"), Ok(false));
    take(&locks, 1, b"a");
    assert!(matches!(
        locks.request(txn(1), b"a"),
        Ok(Requested::Granted)
    ));
    assert_eq!(locks.holder(b"a"), Some(txn(1)));
    assert_eq!(locks.stats().held, 1);
    // Taken three times, held once.
    give(&locks, 1, &[b"a"]);
    assert_eq!(locks.holder(b"a"), None);
    assert!(!locks.any());
}

#[test]
fn a_lock_of_somebody_else_is_not_released() {
    let locks = table();
    take(&locks, 1, b"a");
    give(&locks, 2, &[b"a", b"b"]);
    assert_eq!(locks.holder(b"a"), Some(txn(1)));
}

#[test]
fn the_queue_is_served_in_order_and_one_at_a_time() {
    let locks = table();
    take(&locks, 1, b"a");
    let requests: Vec<_> = (2..6).map(|who| queue(&locks, who, b"a")).collect();
    assert_eq!(locks.stats().waiting, 4);
    for (who, request) in (2..).zip(&requests) {
        assert_eq!(request.poll(), None);
        give(&locks, who - 1, &[b"a"]);
        assert_eq!(request.poll(), Some(Ok(())));
        assert_eq!(locks.holder(b"a"), Some(txn(who)));
        let served = requests.iter().filter(|r| r.poll().is_some()).count();
        assert_eq!(served as u64, who - 1, "a release serves exactly one");
        // Nobody passes by the queue, not even without waiting.
        assert_eq!(locks.try_lock(txn(9), b"a"), Ok(false));
    }
    give(&locks, 5, &[b"a"]);
    assert!(!locks.any());
    drop(requests);
    assert!(!locks.any());
}

#[test]
fn a_second_release_hands_nothing_on() {
    let locks = table();
    take(&locks, 1, b"a");
    let (second, third) = (queue(&locks, 2, b"a"), queue(&locks, 3, b"a"));
    give(&locks, 1, &[b"a", b"a"]);
    give(&locks, 1, &[b"a"]);
    assert_eq!(second.poll(), Some(Ok(())));
    assert_eq!(third.poll(), None);
    assert_eq!(locks.holder(b"a"), Some(txn(2)));
}

#[test]
fn a_dropped_request_leaves_the_queue() {
    let locks = table();
    take(&locks, 1, b"a");
    let (second, third) = (queue(&locks, 2, b"a"), queue(&locks, 3, b"a"));
    drop(second);
    assert_eq!(locks.stats().waiting, 1);
    give(&locks, 1, &[b"a"]);
    assert_eq!(third.poll(), Some(Ok(())));
}

#[test]
fn a_request_dropped_after_its_grant_hands_the_lock_on() {
    let locks = table();
    take(&locks, 1, b"a");
    let (second, third) = (queue(&locks, 2, b"a"), queue(&locks, 3, b"a"));
    give(&locks, 1, &[b"a"]);
    assert_eq!(locks.holder(b"a"), Some(txn(2)));
    drop(second);
    assert_eq!(third.poll(), Some(Ok(())));
    // Its answer is known: now the lock outlives the request.
    drop(third);
    assert_eq!(locks.holder(b"a"), Some(txn(3)));
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let env = Env::simulated(1);
    let locks = RowLocks::new(&env, &Limits::default());
    take(&locks, 1, b"a");
    let end = env.clock().monotonic() + Duration::from_millis(50);
    let late = queue(&locks, 2, b"a");
    assert_eq!(late.wait(Some(end)), Err(LockError::Deadline));
    assert_eq!(env.clock().monotonic(), end);
    let turn = locks.wait_free(b"a", Some(end)).unwrap_err();
    assert_eq!(turn, LockError::Deadline);
    let stats = locks.stats();
    assert_eq!((stats.timeouts, stats.waiting), (2, 0));
    // A lock that has come is taken, however late it is.
    let third = queue(&locks, 3, b"a");
    give(&locks, 1, &[b"a"]);
    assert_eq!(third.wait(Some(end)), Ok(()));
    assert_eq!(locks.holder(b"a"), Some(txn(3)));
}

#[test]
fn the_wait_that_closes_a_cycle_is_refused_and_changes_nothing() {
    for length in [2, 5] {
        let locks = table();
        let key = |n: u64| (n % length).to_le_bytes();
        (0..length).for_each(|n| take(&locks, n, &key(n)));
        let open: Vec<_> = (0..length - 1)
            .map(|n| queue(&locks, n, &key(n + 1)))
            .collect();
        let last = locks.request(txn(length - 1), &key(0)).map(|_| ());
        assert_eq!(last, Err(LockError::Deadlock));
        let stats = locks.stats();
        assert_eq!((stats.deadlocks, stats.waiting), (1, length - 1));
        assert_eq!(locks.holder(&key(length - 1)), Some(txn(length - 1)));
        // The victim gives up, and one after the other gets through.
        for (n, request) in open.iter().enumerate().rev() {
            let (n, ahead) = (n as u64, n as u64 + 1);
            let its: Vec<_> = (0..length).map(key).collect();
            locks.release(txn(ahead), its.iter().map(|k| k.as_slice()));
            assert_eq!(request.poll(), Some(Ok(())), "{n} of {length}");
        }
    }
}

#[test]
fn waiting_behind_somebody_is_no_deadlock_until_a_cycle_closes() {
    let locks = table();
    take(&locks, 1, b"a");
    take(&locks, 2, b"b");
    take(&locks, 3, b"c");
    let two = queue(&locks, 2, b"a");
    let three = queue(&locks, 3, b"a");
    // The hand-over turns the edge of 3 from 1 to 2; the cycle closes with the next wait of 2.
    give(&locks, 1, &[b"a"]);
    assert_eq!(two.poll(), Some(Ok(())));
    let closing = locks.request(txn(2), b"c").map(|_| ());
    assert_eq!(closing, Err(LockError::Deadlock));
    give(&locks, 2, &[b"a", b"b"]);
    assert_eq!(three.poll(), Some(Ok(())));
}

#[test]
#[should_panic(expected = "waits for one lock at a time")]
fn a_transaction_that_waits_twice_is_a_bug() {
    let locks = table();
    take(&locks, 1, b"a");
    take(&locks, 1, b"b");
    let _first = queue(&locks, 2, b"a");
    let _second = locks.request(txn(2), b"b");
}

#[test]
fn both_limits_are_kept_and_named() {
    let limits = Limits {
        row_locks_max: 2,
        lock_waiters_max: 2,
        ..Limits::default()
    };
    let locks = RowLocks::new(&Env::real(), &limits);
    take(&locks, 1, b"a");
    take(&locks, 1, b"b");
    let many = LockError::TooManyLocks { max: 2 };
    assert_eq!(locks.try_lock(txn(1), b"c"), Err(many));
    assert_eq!(locks.request(txn(1), b"c").map(|_| ()), Err(many));
    // What it has, it may take again; and somebody else's is held, before it is too many.
    take(&locks, 1, b"a");
    take(&locks, 2, b"c");
    assert_eq!(locks.try_lock(txn(1), b"c"), Ok(false));
    // The lock that one waits for counts: it is handed over without asking.
    assert_eq!(locks.request(txn(1), b"c").map(|_| ()), Err(many));
    let queued = [queue(&locks, 3, b"a"), queue(&locks, 4, b"a")];
    let full = LockError::TooManyWaiters { max: 2 };
    assert_eq!(locks.request(txn(5), b"a").map(|_| ()), Err(full));
    assert_eq!(locks.wait_free(b"a", None).map(|_| ()), Err(full));
    assert_eq!(locks.stats().refused, 5);
    drop(queued);
    assert_eq!(many.code(), Code::TooLarge);
    assert_eq!(full.kind(), ErrorKind::Exhausted);
    assert_eq!(LockError::Deadlock.kind(), ErrorKind::Conflict);
}

#[test]
fn a_thousand_locks_are_released_in_parts() {
    let locks = table();
    let keys: Vec<_> = (0..1000_u32).map(u32::to_le_bytes).collect();
    keys.iter().for_each(|key| take(&locks, 1, key));
    assert_eq!(locks.stats().held, 1000);
    locks.release(txn(1), keys.iter().map(<[u8; 4]>::as_slice));
    assert!(!locks.any());
}

#[test]
fn waits_are_counted_and_their_time_is_measured() {
    let env = Env::simulated(7);
    let locks = RowLocks::new(&env, &Limits::default());
    take(&locks, 1, b"a");
    let second = queue(&locks, 2, b"a");
    env.clock().sleep(Duration::from_millis(30));
    give(&locks, 1, &[b"a"]);
    assert_eq!(second.poll(), Some(Ok(())));
    // A second look is no second wait.
    env.clock().sleep(Duration::from_millis(5));
    assert_eq!(second.poll(), Some(Ok(())));
    let third = queue(&locks, 3, b"a");
    env.clock().sleep(Duration::from_millis(10));
    drop(third);
    let expected = LockStats {
        held: 1,
        waits: 2,
        wait_total: Duration::from_millis(40),
        wait_max: Duration::from_millis(30),
        // Up to 10 ms, and up to 50 ms.
        waits_us: [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
        ..LockStats::default()
    };
    assert_eq!(locks.stats(), expected);
}

#[test]
fn errors_and_requests_do_not_show_keys() {
    let locks = table();
    take(&locks, 1, b"secret");
    let request = queue(&locks, 2, b"secret");
    let shown = format!("{locks:?} {request:?} {:?}", locks.wait_free(b"x", None));
    assert!(
        !shown.contains("secret") && !shown.contains("115"),
        "{shown}"
    );
}
