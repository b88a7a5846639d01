//! One run: what is drawn in each step, and what all steps share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mantis_env::{Env, Fault, FaultPlan, FaultyFs, OpKind};
use mantis_txn::{Begin, Pending, Store, Transaction, TxnError};
use mantis_types::{DatabaseId, Durability, EncodedKey, Isolation, OwnerId, Space};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::life::{End, How, open};
use super::model::{Model, Row};
use super::shadow::Shadow;
use crate::dice::Dice;

/// Rows that everybody is at.
pub(super) const ROWS: u64 = 14;
/// Transactions that are open at a time.
const OPEN_MAX: usize = 16;
/// Commits outside of transactions that are applied and not finished.
const PENDING_MAX: usize = 3;
const TASK_STEPS_MAX: usize = 500;

/// What is wrong with the store on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// It detects no conflicts.
    NoConflicts,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Transactions that were begun.
    pub begun: u64,
    /// Those that committed something.
    pub committed: u64,
    /// Those that were refused because of another commit.
    pub conflicts: u64,
    /// Those that were refused for nothing, where reads are remembered coarsely.
    pub cautious: u64,
    /// Those that were refused because of a row lock.
    pub locked: u64,
    /// Those that were given up, or whose time was over.
    pub given_up: u64,
    /// The most that were open at a time.
    pub open_max: u64,
    /// Commits outside of transactions.
    pub outside: u64,
    /// Those that a row lock kept out.
    pub kept_out: u64,
    /// Commits that had to be there after stops, added up.
    pub promised: u64,
    /// Commits that a stop took away, and was allowed to.
    pub torn_away: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Kills of the process.
    pub kills: u64,
    /// Shutdowns in good order.
    pub closes: u64,
    /// Calls that failed because of the disk.
    pub failures: u64,
    /// Over all answers, in order.
    pub digest: u64,
}

impl Summary {
    pub(super) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.committed += other.committed;
        self.conflicts += other.conflicts;
        self.cautious += other.cautious;
        self.locked += other.locked;
        self.given_up += other.given_up;
        self.open_max = self.open_max.max(other.open_max);
        self.outside += other.outside;
        self.kept_out += other.kept_out;
        self.promised += other.promised;
        self.torn_away += other.torn_away;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.closes += other.closes;
        self.failures += other.failures;
        self.digest ^= other.digest;
    }
}

/// An open transaction and its shadow.
pub(super) struct Open {
    pub(super) txn: Transaction,
    pub(super) shadow: Shadow,
    pub(super) deadline: Option<Duration>,
}

pub(super) struct Run {
    pub(super) env: Env,
    pub(super) plan: FaultPlan,
    pub(super) dice: Dice,
    pub(super) how: How,
    pub(super) store: Store,
    pub(super) model: Model,
    pub(super) open: Vec<Open>,
    pub(super) pending: Vec<(Pending, Durability)>,
    ids: u64,
    /// The newest commit that was answered: whoever begins later must see it.
    pub(super) answered: u64,
    /// Newest Seq that a power cut, and that a kill, must leave.
    pub(super) promised: u64,
    pub(super) written: u64,
    /// The disk was told to misbehave in this life of the store.
    pub(super) broken: bool,
    /// And did: this life ends with the step.
    pub(super) failed: bool,
    pub(super) summary: Summary,
}

/// Makes one run of `steps` steps on the machine.
///
/// # Panics
/// When an answer is not as it must be.
pub fn interleave(env: &Env, seed: u64, steps: u64, bug: Option<Bug>) -> Summary {
    let plan = FaultPlan::new();
    let faulty = env.with_fs(Arc::new(FaultyFs::new(Arc::clone(env.fs()), plan.clone())));
    let made = env.fs().create_dir(Path::new("/store"));
    made.expect("a new disk");
    let how = How {
        bug,
        coarse: !seed.is_multiple_of(2),
    };
    let store = open(&faulty, how);
    let mut run = Run {
        env: faulty,
        plan,
        dice: Dice::at(seed, &[16]),
        how,
        store,
        model: Model::default(),
        open: Vec::new(),
        pending: Vec::new(),
        ids: 0,
        answered: 0,
        promised: 0,
        written: 0,
        broken: false,
        failed: false,
        summary: Summary::default(),
    };
    for _ in 0..steps {
        run.step();
    }
    run.stop(End::Crash);
    run.summary
}

