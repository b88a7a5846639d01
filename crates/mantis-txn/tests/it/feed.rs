//! The commit feed: order, restarts, what is kept, and who is too slow for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::time::Duration;

use mantis_env::Env;
use mantis_txn::{Begin, Feed, FeedCommit, FeedFrom, Store, TxnError};
use mantis_types::{Code, Durability, Limits, Origin, Seq};

use crate::setup::{commit, key, open, open_limited, open_tight};

const PATIENCE: Duration = Duration::from_secs(20);

fn all_there(feed: &mut Feed) -> Vec<FeedCommit> {
    std::iter::from_fn(|| feed.next(Duration::ZERO).unwrap()).collect()
}

fn keys_of(commit: &FeedCommit) -> Vec<Vec<u8>> {
    commit.ops().map(|(key, _)| key.to_vec()).collect()
}

fn write(store: &Store, key: u64, count: u64, class: Durability) {
    for n in 0..count {
        commit(store, &[(key, n)], class).unwrap();
    }
}

#[test]
fn every_commit_comes_in_order_and_without_a_gap_while_many_write() {
    let dir = tempfile::tempdir().unwrap();
    for log in [None, Some(dir.path().join("log"))] {
        let store = open(&Env::real(), log.as_deref()).unwrap();
        let mut feed = store.feed(FeedFrom::Now).unwrap();
        let from = feed.next_seq();
        let each = 500;
        std::thread::scope(|scope| {
            for number in 0..4 {
                let store = &store;
                let class = [Durability::None, Durability::Interval][number % 2];
                scope.spawn(move || write(store, number as u64, each, class));
            }
            for n in 0..4 * each {
                let commit = feed.next(PATIENCE).unwrap().expect("somebody writes");
                assert_eq!(commit.seq().get(), from.get() + n);
                assert!(
                    store.visible_seq() >= commit.seq(),
                    "visible before it is told"
                );
                assert_eq!(commit.ops().count(), 1);
            }
        });
        assert!(feed.next(Duration::from_millis(1)).unwrap().is_none());
        assert_eq!(store.stats().feed.delivered, 4 * each);
        store.close().unwrap();
    }
}

#[test]
fn a_commit_says_when_and_whence_and_what() {
    let env = Env::simulated(3);
    let store = open(&env, None).unwrap();
    let mut feed = store.feed(FeedFrom::Now).unwrap();
    let mut txn = store
        .begin(Begin {
            origin: Origin::Http,
            ..Begin::default()
        })
        .unwrap();
    let batch = crate::setup::batch(&[(1, 1)]);
    let (_, record) = batch.ops().next().unwrap();
    txn.put(&key(1), record.unwrap()).unwrap();
    txn.delete(&key(2)).unwrap();
    let seq = txn.commit().unwrap().seq;
    let told = feed.next(Duration::ZERO).unwrap().unwrap();
    assert_eq!((told.seq(), told.origin()), (seq, Some(Origin::Http)));
    assert_eq!(told.time_ms(), Some(env.clock().now_ms()));
    let ops: Vec<_> = told
        .ops()
        .map(|(key, record)| (key.to_vec(), record.is_some()))
        .collect();
    assert_eq!(ops, [(key(1), true), (key(2), false)]);
}

#[test]
fn after_a_restart_it_goes_on_from_any_commit_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let env = Env::real();
    let store = open(&env, Some(&log)).unwrap();
    for n in 0..100 {
        commit(&store, &[(n, n)], Durability::None).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = open(&env, Some(&log)).unwrap();
    for after in [0, 1, 57, 99, 100] {
        let mut feed = store.feed(FeedFrom::After(Seq::new(after))).unwrap();
        let commits = all_there(&mut feed);
        let seqs: Vec<_> = commits.iter().map(|commit| commit.seq().get()).collect();
        assert_eq!(seqs, (after + 1..=100).collect::<Vec<_>>());
        for commit in &commits {
            assert_eq!(keys_of(commit), [key(commit.seq().get() - 1)]);
        }
    }
    // From the log over into memory.
    let mut feed = store.feed(FeedFrom::After(Seq::new(98))).unwrap();
    commit(&store, &[(7, 7)], Durability::None).unwrap();
    let seqs: Vec<_> = all_there(&mut feed).iter().map(|c| c.seq().get()).collect();
    assert_eq!(seqs, [99, 100, 101]);
    store.close().unwrap();
}

