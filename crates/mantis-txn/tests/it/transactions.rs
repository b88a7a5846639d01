//! What a transaction sees, what it leaves, and when it is refused.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::time::Duration;

use mantis_engine::{Direction, Record};
use mantis_env::Env;
use mantis_txn::{Begin, LockWait, Store, Transaction, TxnError};
use mantis_types::{Durability, ErrorKind, Isolation, RecordBuilder, Seq, ValueKind};

use crate::setup::{commit, key, open, read};

fn record(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .write(&value.to_le_bytes(), &mut bytes)
        .unwrap();
    bytes
}

fn value(record: &Record) -> u64 {
    u64::from_le_bytes(record.view().payload().try_into().unwrap())
}

fn begin(store: &Store, isolation: Isolation) -> Transaction {
    store.begin(Begin::at(isolation)).unwrap()
}

fn get(txn: &mut Transaction, n: u64) -> Option<u64> {
    txn.get(&key(n)).unwrap().as_ref().map(value)
}

fn put(txn: &mut Transaction, n: u64, v: u64) {
    txn.put(&key(n), &record(v)).unwrap();
}

fn listed(txn: &mut Transaction, direction: Direction) -> Vec<u64> {
    let (from, to) = (key(0), key(100));
    let rows = txn.scan(Included(&from), Excluded(&to), direction).unwrap();
    rows.map(|row| value(&row.unwrap().1)).collect()
}

fn memory_store() -> Store {
    open(&Env::real(), None).unwrap()
}

#[test]
fn a_transaction_sees_its_own_changes_and_nobody_else_does_before_the_commit() {
    let store = memory_store();
    commit(&store, &[(1, 10), (2, 20), (4, 40)], Durability::None).unwrap();
    let mut txn = begin(&store, Isolation::Snapshot);
    put(&mut txn, 3, 30);
    put(&mut txn, 1, 11);
    txn.delete(&key(2)).unwrap();
    assert_eq!(get(&mut txn, 1), Some(11));
    assert_eq!(get(&mut txn, 2), None);
    assert_eq!(listed(&mut txn, Direction::Forward), [11, 30, 40]);
    assert_eq!(listed(&mut txn, Direction::Backward), [40, 30, 11]);
    assert_eq!(read(&store, 1), Some(10));
    assert_eq!(read(&store, 3), None);
    let seq = txn.commit().unwrap().seq;
    assert_eq!(seq, Seq::new(2), "one commit for all");
    assert_eq!(
        [1, 2, 3].map(|n| read(&store, n)),
        [Some(11), None, Some(30)]
    );
}

#[test]
fn an_empty_or_backward_range_has_no_rows() {
    let store = memory_store();
    let mut txn = begin(&store, Isolation::Serializable);
    put(&mut txn, 1, 1);
    let k = key(1);
    for (from, to) in [
        (Excluded(&k[..]), Excluded(&k[..])),
        (Included(&key(2)[..]), Excluded(&k[..])),
        (Included(&key(2)[..]), Included(&k[..])),
    ] {
        let mut rows = txn.scan(from, to, Direction::Forward).unwrap();
        assert!(rows.next().is_none());
    }
    let mut rows = txn.scan(Unbounded, Unbounded, Direction::Forward).unwrap();
    assert!(rows.next().is_some());
}

#[test]
fn the_first_committer_wins_at_every_level_with_one_snapshot() {
    for isolation in [
        Isolation::RepeatableRead,
        Isolation::Snapshot,
        Isolation::Serializable,
    ] {
        let store = memory_store();
        commit(&store, &[(1, 1)], Durability::None).unwrap();
        let mut first = begin(&store, isolation);
        let mut second = begin(&store, isolation);
        put(&mut first, 1, 2);
        put(&mut second, 1, 3);
        first.commit().unwrap();
        let refused = second.commit().unwrap_err();
        assert!(matches!(refused, TxnError::Conflict { with } if with == Seq::new(2)));
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.kind().retryable());
        assert_eq!(read(&store, 1), Some(2));
        assert_eq!(store.stats().conflicts, 1);
    }
}

