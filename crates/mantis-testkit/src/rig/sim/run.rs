//! One simulated run: what is done, what is expected, and the comparison after each stop.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mantis_engine::{Direction, MemoryEngine, MemoryOptions, Snapshot};
use mantis_env::{Env, Fault, FaultPlan, FaultyFs, OpKind};
use mantis_log::{Log, LogOptions};
use mantis_txn::{DurableHook, Pending, Store};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Limits, OwnerId, RecordBuilder, Seq, Space, ValueKind,
    WriteBatchBuilder,
};

use crate::dice::Dice;

const KEYS: u64 = 24;
const OPEN_COMMITS_MAX: usize = 6;
const OLD_SNAPSHOTS_MAX: usize = 4;
const TASK_STEPS_MAX: usize = 500;

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Commits that were begun.
    pub commits: u64,
    /// Commits that had to be there after stops, added up.
    pub promised: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Kills of the process.
    pub kills: u64,
    /// Shutdowns in good order.
    pub closes: u64,
    /// Commits that failed at their sync.
    pub sync_failures: u64,
    /// Commits that were refused.
    pub refused: u64,
    /// Commits that a crash took away, and was allowed to.
    pub torn_away: u64,
}

impl Summary {
    pub(super) fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.promised += other.promised;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.closes += other.closes;
        self.sync_failures += other.sync_failures;
        self.refused += other.refused;
        self.torn_away += other.torn_away;
    }
}

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// How a life of the store ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    Crash,
}

struct Run {
    env: Env,
    plan: FaultPlan,
    dice: Dice,
    store: Store,
    /// Everything that was started, by Seq; the sweep's own commits are not among them.
    history: BTreeMap<u64, Changes>,
    open: Vec<(Pending, Durability)>,
    old: Vec<Snapshot>,
    /// Newest Seq that a power cut, and that a kill, must leave.
    promised: u64,
    written: u64,
    failed: bool,
    /// The disk was told to misbehave in this life of the store.
    broken: bool,
    writes: u64,
    summary: Summary,
}

/// Makes one run of `steps` steps on the machine.
///
/// # Panics
/// When something is wrong.
pub fn simulate(env: &Env, seed: u64, steps: u64) -> Summary {
    let plan = FaultPlan::new();
    let faulty = env.with_fs(Arc::new(FaultyFs::new(Arc::clone(env.fs()), plan.clone())));
    env.fs()
        .create_dir(Path::new("/store"))
        .expect("a new disk");
    let store = open(&faulty);
    let mut run = Run {
        env: faulty,
        plan,
        dice: Dice::at(seed, &[8]),
        store,
        history: BTreeMap::new(),
        open: Vec::new(),
        old: Vec::new(),
        promised: 0,
        written: 0,
        failed: false,
        broken: false,
        writes: 0,
        summary: Summary::default(),
    };
    for _ in 0..steps {
        run.step();
    }
    run.stop(End::Crash);
    run.summary
}

fn open(env: &Env) -> Store {
    let hook = DurableHook::default();
    let options = LogOptions {
        segment_bytes: 16 << 10,
        on_durable: Some(hook.callback()),
        reserve_bytes: 16 << 10,
        min_free_bytes: 0,
        ..LogOptions::default()
    };
    let log = Log::open(env, Path::new("/store/log"), options)
        .expect("the log opens")
        .log;
    let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
    Store::open(env, engine, Some(log), &hook, Limits::default()).expect("the log replays")
}

impl Run {
    fn step(&mut self) {
        match self.dice.below(100) {
            0..=44 => self.start(),
            45..=74 => self.finish(),
            75..=82 => self.pass(),
            83..=90 => self.read(),
            91..=92 => self.old.push(self.store.engine().snapshot()),
            93 => self.break_disk(),
            94..=95 => self.stop(End::Kill),
            96..=98 => self.stop(End::Crash),
            _ if self.failed => self.stop(End::Crash),
            _ => self.stop(End::Close),
        }
        if self.old.len() > OLD_SNAPSHOTS_MAX {
            self.old.remove(0);
        }
        if self.failed && self.dice.percent(10) {
            self.stop(End::Crash);
        }
    }

