//! Random requests, releases and withdrawals beside a naive model, whose graph of waits is searched
//! whole: each answer must be the same, and no cycle may stand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mantis_env::SeededRng;

use super::super::{LockError, LockRequest, Requested, RowLocks};
use super::{give, table, txn};

const CASES: u64 = 10_000;
const STEPS: u64 = 40;
const TXNS: u64 = 6;
const KEYS: u64 = 4;

/// Who holds and who waits, as plain lists.
#[derive(Clone, Default)]
struct Naive {
    holders: BTreeMap<u64, u64>,
    queues: BTreeMap<u64, VecDeque<u64>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Granted,
    Queued,
    Deadlock,
}

impl Naive {
    /// Each waiting transaction with everybody it waits for: the holder, and those ahead of it.
    fn edges(&self) -> BTreeMap<u64, BTreeSet<u64>> {
        let mut edges: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (key, queue) in &self.queues {
            let mut ahead: BTreeSet<u64> = self.holders.get(key).copied().into_iter().collect();
            for who in queue {
                edges.entry(*who).or_default().extend(&ahead);
                ahead.insert(*who);
            }
        }
        edges
    }

    fn has_cycle(&self) -> bool {
        let edges = self.edges();
        edges
            .keys()
            .any(|start| reaches(&edges, *start).contains(start))
    }

    fn waits(&self, who: u64) -> bool {
        self.queues.values().any(|queue| queue.contains(&who))
    }

    fn request(&mut self, who: u64, key: u64) -> Expected {
        match self.holders.get(&key) {
            None => {
                self.holders.insert(key, who);
                Expected::Granted
            }
            Some(holder) if *holder == who => Expected::Granted,
            Some(_) => {
                let mut after = self.clone();
                after.queues.entry(key).or_default().push_back(who);
                if after.has_cycle() {
                    return Expected::Deadlock;
                }
                *self = after;
                Expected::Queued
            }
        }
    }

    fn release(&mut self, who: u64, key: u64) {
        if self.holders.get(&key) == Some(&who) {
            self.holders.remove(&key);
            let next = self.queues.get_mut(&key).and_then(VecDeque::pop_front);
            self.holders.extend(next.map(|next| (key, next)));
        }
    }

    fn withdraw(&mut self, who: u64) {
        for queue in self.queues.values_mut() {
            queue.retain(|waiter| *waiter != who);
        }
    }
}

/// Everybody that `start` waits for, over any number of edges.
fn reaches(edges: &BTreeMap<u64, BTreeSet<u64>>, start: u64) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut open: Vec<u64> = edges[&start].iter().copied().collect();
    while let Some(at) = open.pop() {
        if found.insert(at) {
            open.extend(edges.get(&at).into_iter().flatten());
        }
    }
    found
}

/// The table, its model, and the requests that are open.
struct Pair {
    locks: RowLocks,
    naive: Naive,
    open: BTreeMap<u64, LockRequest>,
    queued: u64,
    deadlocks: u64,
}

impl Pair {
    fn request(&mut self, who: u64, key: u64) {
        let expected = self.naive.request(who, key);
        let got = match self.locks.request(txn(who), &key.to_le_bytes()) {
            Ok(Requested::Granted) => Expected::Granted,
            Ok(Requested::Queued(request)) => {
                self.open.insert(who, request);
                self.queued += 1;
                Expected::Queued
            }
            Err(LockError::Deadlock) => {
                self.deadlocks += 1;
                Expected::Deadlock
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(got, expected, "{who} asked for {key}");
    }

    fn step(&mut self, rng: &SeededRng) {
        let (who, key) = (rng.below(TXNS), rng.below(KEYS));
        match rng.below(8) {
            0 | 1 => {
                self.naive.release(who, key);
                give(&self.locks, who, &[&key.to_le_bytes()]);
            }
            2 if self.naive.waits(who) => {
                self.naive.withdraw(who);
                drop(self.open.remove(&who));
            }
            _ if !self.naive.waits(who) => self.request(who, key),
            _ => {}
        }
    }

    fn check(&mut self) {
        assert!(!self.naive.has_cycle());
        for key in 0..KEYS {
            let holder = self.locks.holder(&key.to_le_bytes());
            assert_eq!(holder, self.naive.holders.get(&key).copied().map(txn));
        }
        let served = self
            .open
            .extract_if(.., |_, request| request.poll().is_some());
        for (who, _) in served {
            assert!(!self.naive.waits(who), "{who} was served too early");
        }
        for who in self.open.keys() {
            assert!(self.naive.waits(*who), "{who} was not served");
        }
        assert_eq!(self.locks.stats().waiting, self.open.len() as u64);
        assert_eq!(self.locks.any(), !self.naive.holders.is_empty());
    }
}

#[test]
fn the_walk_answers_as_a_search_of_the_whole_graph_does() {
    let (mut queued, mut deadlocks) = (0, 0);
    for seed in 0..CASES {
        let rng = SeededRng::new(seed);
        let mut pair = Pair {
            locks: table(),
            naive: Naive::default(),
            open: BTreeMap::new(),
            queued: 0,
            deadlocks: 0,
        };
        for _ in 0..STEPS {
            pair.step(&rng);
            pair.check();
        }
        queued += pair.queued;
        deadlocks += pair.deadlocks;
    }
    // Both answers have to come often, or the comparison says little.
    assert!(
        queued > CASES && deadlocks > CASES / 10,
        "{queued} {deadlocks}"
    );
}

#[test]
fn control_the_search_finds_cycles_over_holders_and_over_queues() {
    let mut naive = Naive::default();
    assert_eq!(naive.request(1, 10), Expected::Granted);
    assert_eq!(naive.request(2, 20), Expected::Granted);
    assert_eq!(naive.request(1, 20), Expected::Queued);
    assert!(!naive.has_cycle());
    let mut over_holders = naive.clone();
    over_holders.queues.entry(10).or_default().push_back(2);
    assert!(over_holders.has_cycle());
    // 3 waits behind 1, which waits for what 3 holds.
    assert_eq!(naive.request(3, 30), Expected::Granted);
    naive.queues.entry(20).or_default().push_back(3);
    assert!(!naive.has_cycle());
    naive.queues.entry(30).or_default().push_back(1);
    assert!(naive.has_cycle());
}