#[test]
fn a_batch_outside_of_transactions_counts_as_a_commit_before() {
    let store = memory_store();
    let mut txn = begin(&store, Isolation::Snapshot);
    put(&mut txn, 1, 2);
    commit(&store, &[(1, 7)], Durability::None).unwrap();
    assert!(matches!(txn.commit(), Err(TxnError::Conflict { .. })));
    assert_eq!(read(&store, 1), Some(7));
}

#[test]
fn serializable_refuses_what_rests_on_a_changed_absent_or_new_row() {
    type Read = fn(&mut Transaction);
    let reads: [(&str, Read); 4] = [
        ("a row that was there", |txn| {
            assert_eq!(get(txn, 1), Some(1));
        }),
        ("a row that was absent", |txn| assert_eq!(get(txn, 5), None)),
        ("a range, read to its end", |txn| {
            assert_eq!(listed(txn, Direction::Forward), [1]);
        }),
        ("a range, read backwards", |txn| {
            assert_eq!(listed(txn, Direction::Backward), [1]);
        }),
    ];
    for (what, read_it) in reads {
        let store = memory_store();
        commit(&store, &[(1, 1)], Durability::None).unwrap();
        let mut loose = begin(&store, Isolation::Snapshot);
        let mut strict = begin(&store, Isolation::Serializable);
        read_it(&mut loose);
        read_it(&mut strict);
        put(&mut loose, 50, 1);
        put(&mut strict, 51, 1);
        commit(&store, &[(1, 2), (5, 5)], Durability::None).unwrap();
        assert!(
            matches!(strict.commit(), Err(TxnError::Conflict { .. })),
            "{what}"
        );
        loose.commit().expect(what);
    }
}

#[test]
fn a_range_that_was_read_in_part_conflicts_in_that_part_only() {
    let store = memory_store();
    let rows: Vec<_> = (0..50).map(|n| (n, n)).collect();
    commit(&store, &rows, Durability::None).unwrap();
    let begun = |write| {
        let mut txn = begin(&store, Isolation::Serializable);
        let (from, to) = (key(0), key(100));
        let rows = txn
            .scan(Included(&from), Excluded(&to), Direction::Forward)
            .unwrap();
        assert_eq!(rows.take(10).count(), 10);
        put(&mut txn, write, 1);
        txn
    };
    let (first, second) = (begun(1000), begun(1001));
    commit(&store, &[(10, 1)], Durability::None).unwrap();
    first.commit().expect("row 10 was not read");
    commit(&store, &[(9, 1)], Durability::None).unwrap();
    assert!(matches!(second.commit(), Err(TxnError::Conflict { .. })));
}

#[test]
fn more_reads_than_the_limit_are_remembered_as_one_range() {
    let env = Env::real();
    let limits = mantis_types::Limits {
        txn_reads_max: 4,
        ..Default::default()
    };
    let store = crate::setup::open_limited(&env, limits).unwrap();
    let mut txn = begin(&store, Isolation::Serializable);
    for n in [10, 20, 30, 40, 50, 60] {
        assert_eq!(get(&mut txn, n), None);
    }
    put(&mut txn, 1000, 1);
    let mut other = begin(&store, Isolation::Serializable);
    for n in [10, 20, 30, 40, 50, 60] {
        assert_eq!(get(&mut other, n), None);
    }
    put(&mut other, 1001, 1);
    commit(&store, &[(70, 1), (9, 1)], Durability::None).unwrap();
    txn.commit().expect("outside of the range");
    commit(&store, &[(55, 1)], Durability::None).unwrap();
    assert!(
        matches!(other.commit(), Err(TxnError::Conflict { .. })),
        "between two keys that were read"
    );
}

