//! Watched reads against a plain list of all commits, and in a race with committers.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use mantis_env::{Env, Rng, SeededRng};
use mantis_txn::{Begin, Store, TxnError, Watch, WatchSet};
use mantis_types::{Code, Durability, Limits, Seq};

use crate::setup::{batch, commit, key, open, open_limited};

fn set_of(keys: &[u64], ranges: &[(u64, Option<u64>)]) -> WatchSet {
    let mut set = WatchSet::default();
    keys.iter().for_each(|k| set.key(&key(*k)));
    for (from, to) in ranges {
        set.range(&key(*from), to.map(key).as_deref());
    }
    set
}

/// What is watched, as a list says it.
struct Plain {
    keys: Vec<u64>,
    ranges: Vec<(u64, Option<u64>)>,
    since: Seq,
}

impl Plain {
    fn holds(&self, k: u64) -> bool {
        let within = |(from, to): &(u64, Option<u64>)| *from <= k && to.is_none_or(|to| k < to);
        self.keys.contains(&k) || self.ranges.iter().any(within)
    }

    /// The newest commit of the history that touches it.
    fn touched(&self, history: &[(Seq, Vec<u64>)]) -> Option<Seq> {
        let after = history.iter().rev().filter(|(seq, _)| *seq > self.since);
        let mut touching = after.filter(|(_, keys)| keys.iter().any(|k| self.holds(*k)));
        touching.next().map(|(seq, _)| *seq)
    }
}

/// One drawn run: registrations come and go among commits.
struct Run {
    store: Store,
    rng: SeededRng,
    history: Vec<(Seq, Vec<u64>)>,
    watched: Vec<(Watch, Plain)>,
}

