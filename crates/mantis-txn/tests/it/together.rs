//! Transactions of several threads at once: what must hold whatever their order.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mantis_engine::Record;
use mantis_env::{Env, SeededRng};
use mantis_txn::{Begin, LockWait, Merge, Store, Transaction, TxnError};
use mantis_types::{Durability, ErrorKind, Isolation, RecordBuilder, ValueKind};

use crate::setup::{commit, key, open, read};

const ACCOUNTS: u64 = 5;
const THREADS: u64 = 4;
const ROUNDS: u64 = 300;

struct Plus(u64);

impl Merge for Plus {
    fn apply(
        &self,
        newest: Option<&Record>,
        _now_ms: u64,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let value = newest.map_or(0, value_of) + self.0;
        Ok(record(value))
    }

    fn bytes_max(&self) -> u64 {
        32
    }
}

fn record(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .write(&value.to_le_bytes(), &mut bytes)
        .unwrap();
    bytes
}

fn value_of(record: &Record) -> u64 {
    u64::from_le_bytes(record.view().payload().try_into().unwrap())
}

fn get(txn: &mut Transaction, n: u64) -> Result<u64, TxnError> {
    Ok(txn.get(&key(n))?.as_ref().map_or(0, value_of))
}

/// Runs `work` in transactions until one commits; answers how many were refused.
fn until_committed(
    store: &Store,
    isolation: Isolation,
    mut work: impl FnMut(&mut Transaction) -> Result<(), TxnError>,
) -> u64 {
    let mut refused = 0;
    loop {
        let mut txn = store
            .begin(Begin {
                durability: Durability::None,
                ..Begin::at(isolation)
            })
            .unwrap();
        match work(&mut txn).and_then(|()| txn.commit().map(drop)) {
            Ok(()) => return refused,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                refused += 1;
            }
        }
    }
}

fn on_threads(work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn transfer(txn: &mut Transaction, from: u64, to: u64) -> Result<(), TxnError> {
    if txn.isolation() == Isolation::ReadCommitted {
        txn.get_for_update(&key(from), LockWait::Wait)?;
        txn.get_for_update(&key(to), LockWait::Wait)?;
    }
    let have = get(txn, from)?;
    if have > 0 && from != to {
        let got = get(txn, to)?;
        txn.put(&key(from), &record(have - 1))?;
        txn.put(&key(to), &record(got + 1))?;
    }
    Ok(())
}

/// Each may clear its own row only while the other is set.
fn clear_one_of_two(txn: &mut Transaction, own: u64) -> Result<(), TxnError> {
    let set = get(txn, 0)? + get(txn, 1)?;
    assert!(set > 0, "both rows were cleared");
    let next = u64::from(set != 2);
    txn.put(&key(own), &record(next))
}

fn add_one(txn: &mut Transaction, thread: u64, round: u64) -> Result<(), TxnError> {
    txn.merge(&key(0), Arc::new(Plus(1)))?;
    txn.put(&key(100 + thread), &record(round))
}

#[test]
fn money_is_neither_made_nor_lost_at_any_level() {
    for isolation in Isolation::ALL {
        let store = open(&Env::real(), None).unwrap();
        let rich: Vec<_> = (0..ACCOUNTS).map(|n| (n, 1000)).collect();
        commit(&store, &rich, Durability::None).unwrap();
        on_threads(|thread| {
            let rng = SeededRng::new(thread);
            for _ in 0..ROUNDS {
                let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
                until_committed(&store, isolation, |txn| transfer(txn, from, to));
            }
        });
        let sum: u64 = (0..ACCOUNTS).map(|n| read(&store, n).unwrap()).sum();
        assert_eq!(sum, ACCOUNTS * 1000, "{isolation}");
        assert_eq!(store.stats().active, 0);
    }
}

#[test]
fn of_two_rows_at_least_one_stays_set_when_transactions_are_serializable() {
    let store = open(&Env::real(), None).unwrap();
    commit(&store, &[(0, 1), (1, 1)], Durability::None).unwrap();
    on_threads(|thread| {
        let own = thread % 2;
        for _ in 0..ROUNDS {
            until_committed(&store, Isolation::Serializable, |txn| {
                clear_one_of_two(txn, own)
            });
        }
    });
    assert!(read(&store, 0).unwrap() + read(&store, 1).unwrap() > 0);
}

#[test]
fn additions_of_all_are_summed_and_none_is_refused() {
    for isolation in Isolation::ALL {
        let store = open(&Env::real(), None).unwrap();
        let refused = AtomicU64::new(0);
        on_threads(|thread| {
            for round in 0..ROUNDS {
                let conflicts =
                    until_committed(&store, isolation, |txn| add_one(txn, thread, round));
                refused.fetch_add(conflicts, SeqCst);
            }
        });
        assert_eq!(read(&store, 0), Some(THREADS * ROUNDS), "{isolation}");
        assert_eq!(refused.into_inner(), 0, "{isolation}");
    }
}

#[test]
fn an_addition_that_is_read_afterwards_conflicts_like_any_other_write() {
    let store = open(&Env::real(), None).unwrap();
    let mut txn = store.begin(Begin::default()).unwrap();
    let seen = txn.merge(&key(0), Arc::new(Plus(5))).unwrap();
    assert_eq!(value_of(&seen), 5);
    assert_eq!(get(&mut txn, 0).unwrap(), 5);
    until_committed(&store, Isolation::Snapshot, |txn| {
        txn.merge(&key(0), Arc::new(Plus(1))).map(drop)
    });
    assert!(matches!(txn.commit(), Err(TxnError::Conflict { .. })));
    assert_eq!(read(&store, 0), Some(1));
}

/// What is read of an addition becomes a version like any other, and nobody checks it at the commit:
/// so it must rest on the newest one, which came after the statement's snapshot.
#[test]
fn an_addition_read_under_read_committed_rests_on_the_newest_version() {
    let store = open(&Env::real(), None).unwrap();
    let mut txn = store.begin(Begin::at(Isolation::ReadCommitted)).unwrap();
    txn.statement().unwrap();
    txn.merge(&key(0), Arc::new(Plus(1))).unwrap();
    commit(&store, &[(0, 10)], Durability::None).unwrap();
    assert_eq!(get(&mut txn, 0).unwrap(), 11);
    txn.commit().unwrap();
    assert_eq!(read(&store, 0), Some(11));
}