#[test]
fn a_read_only_transaction_never_conflicts_and_refuses_writes() {
    let store = memory_store();
    commit(&store, &[(1, 1)], Durability::None).unwrap();
    let mut txn = store
        .begin(Begin {
            isolation: Isolation::Serializable,
            read_only: true,
            ..Begin::default()
        })
        .unwrap();
    assert_eq!(get(&mut txn, 1), Some(1));
    commit(&store, &[(1, 2)], Durability::None).unwrap();
    assert_eq!(get(&mut txn, 1), Some(1));
    assert!(matches!(
        txn.put(&key(1), &record(3)),
        Err(TxnError::ReadOnly)
    ));
    assert!(matches!(txn.delete(&key(1)), Err(TxnError::ReadOnly)));
    assert!(matches!(txn.try_lock(&key(1)), Err(TxnError::ReadOnly)));
    assert_eq!(store.stats().active, 0, "it keeps no index alive");
    assert_eq!(txn.commit().unwrap().seq, Seq::new(1));
}

#[test]
fn read_committed_sees_each_statement_anew_and_locks_what_it_writes() {
    let store = memory_store();
    commit(&store, &[(1, 1)], Durability::None).unwrap();
    let mut txn = begin(&store, Isolation::ReadCommitted);
    txn.statement().unwrap();
    assert_eq!(get(&mut txn, 1), Some(1));
    commit(&store, &[(1, 2)], Durability::None).unwrap();
    assert_eq!(get(&mut txn, 1), Some(1), "one statement, one snapshot");
    txn.statement().unwrap();
    assert_eq!(get(&mut txn, 1), Some(2));
    put(&mut txn, 1, 3);
    let mut other = begin(&store, Isolation::ReadCommitted);
    assert!(!other.try_lock(&key(1)).unwrap());
    assert!(matches!(
        other.get_for_update(&key(1), LockWait::NoWait),
        Err(TxnError::Locked)
    ));
    txn.commit().unwrap();
    let newest = other.get_for_update(&key(1), LockWait::NoWait).unwrap();
    assert_eq!(newest.as_ref().map(value), Some(3), "read anew");
}

#[test]
fn a_locked_row_makes_a_snapshot_commit_fail_and_an_outside_write_wait() {
    let store = memory_store();
    let mut holder = begin(&store, Isolation::ReadCommitted);
    holder.get_for_update(&key(1), LockWait::Wait).unwrap();
    let mut snapshot = begin(&store, Isolation::Snapshot);
    put(&mut snapshot, 1, 1);
    assert!(matches!(snapshot.commit(), Err(TxnError::Locked)));
    let soon = store.env().clock().monotonic() + Duration::from_millis(30);
    let k = key(1);
    let waited = store.latch_free(&std::iter::once(&k[..]), Some(soon));
    assert!(matches!(waited, Err(TxnError::Deadline)));
    drop(holder);
    drop(
        store
            .latch_free(&std::iter::once(&k[..]), Some(soon))
            .unwrap(),
    );
}

#[test]
fn a_lock_on_a_row_that_is_newer_than_the_snapshot_is_a_conflict_at_once() {
    let store = memory_store();
    let mut txn = begin(&store, Isolation::Snapshot);
    commit(&store, &[(1, 2)], Durability::None).unwrap();
    assert!(matches!(
        txn.get_for_update(&key(1), LockWait::Wait),
        Err(TxnError::Conflict { .. })
    ));
}

#[test]
fn savepoints_take_back_changes_and_locks_made_since() {
    let store = memory_store();
    let mut txn = begin(&store, Isolation::ReadCommitted);
    put(&mut txn, 1, 1);
    txn.savepoint("a").unwrap();
    put(&mut txn, 1, 2);
    put(&mut txn, 2, 2);
    txn.savepoint("b").unwrap();
    txn.delete(&key(1)).unwrap();
    txn.rollback_to("b").unwrap();
    assert_eq!(get(&mut txn, 1), Some(2));
    txn.rollback_to("a").unwrap();
    assert_eq!((get(&mut txn, 1), get(&mut txn, 2)), (Some(1), None));
    assert!(matches!(
        txn.rollback_to("b"),
        Err(TxnError::NoSuchSavepoint)
    ));
    let mut other = begin(&store, Isolation::ReadCommitted);
    assert!(other.try_lock(&key(2)).unwrap(), "given back");
    assert!(!other.try_lock(&key(1)).unwrap(), "held from before");
    put(&mut txn, 3, 3);
    txn.release("a").unwrap();
    assert!(matches!(txn.release("a"), Err(TxnError::NoSuchSavepoint)));
    txn.commit().unwrap();
    assert_eq!([1, 2, 3].map(|n| read(&store, n)), [Some(1), None, Some(3)]);
}