impl Run {
    fn below(&self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    fn commit(&mut self) {
        let mut keys: Vec<u64> = (0..=self.below(3)).map(|_| self.below(200)).collect();
        keys.sort_unstable();
        keys.dedup();
        let pairs: Vec<_> = keys.iter().map(|k| (*k, 0)).collect();
        let done = commit(&self.store, &pairs, Durability::None).unwrap();
        self.history.push((done.seq, keys));
    }

    fn register(&mut self) {
        let keys: Vec<u64> = (0..self.below(3)).map(|_| self.below(200)).collect();
        let ranges = (0..self.below(3)).map(|_| {
            let (from, len) = (self.below(200), self.below(60));
            let open = self.below(8) == 0;
            (from, (!open).then_some(from + len))
        });
        let ranges: Vec<_> = ranges.collect();
        let set = set_of(&keys, &ranges);
        let back = self.below(20);
        let newest = self.store.visible_seq();
        let watch = if back < 10 {
            self.store.watch(&set).unwrap()
        } else {
            let since = Seq::new(newest.get().saturating_sub(back - 10));
            self.store.watch_since(&set, since).unwrap()
        };
        let since = watch.since();
        self.watched.push((
            watch,
            Plain {
                keys,
                ranges,
                since,
            },
        ));
    }

    fn compare(&self, seed: u64) {
        for (watch, plain) in &self.watched {
            let expected = plain.touched(&self.history);
            // What is found at the registration is not looked at again.
            let found = watch.touched();
            assert_eq!(
                found.is_some(),
                expected.is_some(),
                "seed {seed}: {watch:?}"
            );
            assert!(found <= expected, "seed {seed}: {watch:?}");
        }
    }
}

#[test]
fn marks_say_what_a_list_of_all_commits_says() {
    for seed in 0..60 {
        let store = open(&Env::real(), None).unwrap();
        // Remembered from here on.
        drop(store.watch(&WatchSet::default()).unwrap());
        let mut run = Run {
            store,
            rng: SeededRng::new(seed),
            history: Vec::new(),
            watched: Vec::new(),
        };
        for _ in 0..300 {
            match run.below(10) {
                0..4 => run.commit(),
                4..7 => run.register(),
                _ if !run.watched.is_empty() => {
                    let at = run.below(run.watched.len() as u64);
                    drop(run.watched.swap_remove(usize::try_from(at).unwrap()));
                }
                _ => {}
            }
            run.compare(seed);
        }
        run.watched.clear();
        let left = run.store.stats().watch;
        assert_eq!(
            (left.watches, left.keys, left.ranges),
            (0, 0, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn thousands_of_ends_in_blocks_say_the_same() {
    let store = open(&Env::real(), None).unwrap();
    let watch = |from, to| store.watch(&set_of(&[], &[(from, Some(to))])).unwrap();
    let rng = SeededRng::new(7);
    let mut watched = Vec::new();
    for _ in 0..2_000 {
        let (from, len) = (rng.next_u64() % 100_000, rng.next_u64() % 20_000);
        watched.push((from, from + len + 1, watch(from, from + len + 1)));
    }
    for _ in 0..60 {
        let k = rng.next_u64() % 130_000;
        let seq = commit(&store, &[(k, 0)], Durability::None).unwrap().seq;
        for (from, to, watch) in &watched {
            assert_eq!(watch.touched() == Some(seq), *from <= k && k < *to, "{k}");
        }
        // Every second one goes, another comes: ends move within blocks and out of them.
        let gone = usize::try_from(rng.next_u64()).unwrap() % watched.len();
        watched.swap_remove(gone);
        watched.push((k, k + 1, watch(k, k + 1)));
    }
    watched.truncate(2);
    assert_eq!(store.stats().watch.ranges, 2);
}

#[test]
fn a_read_that_is_older_than_what_is_remembered_counts_as_touched() {
    let store = open(&Env::real(), None).unwrap();
    let set = set_of(&[1], &[]);
    commit(&store, &[(2, 0)], Durability::None).unwrap();
    // Nothing was kept before the first one came.
    let first = store.watch_since(&set, Seq::ZERO).unwrap();
    assert!(first.touched().is_some());
    let since = store.visible_seq();
    let exact = store.watch_since(&set, since).unwrap();
    for _ in 0..10_000 {
        commit(&store, &[(2, 0)], Durability::None).unwrap();
    }
    assert_eq!(store.watch_since(&set, since).unwrap().touched(), None);
    let many: Vec<_> = (2..10_002).map(|k| (k, 0)).collect();
    for _ in 0..8 {
        commit(&store, &many, Durability::None).unwrap();
    }
    assert!(store.watch_since(&set, since).unwrap().touched().is_some());
    assert_eq!(exact.touched(), None, "a registration does not age");
}

/// Registers, reads, and looks whether all that was read is covered by what was told.
fn a_reader_knows_of_everything_it_sees(store: &Store, number: u64) {
    let set = set_of(&[number], &[(0, Some(2))]);
    let watch = store.watch(&set).unwrap();
    let mut reader = store.begin(Begin::default()).unwrap();
    assert!(reader.snapshot_seq() >= watch.since());
    let seen = [0, 1, number].map(|k| {
        let record = reader.get(&key(k)).unwrap();
        record.map_or(Seq::ZERO, |record| record.seq())
    });
    let newest = seen.into_iter().max().unwrap();
    let touched = watch.touched().unwrap_or(Seq::ZERO);
    assert!(
        newest <= watch.since() || touched >= newest,
        "{newest} {touched}"
    );
}

fn commit_until(stop: &AtomicBool, store: &Store, number: u64) {
    let class = if number.is_multiple_of(2) {
        Durability::None
    } else {
        Durability::Sync
    };
    while !stop.load(SeqCst) {
        commit(store, &[(number, 0)], class).unwrap();
    }
}

#[test]
fn a_visible_commit_has_been_told() {
    let dir = tempfile::tempdir().unwrap();
    for log in [None, Some(dir.path().join("log"))] {
        let store = open(&Env::real(), log.as_deref()).unwrap();
        let (stop, store) = (&AtomicBool::new(false), &store);
        std::thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || commit_until(stop, store, number));
            }
            (0..300).for_each(|round| a_reader_knows_of_everything_it_sees(store, round % 4));
            stop.store(true, SeqCst);
        });
        store.close().unwrap();
    }
}

#[test]
fn what_a_transaction_commits_touches_too_and_what_fails_does_not() {
    let store = open(&Env::real(), None).unwrap();
    let watch = store.watch(&set_of(&[1], &[(5, None)])).unwrap();
    let mut lost = store.begin(Begin::default()).unwrap();
    let mut txn = store.begin(Begin::default()).unwrap();
    let record = batch(&[(9, 1)]);
    let (_, record) = record.ops().next().unwrap();
    lost.put(&key(9), record.unwrap()).unwrap();
    txn.put(&key(9), record.unwrap()).unwrap();
    drop(lost);
    assert_eq!(watch.touched(), None);
    let seq = txn.commit().unwrap().seq;
    assert_eq!(watch.touched(), Some(seq));
}

#[test]
fn the_limit_is_named_and_room_comes_back() {
    let limits = Limits {
        watched_max: 3,
        ..Limits::default()
    };
    let store = open_limited(&Env::real(), limits).unwrap();
    let two = store.watch(&set_of(&[1], &[(1, None)])).unwrap();
    let refused = store.watch(&set_of(&[1, 2], &[])).unwrap_err();
    assert!(matches!(refused, TxnError::TooManyWatched { max: 3 }));
    assert_eq!(refused.code(), Code::PoolExhausted);
    drop(two);
    assert!(store.watch(&set_of(&[1, 2], &[])).is_ok());
    // A range that holds nothing takes nothing.
    let empty = set_of(&[], &[(2, Some(2)), (3, Some(1))]);
    assert!(empty.is_empty());
}
