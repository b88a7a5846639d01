//! Noting commits for conflicts, switched on by the first transaction and off after the last: no
//! transaction misses a commit that came after its snapshot.
//!
//! Stands for `tracking.rs`, `conflict/live.rs`, `transaction/begin.rs` and the check at the commit.
//! Transactions read and write one key of two: one commits only if nobody has written it since its
//! snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use mantis_testkit::schedule::{check, is_caught, point, schedules};
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

type Mutant = u8;
const NONE: Mutant = 0;
/// A transaction looks whether commits are noted before it says that it lives.
const LOOKS_FIRST: Mutant = 1;
/// It is switched off when nobody lives, and only then is the mark taken away.
const MARK_LAST: Mutant = 2;
/// The first transaction does not wait for commits that were numbered before it switched on.
const LEAVES_COMMITS_BEHIND: Mutant = 3;
/// The commit from which on others are noted is looked up before the sequencer's lock.
const SWITCHES_OUTSIDE: Mutant = 4;
/// What every reader sees is forgotten, whoever lives.
const FORGETS_AT_VISIBLE: Mutant = 5;
/// The snapshot is taken before the transaction says that it lives.
const SNAPSHOT_FIRST: Mutant = 6;

/// The key of the transactions.
const READ: usize = 0;
const OTHER: usize = 1;
/// Commits are not noted.
const OFF: u64 = u64::MAX;

#[derive(Default)]
struct Order {
    last: u64,
    points: bool,
    /// The index: commits and the key of each, as far as anybody may ask.
    noted: BTreeMap<u64, usize>,
    /// The truth: the newest commit of each key.
    newest: [u64; 2],
}

struct Scene<const M: Mutant> {
    sequencer: Mutex<Order>,
    points_from: AtomicU64,
    /// Since which commit each living transaction may ask.
    live: Mutex<Vec<u64>>,
    oldest: AtomicU64,
    visible: Mutex<u64>,
    moved: Condvar,
}

