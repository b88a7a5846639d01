//! The publication protocol under drawn schedules of its threads, with seeded mutants.
//!
//! A miniature of what `pipeline.rs`, `ring.rs`, `outbox.rs` and `watch.rs` do between the number of a
//! commit and its visibility, step by step and with the same orders; engine and log are two numbers.
//! Each step names what it stands for. What is checked: the edge passes no commit that is not applied,
//! or not durable though it has to be; when all threads rest, everything that may be visible is; a commit
//! that is visible has been told to whoever watched before it, in order and once.

use std::sync::Arc;

use mantis_testkit::schedule::{check, is_caught, schedules};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use shuttle::thread;

type Mutant = u8;
const NONE: Mutant = 0;
/// The committer looks whether somebody observes before it marks its commit.
const LOOKS_EARLY: Mutant = 1;
/// The edge moves before the observers are told.
const TELLS_LATE: Mutant = 2;
/// Whoever publishes does not look again when it leaves.
const LEAVES_TOO_SOON: Mutant = 3;
/// The commit is kept for the observers only after its mark.
const KEEPS_LATE: Mutant = 4;
/// Two threads publish at once, without taking turns.
const NO_TURNS: Mutant = 5;
/// A registration asks what has been told before its marks are there.
const ASKS_EARLY: Mutant = 6;
/// The edge passes commits that have to be durable first.
const IGNORES_DURABILITY: Mutant = 7;
/// The durable mark moves, and nobody pushes the edge.
const SYNCS_SILENTLY: Mutant = 8;
/// The edge passes a commit that has only its number.
const IGNORES_MARKS: Mutant = 9;

const COMMITS: usize = 4;
const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct Order {
    last: u64,
    observed: bool,
}

struct Scene<const M: Mutant> {
    sequencer: Mutex<Order>,
    /// The ring: `seq << 1 | must be durable`.
    ring: [AtomicU64; COMMITS + 1],
    applied: [AtomicBool; COMMITS + 1],
    durable: AtomicU64,
    visible: AtomicU64,
    after: AtomicU64,
    kept: [Mutex<bool>; COMMITS + 1],
    busy: AtomicBool,
    again: AtomicBool,
    /// The index of watched reads: one key that every commit touches.
    mark: Mutex<Option<Arc<AtomicU64>>>,
    /// What was told, in turn.
    telling: Mutex<Vec<u64>>,
    told: AtomicU64,
}