    fn draw(&mut self) -> Changes {
        let mut changes = BTreeMap::new();
        for _ in 0..=self.dice.below(4) {
            let number = self.dice.below(KEYS).to_be_bytes();
            let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Row, OwnerId::new(9), &number);
            let len = if self.dice.percent(5) {
                9000
            } else {
                self.dice.index(200)
            };
            let mut value = vec![0; len];
            self.dice.fill(&mut value);
            let value = (!self.dice.percent(25)).then_some(value);
            changes.insert(key.expect("a short key").into_bytes(), value);
        }
        changes.into_iter().collect()
    }

    fn start(&mut self) {
        if self.open.len() >= OPEN_COMMITS_MAX {
            return self.finish();
        }
        let changes = self.draw();
        let mut batch = WriteBatchBuilder::default();
        for (key, value) in &changes {
            match value {
                Some(value) => batch.put_with(key, |out| {
                    RecordBuilder::new(ValueKind::Bytes).write(value, out)
                }),
                None => batch.delete(key),
            }
            .expect("it fits");
        }
        let class = match self.dice.below(4) {
            0 => Durability::None,
            1 => Durability::Interval,
            _ => Durability::Sync,
        };
        let batch = batch.finish();
        let admitted = self
            .store
            .admit(u64::try_from(batch.as_bytes().len()).expect("small"));
        let latched = self
            .store
            .latch_many(changes.iter().map(|(key, _)| key.as_slice()));
        let started = admitted.and_then(|()| self.store.start(&latched, batch, class));
        drop(latched);
        match started {
            Ok(pending) => {
                self.history.insert(pending.seq().get(), changes);
                self.open.push((pending, class));
                self.summary.commits += 1;
            }
            Err(error) => {
                self.summary.refused += 1;
                assert!(self.broken, "refused without a fault: {error:?}");
                self.failed = true;
            }
        }
    }

    /// Mostly the oldest commit, sometimes another one.
    fn finish(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = if self.dice.percent(70) {
            0
        } else {
            self.dice.index(self.open.len())
        };
        let (pending, class) = self.open.remove(at);
        let seq = pending.seq().get();
        match self.store.finish(pending) {
            Ok(committed) => {
                assert!(committed.durability >= class, "a weaker class than asked");
                assert!(
                    self.store.visible_seq().get() >= seq,
                    "answered before it was visible"
                );
                // What was said to be durable must stay, and with it everything before.
                if committed.durability == Durability::Sync {
                    self.promised = self.promised.max(seq);
                }
                if committed.durability >= Durability::Interval {
                    self.written = self.written.max(seq);
                }
                self.writes += 1;
            }
            Err(error) => {
                self.summary.sync_failures += 1;
                assert!(self.broken, "failed without a fault: {error:?}");
                self.failed = true;
            }
        }
    }

    fn pass(&mut self) {
        let span = Duration::from_millis(self.dice.below(150));
        if let Some(simulation) = self.env.simulation() {
            simulation.advance(span, TASK_STEPS_MAX);
        }
    }

    fn read(&mut self) {
        let snapshot = self.store.engine().snapshot();
        self.compare(&snapshot, "a new snapshot");
        let old = std::mem::take(&mut self.old);
        for snapshot in &old {
            self.compare(snapshot, "an old snapshot");
        }
        self.old = old;
    }

    /// The next sync, write or the growth of files will fail.
    fn break_disk(&mut self) {
        let nth = 1 + self.dice.below(6);
        self.broken = true;
        match self.dice.below(4) {
            0 => self.plan.fail(OpKind::Sync, nth, Fault::Eio),
            1 => self.plan.fail(OpKind::Write, nth, Fault::Eio),
            2 => self.plan.fail(OpKind::Write, nth, Fault::ShortThenEio(100)),
            _ => self.plan.limit_growth(Some(self.dice.below(30_000))),
        }
    }

    fn stop(&mut self, end: End) {
        let simulation = self.env.simulation().expect("a simulated machine").clone();
        self.old.clear();
        let must = match end {
            End::Close => {
                self.open.clear();
                if let Err(error) = self.store.close() {
                    assert!(self.broken, "not closed without a fault: {error:?}");
                    return self.stop(End::Crash);
                }
                self.summary.closes += 1;
                self.history.keys().next_back().copied().unwrap_or(0)
            }
            End::Kill => {
                simulation.kill();
                self.summary.kills += 1;
                self.written.max(self.promised)
            }
            End::Crash => {
                simulation.crash();
                self.summary.crashes += 1;
                self.promised
            }
        };
        self.open.clear();
        self.plan.heal();
        (self.failed, self.broken) = (false, false);
        self.store = open(&self.env);
        self.check_after(must);
    }

    fn check_after(&mut self, must: u64) {
        let left = self.store.visible_seq().get();
        let started = self.history.keys().next_back().copied().unwrap_or(0);
        assert!(
            left >= must,
            "commit {must} was promised, the store ends at {left}"
        );
        let gone = self.history.split_off(&(left + 1));
        self.summary.torn_away += u64::try_from(gone.len()).expect("small");
        self.summary.promised += must;
        let snapshot = self.store.engine().snapshot();
        self.compare(&snapshot, &format!("after the stop, {left} of {started}"));
        // What is read after a stop is promised from now on: recovery must have made it durable.
        (self.promised, self.written) = (left, left);
    }

    fn state_at(&self, seq: Seq) -> State {
        let mut state = State::new();
        for changes in self.history.range(..=seq.get()).map(|(_, changes)| changes) {
            for (key, value) in changes {
                match value {
                    Some(value) => drop(state.insert(key.clone(), value.clone())),
                    None => drop(state.remove(key)),
                }
            }
        }
        state
    }

    fn compare(&self, snapshot: &Snapshot, what: &str) {
        let expected = self.state_at(snapshot.seq());
        let engine = self.store.engine();
        let prefix = EncodedKey::prefix(DatabaseId::DEFAULT, Space::Row, OwnerId::new(9), 0);
        let end = mantis_types::prefix_end(prefix.as_bytes()).expect("not all 0xFF");
        let bounds = (
            Bound::Included(prefix.as_bytes()),
            Bound::Excluded(end.as_slice()),
        );
        for direction in [Direction::Forward, Direction::Backward] {
            let found: State = engine
                .scan(snapshot, bounds, direction)
                .expect("a scan begins")
                .map(|found| found.expect("a scan goes on"))
                .map(|(key, record)| (key.as_ref().to_vec(), record.view().payload().to_vec()))
                .collect();
            assert!(
                found == expected,
                "{what}: a scan differs at {}",
                snapshot.seq()
            );
        }
        for number in 0..KEYS {
            let user = number.to_be_bytes();
            let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Row, OwnerId::new(9), &user);
            let key = key.expect("a short key").into_bytes();
            let record = engine.get(snapshot, &key).expect("a get answers");
            let value = record.map(|record| record.view().payload().to_vec());
            assert!(
                value.as_ref() == expected.get(&key),
                "{what}: key {number} differs"
            );
        }
    }
}
