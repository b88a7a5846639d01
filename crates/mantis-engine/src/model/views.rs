//! Sealing, flushing and snapshots: a snapshot sees every commit up to its own, and nothing else, for
//! as long as it is held, whatever becomes of the memtables meanwhile.
//!
//! Stands for `lsm/shared.rs` (`place`, `seal`, `refresh`), `lsm/flush.rs` and `view.rs`. Each commit
//! writes a key of its own, its number, so that a snapshot at `n` must find exactly 1 to `n`.

use std::collections::BTreeSet;
use std::sync::Arc;

use mantis_testkit::schedule::{check, is_caught, point, schedules};
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use shuttle::thread;

type Mutant = u8;
const NONE: Mutant = 0;
/// A snapshot looks up to where it may read before it takes the view.
const SEQ_BEFORE_VIEW: Mutant = 1;
/// A snapshot is not cut off where its newest memtable ends.
const NO_CUT: Mutant = 2;
/// A memtable learns its end after the next one has taken a commit that readers see.
const SEALS_LATE: Mutant = 3;
/// A memtable is flushed before all of it is visible.
const FLUSHES_INVISIBLE: Mutant = 4;
/// The flushed memtable leaves the view before the tables enter it.
const TWO_STEPS: Mutant = 5;
/// Sealing and flushing replace the view at the same time.
const NO_TURNS: Mutant = 6;
/// The tables are looked up before it is one's turn to show them.
const STALE_TABLES: Mutant = 7;

const COMMITS: usize = 4;

#[derive(Debug)]
struct Memtable {
    start: u64,
    end: AtomicU64,
    /// What was applied.
    versions: Mutex<Vec<u64>>,
}

impl Memtable {
    fn new(start: u64) -> Arc<Self> {
        Arc::new(Self {
            start,
            end: AtomicU64::new(u64::MAX),
            versions: Mutex::default(),
        })
    }

    fn last(&self) -> u64 {
        self.end.load(SeqCst).saturating_sub(1)
    }
}

#[derive(Clone, Debug)]
struct View {
    active: Arc<Memtable>,
    /// Newest first.
    sealed: Vec<Arc<Memtable>>,
    /// The keys in tables, a bit each.
    tables: u64,
}

struct Scene<const M: Mutant> {
    /// The sequencer of the commit pipeline and the engine's `placing` below it: the last commit.
    placing: Mutex<u64>,
    active: Mutex<Arc<Memtable>>,
    view: Mutex<Arc<View>>,
    changing_view: Mutex<()>,
    refreshing: Mutex<()>,
    /// The keys in the tree, a bit each.
    store: AtomicU64,
    applied: [AtomicBool; COMMITS + 1],
    visible: AtomicU64,
}

impl<const M: Mutant> Scene<M> {
    fn new() -> Self {
        let active = Memtable::new(1);
        Self {
            placing: Mutex::new(0),
            view: Mutex::new(Arc::new(View {
                active: Arc::clone(&active),
                sealed: Vec::new(),
                tables: 0,
            })),
            active: Mutex::new(active),
            changing_view: Mutex::new(()),
            refreshing: Mutex::new(()),
            store: AtomicU64::new(0),
            applied: Default::default(),
            visible: AtomicU64::new(0),
        }
    }

    fn is_applied(&self, seq: u64) -> bool {
        let place = usize::try_from(seq).ok();
        let applied = place.and_then(|place| self.applied.get(place));
        applied.is_some_and(|applied| applied.load(SeqCst))
    }

    /// `Pipeline::start`: number, place, apply, publish. A memtable is full with one commit.
    fn commit(&self) {
        let (seq, memtable, late) = {
            let mut last = self.placing.lock().unwrap();
            let seq = *last + 1;
            let mut memtable = Arc::clone(&self.active.lock().unwrap());
            let mut late = None;
            if *last >= memtable.start {
                let old = Arc::clone(&memtable);
                memtable = self.seal(&memtable, seq);
                late = (M == SEALS_LATE).then_some(old);
            }
            *last = seq;
            (seq, memtable, late)
        };
        memtable.versions.lock().unwrap().push(seq);
        let place = usize::try_from(seq).unwrap();
        self.applied.get(place).unwrap().store(true, SeqCst);
        self.publish();
        if let Some(old) = late {
            old.end.store(seq, SeqCst);
        }
    }

    /// `Horizon::advance`, by whoever comes by.
    fn publish(&self) {
        loop {
            let visible = self.visible.load(SeqCst);
            if !self.is_applied(visible + 1) {
                break;
            }
            // Somebody else has moved it: look again.
            let _moved = self
                .visible
                .compare_exchange(visible, visible + 1, SeqCst, SeqCst);
        }
    }

    /// `Shared::seal`; the caller holds `placing`.
    fn seal(&self, old: &Arc<Memtable>, end: u64) -> Arc<Memtable> {
        let next = Memtable::new(end);
        let changing = (M != NO_TURNS).then(|| self.changing_view.lock().unwrap());
        if M != SEALS_LATE {
            old.end.store(end, SeqCst);
        }
        let view = Arc::clone(&self.view.lock().unwrap());
        let mut sealed = vec![Arc::clone(old)];
        sealed.extend(view.sealed.iter().cloned());
        self.replace(View {
            active: Arc::clone(&next),
            sealed,
            tables: view.tables,
        });
        *self.active.lock().unwrap() = Arc::clone(&next);
        drop(changing);
        next
    }

