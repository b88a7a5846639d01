//! Order, visibility and durability of commits, alone and under concurrency.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use mantis_engine::Snapshot;
use mantis_env::Env;
use mantis_txn::Store;
use mantis_types::{Durability, Seq};

use crate::setup::{batch, commit, key, open, read};

#[test]
fn seqs_are_consecutive_and_a_commit_is_visible_when_it_is_answered() {
    let store = open(&Env::simulated(1), None).unwrap();
    for n in 1..=10 {
        let done = commit(&store, &[(7, n)], Durability::Sync).unwrap();
        assert_eq!(done.seq, Seq::new(n));
        assert_eq!(done.durability, Durability::None, "there is no log");
        assert_eq!(store.visible_seq(), done.seq);
        assert_eq!(read(&store, 7), Some(n));
    }
}

#[test]
fn the_answer_names_a_class_that_is_never_weaker_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&Env::real(), Some(&dir.path().join("log"))).unwrap();
    for class in [Durability::None, Durability::Interval, Durability::Sync] {
        let done = commit(&store, &[(1, 1)], class).unwrap();
        assert!(
            done.durability >= class,
            "asked {class}, got {}",
            done.durability
        );
    }
    assert!(store.durable_seq() >= Seq::new(3));
    store.close().unwrap();
}

#[test]
fn a_commit_behind_an_abandoned_sync_commit_becomes_visible() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&Env::real(), Some(&dir.path().join("log"))).unwrap();
    let abandoned = batch(&[(1, 1)]);
    let latched = store.latch(&key(1));
    drop(store.start(&latched, abandoned, Durability::Sync).unwrap());
    drop(latched);
    assert_eq!(store.visible_seq(), Seq::ZERO, "not durable yet");
    let done = commit(&store, &[(2, 2)], Durability::None).unwrap();
    assert_eq!(done.seq, Seq::new(2));
    assert_eq!(
        done.durability,
        Durability::Sync,
        "it shared the other one's fsync"
    );
    assert_eq!(read(&store, 1), Some(1));
    store.close().unwrap();
}

#[test]
fn every_acknowledged_commit_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let env = Env::real();
    let store = open(&env, Some(&log)).unwrap();
    for n in 0..500 {
        commit(&store, &[(n, n), (n + 1000, n)], Durability::Interval).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = open(&env, Some(&log)).unwrap();
    assert_eq!(store.visible_seq(), Seq::new(500));
    assert!((0..500).all(|n| read(&store, n) == Some(n) && read(&store, n + 1000) == Some(n)));
    let next = commit(&store, &[(1, 1)], Durability::Sync).unwrap();
    assert_eq!(next.seq, Seq::new(501));
    store.close().unwrap();
}

#[test]
fn a_closed_store_refuses_commits_and_closes_twice() {
    let store = open(&Env::simulated(1), None).unwrap();
    commit(&store, &[(1, 1)], Durability::None).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let refused = commit(&store, &[(1, 2)], Durability::None).unwrap_err();
    assert_eq!(refused.code(), mantis_types::Code::ShuttingDown);
    assert_eq!(read(&store, 1), Some(1));
}

#[test]
fn ids_are_never_given_twice_not_even_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let env = Env::real();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let store = open(&env, Some(&log)).unwrap();
        let ids: Vec<_> = std::thread::scope(|scope| {
            let take = || {
                (0..700)
                    .map(|_| store.new_id().unwrap())
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        assert!(ids.into_iter().all(|id| seen.insert(id)));
        store.close().unwrap();
    }
}

/// Writers move amounts between two keys in one commit; readers must always see the same sum, and
/// never a Seq going back. Classes are mixed, so that publication waits for fsyncs in between.
#[test]
fn readers_never_see_half_a_commit_nor_time_going_back() {
    const SUM: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&Env::real(), Some(&dir.path().join("log"))).unwrap();
    for pair in 0..4 {
        commit(
            &store,
            &[(2 * pair, SUM), (2 * pair + 1, 0)],
            Durability::None,
        )
        .unwrap();
    }
    let done = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    let move_amounts = |pair: u64| {
        for n in 0..400_u64 {
            let class = [Durability::None, Durability::Interval, Durability::Sync];
            let class = class[usize::try_from(n % 7 % 3).unwrap()];
            let moved = n * 37 % SUM;
            let pairs = [(2 * pair, SUM - moved), (2 * pair + 1, moved)];
            commit(&store, &pairs, class).unwrap();
        }
    };
    let watch = || {
        let mut last = Seq::ZERO;
        while !done.load(SeqCst) {
            let snapshot = store.engine().snapshot();
            assert!(snapshot.seq() >= last, "visible went back");
            last = snapshot.seq();
            for pair in 0..4 {
                let sum =
                    amount(&store, &snapshot, 2 * pair) + amount(&store, &snapshot, 2 * pair + 1);
                assert_eq!(sum, SUM);
            }
            looks.fetch_add(1, SeqCst);
        }
    };
    let (move_amounts, watch) = (&move_amounts, &watch);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|pair| scope.spawn(move || move_amounts(pair)))
            .collect();
        let watchers = [scope.spawn(watch), scope.spawn(watch)];
        writers.into_iter().for_each(|w| w.join().unwrap());
        done.store(true, SeqCst);
        watchers.into_iter().for_each(|w| w.join().unwrap());
    });
    assert!(looks.load(SeqCst) > 0);
    assert_eq!(store.visible_seq(), Seq::new(4 + 4 * 400));
    store.close().unwrap();
}

fn amount(store: &Store, snapshot: &Snapshot, k: u64) -> u64 {
    let record = store.engine().get(snapshot, &key(k)).unwrap().unwrap();
    u64::from_le_bytes(record.view().payload().try_into().unwrap())
}

#[test]
fn a_store_that_is_dropped_without_close_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::real();
    let engine = std::sync::Arc::new(mantis_engine::MemoryEngine::new(
        &env,
        mantis_engine::MemoryOptions::default(),
    ));
    let alive = std::sync::Arc::downgrade(&engine);
    let log = mantis_log::Log::open(&env, dir.path(), mantis_log::LogOptions::default());
    let hook = mantis_txn::DurableHook::default();
    let limits = mantis_types::Limits::default();
    let store = Store::open(&env, engine, Some(log.unwrap().log), &hook, limits).unwrap();
    commit(&store, &[(1, 1)], Durability::Sync).unwrap();
    drop(store);
    assert!(
        alive.upgrade().is_none(),
        "a background task holds the store"
    );
}