pub(super) fn encoded(row: Row) -> Vec<u8> {
    let owner = OwnerId::new(9);
    let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Row, owner, &row.to_be_bytes());
    key.expect("a short key").into_bytes()
}

impl Run {
    fn step(&mut self) {
        match self.dice.below(1000) {
            0..=179 => self.begin(),
            180..=639 => self.work(),
            640..=819 => self.end_one(),
            820..=889 => self.commit_outside(),
            890..=929 => self.finish_one(),
            930..=959 => self.pass(),
            960..=979 => self.look("a new snapshot"),
            980..=981 => self.break_disk(),
            982..=983 => self.stop(End::Kill),
            984..=985 => self.stop(End::Crash),
            986 => self.stop(End::Close),
            _ => {}
        }
        if self.failed {
            let end = if self.dice.percent(50) {
                End::Crash
            } else {
                End::Kill
            };
            self.stop(end);
        }
    }

    /// Makes an answer part of what two runs must agree on.
    pub(super) fn note(&mut self, answer: &impl std::fmt::Debug) {
        let text = format!("{answer:?}");
        self.summary.digest = xxh3_64_with_seed(text.as_bytes(), self.summary.digest);
    }

    /// Takes an error that only the disk explains.
    pub(super) fn fail(&mut self, error: &TxnError) {
        assert!(self.broken, "failed without a fault: {error:?}");
        self.summary.failures += 1;
        self.failed = true;
    }

    pub(super) fn row(&mut self) -> Row {
        self.dice.below(ROWS)
    }

    pub(super) fn class(&mut self) -> Durability {
        match self.dice.below(4) {
            0 => Durability::None,
            1 => Durability::Interval,
            _ => Durability::Sync,
        }
    }

    fn begin(&mut self) {
        if self.open.len() >= OPEN_MAX {
            return self.end_one();
        }
        let all = Isolation::ALL;
        let level = all.get(self.dice.index(all.len())).copied();
        let level = level.expect("within the levels");
        let read_only = self.dice.percent(10);
        let now = self.env.clock().monotonic();
        let span = Duration::from_millis(1 + self.dice.below(400));
        let deadline = self.dice.percent(10).then(|| now + span);
        let durability = self.class();
        let begun = self.store.begin(Begin {
            read_only,
            deadline,
            durability,
            ..Begin::at(level)
        });
        let txn = match begun {
            Ok(txn) => txn,
            Err(error) => return self.fail(&error),
        };
        let snapshot = txn.snapshot_seq().get();
        let visible = self.store.visible_seq().get();
        assert_eq!(snapshot, visible, "not what is visible");
        assert!(snapshot >= self.answered, "an answered commit is not seen");
        self.ids += 1;
        let shadow = Shadow::new(self.ids, level, read_only, snapshot);
        self.open.push(Open {
            txn,
            shadow,
            deadline,
        });
        self.summary.begun += 1;
        let open = u64::try_from(self.open.len()).unwrap_or(u64::MAX);
        self.summary.open_max = self.summary.open_max.max(open);
    }

    fn finish_one(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let place = self.dice.index(self.pending.len());
        let (pending, class) = self.pending.remove(place);
        let seq = pending.seq().get();
        match self.store.finish(pending) {
            Ok(committed) => {
                assert!(committed.durability >= class, "a weaker class than asked");
                self.promise(seq, committed.durability);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// A commit was answered.
    pub(super) fn promise(&mut self, seq: u64, class: Durability) {
        assert!(self.store.visible_seq().get() >= seq, "answered unseen");
        self.answered = self.answered.max(seq);
        if class == Durability::Sync {
            self.promised = self.promised.max(seq);
        }
        if class >= Durability::Interval {
            self.written = self.written.max(seq);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX
    }

    fn pass(&mut self) {
        let span = Duration::from_millis(self.dice.below(150));
        if let Some(simulation) = self.env.simulation() {
            simulation.advance(span, TASK_STEPS_MAX);
        }
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
}