impl<const M: Mutant> Scene<M> {
    fn new() -> Self {
        Self {
            sequencer: Mutex::default(),
            points_from: AtomicU64::new(OFF),
            live: Mutex::default(),
            oldest: AtomicU64::new(OFF),
            visible: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    fn visible(&self) -> u64 {
        point();
        *self.visible.lock().unwrap()
    }

    fn wait_visible(&self, seq: u64) {
        let mut visible = self.visible.lock().unwrap();
        while *visible < seq {
            visible = self.moved.wait(visible).unwrap();
        }
    }

    /// Every commit becomes visible after the ones before it.
    fn publish(&self, seq: u64) {
        point();
        self.wait_visible(seq - 1);
        *self.visible.lock().unwrap() = seq;
        self.moved.notify_all();
    }

    /// `Live::enter`.
    fn enter(&self) -> u64 {
        let mut live = self.live.lock().unwrap();
        let since = self.visible();
        live.push(since);
        self.note_oldest(&live);
        since
    }

    /// Dropping a `Ticket`.
    fn leave(&self, since: u64) {
        let mut live = self.live.lock().unwrap();
        let place = live.iter().position(|own| *own == since);
        live.swap_remove(place.unwrap());
        self.note_oldest(&live);
    }

    fn note_oldest(&self, live: &[u64]) {
        let oldest = live.iter().copied().min();
        self.oldest.store(oldest.unwrap_or(OFF), SeqCst);
    }

    /// `Tracking::switch_on`.
    fn switch_on(&self) -> u64 {
        let from = self.points_from.load(SeqCst);
        if from != OFF {
            return from;
        }
        let early = self.sequencer.lock().unwrap().last;
        if M == SWITCHES_OUTSIDE {
            point();
        }
        let mut order = self.sequencer.lock().unwrap();
        let last = match M {
            SWITCHES_OUTSIDE => early,
            _ => order.last,
        };
        if !order.points {
            order.points = true;
            self.points_from.store(last, SeqCst);
        }
        last
    }

    /// Numbers a commit, and `Tracking::enter`. Inside the sequencer.
    fn number(&self, order: &mut Order, key: usize) -> u64 {
        order.last += 1;
        *order.newest.get_mut(key).unwrap() = order.last;
        if order.points {
            let visible = self.visible();
            let oldest = match M {
                FORGETS_AT_VISIBLE => visible,
                _ => visible.min(self.oldest.load(SeqCst)),
            };
            order.noted.retain(|seq, _| *seq > oldest);
            order.noted.insert(order.last, key);
        }
        order.last
    }

    /// A write outside of transactions, of the one key and of the other.
    fn write(&self) {
        for key in [READ, OTHER] {
            let seq = self.number(&mut self.sequencer.lock().unwrap(), key);
            self.publish(seq);
        }
    }

    /// `Store::begin`; answers the snapshot, and since when it may ask.
    fn begin(&self) -> (u64, u64) {
        let early = self.visible();
        let (since, noted_from) = if M == LOOKS_FIRST {
            let noted_from = self.switch_on();
            point();
            (self.enter(), noted_from)
        } else {
            let since = self.enter();
            point();
            (since, self.switch_on())
        };
        if M != LEAVES_COMMITS_BEHIND {
            self.wait_visible(noted_from);
        }
        let snapshot = match M {
            SNAPSHOT_FIRST => early.max(noted_from),
            _ => self.visible(),
        };
        (snapshot, since)
    }

    /// A transaction that reads and writes the key.
    fn transact(&self) {
        let (snapshot, since) = self.begin();
        point();
        let committed = {
            let mut order = self.sequencer.lock().unwrap();
            let mut since = order.noted.range(snapshot + 1..);
            let is_free = since.all(|(_, key)| *key != READ);
            is_free.then(|| {
                let [newest, _] = order.newest;
                assert!(newest <= snapshot, "somebody has written it since");
                self.number(&mut order, READ)
            })
        };
        if let Some(seq) = committed {
            self.publish(seq);
        }
        self.leave(since);
    }

    /// `Tracking::rest`, when nobody seems to have lived for a while.
    fn rest(&self) {
        let is_idle = || self.live.lock().unwrap().is_empty();
        if !is_idle() {
            return;
        }
        point();
        let mut order = self.sequencer.lock().unwrap();
        if !order.points {
            return;
        }
        let is_off = if M == MARK_LAST {
            let is_off = is_idle();
            point();
            if is_off {
                self.points_from.store(OFF, SeqCst);
            }
            is_off
        } else {
            let from = self.points_from.swap(OFF, SeqCst);
            let is_off = is_idle();
            if !is_off {
                self.points_from.store(from, SeqCst);
            }
            is_off
        };
        if is_off {
            order.points = false;
            order.noted.clear();
        }
    }
}

fn run<const M: Mutant>(writes: usize, rests: usize) {
    let scene = Arc::new(Scene::<M>::new());
    let act = |act: fn(&Scene<M>), times: usize| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || (0..times).for_each(|_| act(&scene)))
    };
    let threads = [
        act(Scene::transact, 2),
        act(Scene::transact, 1),
        act(Scene::write, writes),
        act(Scene::rest, rests),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    scene.rest();
    let order = scene.sequencer.lock().unwrap();
    let is_off = !order.points && order.noted.is_empty();
    assert!(is_off, "nobody lives, and commits are noted");
    assert_eq!(scene.visible(), order.last);
}

const fn scenes<const M: Mutant>() -> (Mutant, [fn(); 3]) {
    (M, [|| run::<M>(1, 1), || run::<M>(2, 0), || run::<M>(1, 2)])
}

#[test]
fn no_transaction_misses_a_commit_after_its_snapshot() {
    for scene in scenes::<NONE>().1 {
        check(scene, schedules(2_000));
    }
}

#[test]
fn every_mutant_of_noting_is_caught() {
    for (mutant, scenes) in [
        scenes::<LOOKS_FIRST>(),
        scenes::<MARK_LAST>(),
        scenes::<LEAVES_COMMITS_BEHIND>(),
        scenes::<SWITCHES_OUTSIDE>(),
        scenes::<FORGETS_AT_VISIBLE>(),
        scenes::<SNAPSHOT_FIRST>(),
    ] {
        assert!(is_caught(&scenes), "mutant {mutant} got away");
    }
}