#[test]
fn a_dropped_transaction_leaves_nothing_and_gives_its_locks_back() {
    let store = memory_store();
    let mut txn = begin(&store, Isolation::ReadCommitted);
    put(&mut txn, 1, 1);
    drop(txn);
    assert_eq!(read(&store, 1), None);
    assert_eq!(store.stats().active, 0);
    assert_eq!(store.stats().rolled_back, 1);
    let mut other = begin(&store, Isolation::ReadCommitted);
    assert!(other.try_lock(&key(1)).unwrap());
}

#[test]
fn a_passed_deadline_ends_every_call_and_writes_nothing() {
    let env = Env::simulated(3);
    let store = open(&env, None).unwrap();
    let now = env.clock().monotonic();
    let mut txn = store
        .begin(Begin {
            deadline: Some(now + Duration::from_secs(1)),
            ..Begin::default()
        })
        .unwrap();
    put(&mut txn, 1, 1);
    env.clock().sleep(Duration::from_secs(2));
    assert!(matches!(txn.get(&key(1)), Err(TxnError::Deadline)));
    assert!(matches!(txn.commit(), Err(TxnError::Deadline)));
    assert_eq!(read(&store, 1), None);
}

#[test]
fn a_write_buffer_over_the_limit_is_refused_and_keeps_what_it_had() {
    let limits = mantis_types::Limits {
        batch_bytes_max: 200,
        ..Default::default()
    };
    let store = crate::setup::open_limited(&Env::real(), limits).unwrap();
    let mut txn = begin(&store, Isolation::Snapshot);
    put(&mut txn, 1, 1);
    let mut refused = 0;
    for n in 2..20 {
        refused += u64::from(txn.put(&key(n), &record(n)).is_err());
    }
    assert!(refused > 0);
    assert_eq!(get(&mut txn, 1), Some(1));
    txn.commit().unwrap();
    assert_eq!(read(&store, 1), Some(1));
    assert_eq!(read(&store, 19), None);
}

#[test]
fn the_index_is_empty_again_some_time_after_the_last_transaction() {
    let env = Env::simulated(5);
    let store = open(&env, None).unwrap();
    let mut txn = begin(&store, Isolation::Serializable);
    put(&mut txn, 1, 1);
    commit(&store, &[(2, 2)], Durability::None).unwrap();
    txn.commit().unwrap();
    assert_eq!(store.stats().noted_keys, 2);
    store.sweep().unwrap();
    env.clock().sleep(Duration::from_secs(2));
    store.sweep().unwrap();
    assert_eq!(store.stats().noted_keys, 0);
    commit(&store, &[(3, 3)], Durability::None).unwrap();
    assert_eq!(store.stats().noted_keys, 0, "nobody may ask");
    let mut txn = begin(&store, Isolation::Snapshot);
    put(&mut txn, 3, 4);
    commit(&store, &[(3, 5)], Durability::None).unwrap();
    assert!(matches!(txn.commit(), Err(TxnError::Conflict { .. })));
}

#[test]
fn without_conflict_detection_updates_are_lost() {
    let store = memory_store();
    store.without_conflict_detection();
    let mut first = begin(&store, Isolation::Serializable);
    let mut second = begin(&store, Isolation::Serializable);
    for txn in [&mut first, &mut second] {
        assert_eq!(get(txn, 1), None);
        put(txn, 1, 1);
    }
    first.commit().unwrap();
    second.commit().expect("the control must let it through");
}