#[test]
fn what_is_recycled_is_gone_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let store = open_tight(&Env::real(), &dir.path().join("log")).unwrap();
    let mut slow = store.feed(FeedFrom::Now).unwrap();
    let large: Vec<_> = (0..100).map(|n| (n, n)).collect();
    let mut written = 0;
    while written < 3 * limits.feed_memory {
        commit(&store, &large, Durability::None).unwrap();
        written += 4000;
    }
    let log = store.log().unwrap();
    log.release(store.visible_seq());
    let first = log.oldest_seq();
    let until = PATIENCE.as_millis();
    for _ in 0..until {
        if log.oldest_seq() > first {
            break;
        }
        store.env().clock().sleep(Duration::from_millis(1));
    }
    let missed = slow.next(Duration::ZERO).unwrap_err();
    let TxnError::FeedGone { oldest } = missed else {
        panic!("{missed:?}");
    };
    assert_eq!(missed.code(), Code::Gone);
    assert!(oldest > Seq::new(1) && oldest <= store.visible_seq());
    let late = store.feed(FeedFrom::After(Seq::ZERO)).unwrap_err();
    assert!(matches!(late, TxnError::FeedGone { .. }));
    assert_eq!(store.stats().feed.lost, 2);
    let from = store.oldest_in_feed();
    let mut again = store.feed(FeedFrom::After(from.prev())).unwrap();
    let seqs: Vec<_> = all_there(&mut again).iter().map(FeedCommit::seq).collect();
    assert!(seqs.first() == Some(&from) && seqs.last() == Some(&store.visible_seq()));
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0].next()));
    store.close().unwrap();
}

#[test]
fn a_slow_one_reads_from_the_log_and_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&Env::real(), Some(&dir.path().join("log"))).unwrap();
    let mut slow = store.feed(FeedFrom::Now).unwrap();
    let large: Vec<_> = (0..5000).map(|n| (n, n)).collect();
    let commits = 100;
    for _ in 0..commits {
        commit(&store, &large, Durability::None).unwrap();
    }
    let stats = store.stats().feed;
    assert!(stats.in_memory < commits, "memory is bounded: {stats:?}");
    assert!(stats.memory_bytes <= Limits::default().feed_memory);
    let seqs = all_there(&mut slow).len() as u64;
    assert_eq!(seqs, commits);
    store.close().unwrap();
}

#[test]
fn without_a_log_it_begins_with_its_first_follower() {
    let store = open(&Env::real(), None).unwrap();
    commit(&store, &[(1, 1)], Durability::None).unwrap();
    let early = store.feed(FeedFrom::After(Seq::ZERO)).unwrap_err();
    assert!(matches!(early, TxnError::FeedGone { oldest } if oldest == Seq::new(2)));
    let ahead = store.feed(FeedFrom::After(Seq::new(9))).unwrap_err();
    assert!(matches!(ahead, TxnError::FeedAhead { newest } if newest == Seq::new(1)));
    assert_eq!(ahead.code(), Code::Gone);
    commit(&store, &[(2, 2)], Durability::None).unwrap();
    let mut feed = store.feed(FeedFrom::After(Seq::new(1))).unwrap();
    assert_eq!(all_there(&mut feed).len(), 1);
}

#[test]
fn the_number_of_followers_is_limited_and_the_store_can_close() {
    let limits = Limits {
        feeds_max: 2,
        ..Limits::default()
    };
    let store = open_limited(&Env::real(), limits).unwrap();
    let (one, mut two) = (
        store.feed(FeedFrom::Now).unwrap(),
        store.feed(FeedFrom::Now).unwrap(),
    );
    let refused = store.feed(FeedFrom::Now).unwrap_err();
    assert!(matches!(refused, TxnError::TooManyFeeds { max: 2 }));
    drop(one);
    assert!(store.feed(FeedFrom::Now).is_ok());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| two.next(PATIENCE * 10).unwrap());
        store.close().unwrap();
        assert!(waiting.join().unwrap().is_none());
    });
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn whoever_polls_is_woken_once_for_what_comes() {
    let store = open(&Env::real(), None).unwrap();
    let mut feed = store.feed(FeedFrom::Now).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    for round in 1..4 {
        assert!(!feed.poll_ready(&waker) && !feed.poll_ready(&waker));
        commit(&store, &[(1, 1)], Durability::None).unwrap();
        assert_eq!(woken.0.load(SeqCst), round);
        commit(&store, &[(1, 1)], Durability::None).unwrap();
        assert_eq!(woken.0.load(SeqCst), round, "nobody has asked again");
        assert!(feed.poll_ready(&waker));
        assert_eq!(all_there(&mut feed).len(), 2);
    }
}