    fn replace(&self, view: View) {
        point();
        *self.view.lock().unwrap() = Arc::new(view);
    }

    /// `Shared::flush_oldest`.
    fn flush(&self) {
        let view = Arc::clone(&self.view.lock().unwrap());
        let Some(memtable) = view.sealed.last() else {
            return;
        };
        let visible = self.visible.load(SeqCst) >= memtable.last();
        if !visible && M != FLUSHES_INVISIBLE {
            return;
        }
        let keys = memtable.versions.lock().unwrap().clone();
        let bits = keys.iter().fold(0, |bits, key| bits | 1 << key);
        self.store.fetch_or(bits, SeqCst);
        if M == TWO_STEPS {
            let changing = self.changing_view.lock().unwrap();
            let mut view = View::clone(&self.view.lock().unwrap());
            view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, memtable));
            self.replace(view);
            drop(changing);
        }
        self.refresh(Some(memtable));
    }

    /// `Shared::refresh`; a compaction calls it without a memtable.
    fn refresh(&self, flushed: Option<&Arc<Memtable>>) {
        let early = self.store.load(SeqCst);
        if M == STALE_TABLES {
            point();
        }
        let refreshing = self.refreshing.lock().unwrap();
        let tables = match M {
            STALE_TABLES => early,
            _ => self.store.load(SeqCst),
        };
        let changing = (M != NO_TURNS).then(|| self.changing_view.lock().unwrap());
        let mut view = View::clone(&self.view.lock().unwrap());
        view.tables = tables;
        if let Some(flushed) = flushed {
            view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, flushed));
        }
        self.replace(view);
        drop(changing);
        drop(refreshing);
    }

    /// `CurrentView::snapshot`, and reads at it while the world goes on.
    fn read(&self) {
        let early = self.visible.load(SeqCst);
        point();
        let view = Arc::clone(&self.view.lock().unwrap());
        point();
        let newest = match M {
            SEQ_BEFORE_VIEW => early,
            _ => self.visible.load(SeqCst),
        };
        let seq = match M {
            NO_CUT => newest,
            _ => newest.min(view.active.last()),
        };
        for _ in 0..2 {
            let found = look(&view, seq);
            let expected: BTreeSet<u64> = (1..=seq).collect();
            assert_eq!(found, expected, "a snapshot at {seq} of {view:?}");
            point();
        }
    }
}

/// What `View::look`, and the tables behind it, find.
fn look(view: &View, seq: u64) -> BTreeSet<u64> {
    let in_tables = |key: &u64| view.tables & 1 << key != 0;
    let mut found: BTreeSet<u64> = (1..=COMMITS as u64).filter(in_tables).collect();
    for memtable in std::iter::once(&view.active).chain(&view.sealed) {
        let versions = memtable.versions.lock().unwrap();
        found.extend(versions.iter().copied().filter(|version| *version <= seq));
    }
    found
}

/// Everybody at once.
fn crowd<const M: Mutant>() {
    let scene = Arc::new(Scene::<M>::new());
    let act = |act: fn(&Scene<M>), times: usize| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || (0..times).for_each(|_| act(&scene)))
    };
    let threads = [
        act(Scene::commit, 2),
        act(Scene::commit, 2),
        act(Scene::flush, 8),
        act(|scene| scene.refresh(None), 1),
        act(Scene::read, 4),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    scene.end();
}

/// One that commits and flushes, and another one that may stay behind for long.
fn pair<const M: Mutant>(other: fn(&Scene<M>)) {
    let scene = Arc::new(Scene::<M>::new());
    let own = Arc::clone(&scene);
    let writer = thread::spawn(move || {
        for _ in 0..COMMITS {
            own.commit();
            own.flush();
        }
    });
    let own = Arc::clone(&scene);
    let other = thread::spawn(move || (0..2).for_each(|_| other(&own)));
    writer.join().unwrap();
    other.join().unwrap();
    scene.end();
}

fn reading<const M: Mutant>() {
    pair::<M>(Scene::read);
}

fn refreshing<const M: Mutant>() {
    pair::<M>(|scene| scene.refresh(None));
}

impl<const M: Mutant> Scene<M> {
    /// At rest nothing is missing, and everything can be flushed.
    fn end(&self) {
        assert_eq!(self.visible.load(SeqCst), COMMITS as u64);
        self.read();
        (1..COMMITS).for_each(|_| self.flush());
        self.read();
        let view = self.view.lock().unwrap();
        assert!(view.sealed.is_empty(), "not flushed: {view:?}");
    }
}

const fn scenes<const M: Mutant>() -> (Mutant, [fn(); 3]) {
    (M, [reading::<M>, refreshing::<M>, crowd::<M>])
}

#[test]
fn snapshots_see_what_was_committed_while_memtables_are_sealed_and_flushed() {
    for scene in scenes::<NONE>().1 {
        check(scene, schedules(2_000));
    }
}

#[test]
fn every_mutant_of_sealing_is_caught() {
    for (mutant, scenes) in [
        scenes::<SEQ_BEFORE_VIEW>(),
        scenes::<NO_CUT>(),
        scenes::<SEALS_LATE>(),
        scenes::<FLUSHES_INVISIBLE>(),
        scenes::<TWO_STEPS>(),
        scenes::<NO_TURNS>(),
        scenes::<STALE_TABLES>(),
    ] {
        assert!(is_caught(&scenes), "mutant {mutant} got away");
    }
}
