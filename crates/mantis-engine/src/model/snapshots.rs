//! Snapshots and the collector of the memory engine: what a held snapshot sees is not dropped.
//!
//! Stands for `registry.rs`, `view.rs` (`snapshot`, `clone`, `drop`) and `memory/collector.rs`. All
//! commits write one key, and their number is the value, so that a snapshot at `n` must read `n`.

use std::collections::BTreeSet;
use std::sync::Arc;

use mantis_testkit::schedule::{check, is_caught, point, schedules};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shuttle::thread;

type Mutant = u8;
const NONE: Mutant = 0;
/// A snapshot chooses its Seq before it has the lock of its part.
const CHOOSES_OUTSIDE: Mutant = 1;
/// The collector asks who holds what before it asks what is visible.
const HELD_BEFORE_VISIBLE: Mutant = 2;
/// A copy is registered in the part of the thread that makes it.
const COPIES_ELSEWHERE: Mutant = 3;
/// A copy shares the place of the original, which gives it back.
const SHARES_PLACE: Mutant = 4;
/// The collector takes the oldest snapshot for the only one.
const OLDEST_ALONE: Mutant = 5;
/// The collector looks only at what is visible.
const FORGETS_HELD: Mutant = 6;

const PARTS: usize = 2;
const COMMITS: u64 = 5;

/// Where a snapshot is registered: part and number.
#[derive(Clone, Copy, Debug)]
struct Slot {
    part: usize,
    number: usize,
}

#[derive(Debug)]
struct Snapshot {
    seq: u64,
    slot: Slot,
}

struct Scene<const M: Mutant> {
    parts: [Mutex<Vec<Option<u64>>>; PARTS],
    visible: AtomicU64,
    /// The versions of the key. The skiplist needs no lock; this one is held for one step of it.
    versions: Mutex<BTreeSet<u64>>,
}

impl<const M: Mutant> Scene<M> {
    fn new() -> Self {
        Self {
            parts: Default::default(),
            visible: AtomicU64::new(1),
            versions: Mutex::new(BTreeSet::from([1])),
        }
    }

    fn part(&self, part: usize) -> &Mutex<Vec<Option<u64>>> {
        self.parts.get(part).unwrap()
    }

    /// `Registry::enter_at`.
    fn enter(&self, part: usize, choose: impl Fn() -> u64) -> Snapshot {
        let early = choose();
        if M == CHOOSES_OUTSIDE {
            point();
        }
        let mut slots = self.part(part).lock().unwrap();
        let seq = if M == CHOOSES_OUTSIDE {
            early
        } else {
            choose()
        };
        slots.push(Some(seq));
        let number = slots.len() - 1;
        Snapshot {
            seq,
            slot: Slot { part, number },
        }
    }

    /// `Registry::leave`.
    fn leave(&self, snapshot: &Snapshot) {
        let mut slots = self.part(snapshot.slot.part).lock().unwrap();
        *slots.get_mut(snapshot.slot.number).unwrap() = None;
    }

    /// `Snapshot::clone`, by a thread whose own part is `home`.
    fn copy(&self, snapshot: &Snapshot, home: usize) -> Snapshot {
        match M {
            COPIES_ELSEWHERE => self.enter(home, || snapshot.seq),
            SHARES_PLACE => Snapshot { ..*snapshot },
            _ => self.enter(snapshot.slot.part, || snapshot.seq),
        }
    }

    /// Commits, one after the other.
    fn write(&self) {
        for seq in 2..=COMMITS {
            self.versions.lock().unwrap().insert(seq);
            self.visible.store(seq, SeqCst);
        }
    }

    /// `Registry::held`: one part after the other.
    fn held(&self) -> Vec<u64> {
        let mut held = Vec::new();
        for part in &self.parts {
            held.extend(part.lock().unwrap().iter().copied().flatten());
        }
        held.sort_unstable();
        held
    }

    /// `Shared::needed` and `collect_key`.
    fn collect(&self) {
        let (visible, held) = if M == HELD_BEFORE_VISIBLE {
            let held = self.held();
            (self.visible.load(SeqCst), held)
        } else {
            let visible = self.visible.load(SeqCst);
            (visible, self.held())
        };
        let held = match M {
            OLDEST_ALONE => held.into_iter().take(1).collect(),
            FORGETS_HELD => Vec::new(),
            _ => held,
        };
        let versions: Vec<u64> = self.versions.lock().unwrap().iter().copied().collect();
        for pair in versions.windows(2) {
            let &[seq, newer] = pair else { continue };
            let is_seen = newer > visible || held.iter().any(|held| (seq..newer).contains(held));
            if !is_seen {
                self.versions.lock().unwrap().remove(&seq);
            }
        }
    }

    fn check(&self, snapshot: &Snapshot) {
        let versions = self.versions.lock().unwrap();
        let found = versions.range(..=snapshot.seq).next_back().copied();
        assert_eq!(found, Some(snapshot.seq), "of {versions:?}");
    }

    /// A snapshot is taken by a thread at home in one part, and copied by one at home in the other.
    fn read(&self, home: usize) {
        let first = self.enter(home, || self.visible.load(SeqCst));
        self.check(&first);
        let copy = self.copy(&first, PARTS - 1 - home);
        self.leave(&first);
        for _ in 0..2 {
            self.check(&copy);
            point();
        }
        self.leave(&copy);
    }
}

fn run<const M: Mutant>() {
    let scene = Arc::new(Scene::<M>::new());
    let act = |act: fn(&Scene<M>)| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || act(&scene))
    };
    let threads = [
        act(Scene::write),
        act(|scene| scene.read(0)),
        act(|scene| scene.read(1)),
        act(|scene| {
            scene.collect();
            scene.collect();
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    scene.collect();
    let left = scene.versions.lock().unwrap().clone();
    assert_eq!(left, BTreeSet::from([COMMITS]), "nobody sees the others");
}

#[test]
fn what_snapshots_see_is_not_dropped() {
    check(run::<NONE>, schedules(3_000));
}

#[test]
fn every_mutant_of_collection_is_caught() {
    let mutants: [(Mutant, fn()); 6] = [
        (CHOOSES_OUTSIDE, run::<CHOOSES_OUTSIDE>),
        (HELD_BEFORE_VISIBLE, run::<HELD_BEFORE_VISIBLE>),
        (COPIES_ELSEWHERE, run::<COPIES_ELSEWHERE>),
        (SHARES_PLACE, run::<SHARES_PLACE>),
        (OLDEST_ALONE, run::<OLDEST_ALONE>),
        (FORGETS_HELD, run::<FORGETS_HELD>),
    ];
    for (mutant, run) in mutants {
        assert!(is_caught(&[run]), "mutant {mutant} got away");
    }
}