impl<const M: Mutant> Scene<M> {
    fn new() -> Self {
        Self {
            sequencer: Mutex::default(),
            ring: Default::default(),
            applied: Default::default(),
            durable: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            after: AtomicU64::new(NEVER),
            kept: Default::default(),
            busy: AtomicBool::new(false),
            again: AtomicBool::new(false),
            mark: Mutex::default(),
            telling: Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    fn at<T>(places: &[T; COMMITS + 1], seq: u64) -> &T {
        let place = usize::try_from(seq).ok().and_then(|seq| places.get(seq));
        place.expect("there are as many places as commits")
    }

    /// `Pipeline::start`.
    fn commit(&self, must_be_durable: bool) {
        let early = self.after.load(SeqCst) != NEVER;
        let (seq, observed) = {
            let mut order = self.sequencer.lock().unwrap();
            order.last += 1;
            (order.last, order.observed)
        };
        Self::at(&self.applied, seq).store(true, SeqCst);
        let keep = || *Self::at(&self.kept, seq).lock().unwrap() = observed;
        if M != KEEPS_LATE {
            keep();
        }
        let mark = seq << 1 | u64::from(must_be_durable);
        Self::at(&self.ring, seq).store(mark, SeqCst);
        if M == KEEPS_LATE {
            keep();
        }
        self.advance(early);
    }

    /// The log's sync, and the hook behind it.
    fn sync(&self) {
        let last = self.sequencer.lock().unwrap().last;
        self.durable.fetch_max(last, SeqCst);
        if M != SYNCS_SILENTLY {
            self.advance(self.after.load(SeqCst) != NEVER);
        }
    }

    /// `Ring::next_publishable`.
    fn next_publishable(&self, visible: u64) -> Option<u64> {
        let next = visible + 1;
        if next > COMMITS as u64 {
            return None;
        }
        let mark = Self::at(&self.ring, next).load(SeqCst);
        let finished = mark >> 1 == next || (M == IGNORES_MARKS && visible > 0);
        let durable = self.durable.load(SeqCst) >= next || M == IGNORES_DURABILITY;
        (finished && (mark & 1 == 0 || durable)).then_some(next)
    }

    /// `Horizon::advance`, with what must hold there.
    fn move_edge(&self, visible: u64) -> bool {
        let next = visible + 1;
        let moved = self
            .visible
            .compare_exchange(visible, next, SeqCst, SeqCst)
            .is_ok();
        if moved {
            assert!(Self::at(&self.applied, next).load(SeqCst), "not applied");
            let mark = Self::at(&self.ring, next).load(SeqCst);
            assert_eq!(mark >> 1, next, "not marked");
            let durable = self.durable.load(SeqCst) >= next;
            assert!(mark & 1 == 0 || durable, "not durable");
        }
        moved
    }

    /// `Pipeline::advance`.
    fn advance(&self, early: bool) {
        loop {
            let visible = self.visible.load(SeqCst);
            let Some(next) = self.next_publishable(visible) else {
                break;
            };
            let covered = if M == LOOKS_EARLY {
                early
            } else {
                next > self.after.load(SeqCst)
            };
            if covered {
                self.one_at_a_time();
                break;
            }
            self.move_edge(visible);
        }
    }

    /// `Outbox::one_at_a_time`.
    fn one_at_a_time(&self) {
        if M == NO_TURNS {
            return self.publish();
        }
        self.again.store(true, SeqCst);
        while self.again.load(SeqCst) && !self.busy.swap(true, SeqCst) {
            self.again.store(false, SeqCst);
            self.publish();
            self.busy.store(false, SeqCst);
            if M == LEAVES_TOO_SOON {
                break;
            }
        }
    }

    /// `Pipeline::publish_observed`.
    fn publish(&self) {
        loop {
            let visible = self.visible.load(SeqCst);
            let Some(next) = self.next_publishable(visible) else {
                break;
            };
            if M == TELLS_LATE {
                self.move_edge(visible);
                self.tell(next);
            } else {
                self.tell(next);
                self.move_edge(visible);
            }
        }
    }

    /// `Outbox::tell` and `WatchIndex::tell`.
    fn tell(&self, seq: u64) {
        let kept = std::mem::take(&mut *Self::at(&self.kept, seq).lock().unwrap());
        if !kept {
            return;
        }
        let mut telling = self.telling.lock().unwrap();
        telling.push(seq);
        let mark = self.mark.lock().unwrap().clone();
        if let Some(mark) = mark {
            mark.store(seq, SeqCst);
        }
        self.told.store(seq, SeqCst);
    }

    /// `Store::watch`, then looks at the mark behind each look at the edge.
    fn watch(&self) {
        {
            // `Outbox::switch_on`.
            let mut order = self.sequencer.lock().unwrap();
            order.observed = true;
            self.after.store(order.last, SeqCst);
        }
        let after = self.after.load(SeqCst);
        let mark = Arc::new(AtomicU64::new(0));
        let join = || *self.mark.lock().unwrap() = Some(Arc::clone(&mark));
        if M != ASKS_EARLY {
            join();
        }
        let since = {
            let _telling = self.telling.lock().unwrap();
            self.told.load(SeqCst).max(after)
        };
        if M == ASKS_EARLY {
            join();
        }
        for _ in 0..4 {
            let visible = self.visible.load(SeqCst);
            let touched = mark.load(SeqCst);
            assert!(visible <= since || touched >= visible, "visible, not told");
            thread::yield_now();
        }
    }
}

fn run<const M: Mutant>() {
    let scene = Arc::new(Scene::<M>::new());
    let committers = (0..2).map(|number| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || {
            scene.commit(number == 0);
            scene.commit(false);
        })
    });
    let committers: Vec<_> = committers.collect();
    let observer = Arc::clone(&scene);
    let observer = thread::spawn(move || observer.watch());
    let syncer = Arc::clone(&scene);
    let syncer = thread::spawn(move || syncer.sync());
    for committer in committers {
        committer.join().unwrap();
    }
    syncer.join().unwrap();
    observer.join().unwrap();
    let left = scene.next_publishable(scene.visible.load(SeqCst));
    assert_eq!(left, None, "all are at rest, and nobody has published it");
    // Now everything is durable.
    scene.sync();
    let visible = scene.visible.load(SeqCst);
    assert_eq!(visible, COMMITS as u64, "commits that nobody publishes");
    let told = scene.telling.lock().unwrap().clone();
    let after = scene.after.load(SeqCst);
    assert!(
        told.into_iter().eq(after + 1..=visible),
        "told in order, and once"
    );
}

#[test]
fn commits_become_visible_in_order_and_told() {
    check(run::<NONE>, schedules(3_000));
}

#[test]
fn every_mutant_of_publication_is_caught() {
    let mutants: [(Mutant, fn()); 9] = [
        (LOOKS_EARLY, run::<LOOKS_EARLY>),
        (TELLS_LATE, run::<TELLS_LATE>),
        (LEAVES_TOO_SOON, run::<LEAVES_TOO_SOON>),
        (KEEPS_LATE, run::<KEEPS_LATE>),
        (NO_TURNS, run::<NO_TURNS>),
        (ASKS_EARLY, run::<ASKS_EARLY>),
        (IGNORES_DURABILITY, run::<IGNORES_DURABILITY>),
        (SYNCS_SILENTLY, run::<SYNCS_SILENTLY>),
        (IGNORES_MARKS, run::<IGNORES_MARKS>),
    ];
    for (mutant, run) in mutants {
        assert!(is_caught(&[run]), "mutant {mutant} got away");
    }
}
