//! Cases with many committers and readers at the same time.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use mantis_engine::{Direction, Engine, Snapshot};
use mantis_types::{Seq, WriteBatch};
use parking_lot::Mutex;

use super::driver::{batch_of, key, record};
use super::{Factory, text_of};
use crate::dice::Dice;

const ACCOUNTS: u64 = 64;
const START: u64 = 1000;
const WRITERS: u64 = 4;
const COMMITS: u64 = 4000;
const SLOTS: u64 = 1 << 12;

/// The pipeline's part for many threads: numbers and places together, applies in parallel,
/// publishes in order.
struct Pipeline<'e> {
    engine: &'e dyn Engine,
    /// Guards the order of commits. Longest hold: one call of `place`.
    next: Mutex<Seq>,
    finished: Vec<AtomicU64>,
}

impl<'e> Pipeline<'e> {
    fn new(engine: &'e dyn Engine) -> Self {
        let finished = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self {
            engine,
            next: Mutex::new(engine.horizon().get().next()),
            finished,
        }
    }

    fn commit(&self, changes: &[(Vec<u8>, Vec<u8>)]) -> Seq {
        let changes: Vec<_> = changes
            .iter()
            .map(|(k, r)| (&k[..], Some(&r[..])))
            .collect();
        self.commit_batch(&batch_of(&changes))
    }

    fn commit_one(&self, key: &[u8], record: Option<&[u8]>) -> Seq {
        self.commit_batch(&batch_of(&[(key, record)]))
    }

    fn commit_batch(&self, batch: &WriteBatch) -> Seq {
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes).expect("the engine takes a commit");
        let (seq, placement) = {
            let mut next = self.next.lock();
            let seq = *next;
            *next = seq.next();
            (seq, self.engine.place(seq, bytes))
        };
        self.engine.apply(&placement, seq, batch);
        drop(placement);
        self.slot(seq).store(seq.get(), SeqCst);
        self.advance();
        while self.engine.horizon().get() < seq {
            self.advance();
            std::thread::yield_now();
        }
        seq
    }

    fn slot(&self, seq: Seq) -> &AtomicU64 {
        let index = usize::try_from(seq.get() % SLOTS).expect("it is small");
        &self.finished[index]
    }

    fn advance(&self) {
        loop {
            let visible = self.engine.horizon().get();
            if self.slot(visible.next()).load(SeqCst) != visible.next().get() {
                return;
            }
            self.engine.horizon().advance(visible);
        }
    }
}

fn account(number: u64) -> Vec<u8> {
    key(format!("account {number:03}"))
}

fn balance(engine: &dyn Engine, snapshot: &Snapshot, number: u64) -> u64 {
    let found = engine
        .get(snapshot, &account(number))
        .expect("a read works");
    let found = found.expect("accounts are never deleted");
    assert!(found.seq() <= snapshot.seq());
    text_of(&found)
        .trim()
        .parse()
        .expect("a balance is a number")
}

fn total(engine: &dyn Engine, snapshot: &Snapshot, direction: Direction) -> u64 {
    let from = account(0);
    let to = account(999);
    let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
    let scan = engine
        .scan(snapshot, range, direction)
        .expect("a scan begins");
    let rows: Vec<_> = scan.collect::<Result<_, _>>().expect("a scan goes on");
    assert_eq!(rows.len() as u64, ACCOUNTS, "each account once");
    rows.iter()
        .map(|(_, r)| text_of(r).trim().parse::<u64>().expect("a number"))
        .sum()
}

/// Writers move money between accounts, readers add everything up: by points, by scans both ways, on
/// new snapshots and on old ones, while memtables are flushed and tables merged.
pub(super) fn commits_keep_their_invariant(factory: &Factory) {
    let dir = tempfile::tempdir().expect("the system has a place for temporary files");
    let engine = (factory.open)(&dir.path().join("engine"));
    let engine = &*engine;
    let pipeline = Pipeline::new(engine);
    let all: Vec<_> = (0..ACCOUNTS)
        .map(|n| (account(n), record(padded(START))))
        .collect();
    pipeline.commit(&all);
    // Stands for row latches: two transfers must not read the same balance.
    let transfers = Mutex::new(());
    let running = AtomicU64::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (pipeline, transfers, running) = (&pipeline, &transfers, &running);
            scope.spawn(move || {
                let mut dice = Dice::new(writer);
                (0..COMMITS / WRITERS).for_each(|_| transfer(pipeline, transfers, &mut dice));
                running.fetch_sub(1, SeqCst);
            });
        }
        for reader in 0..2 {
            let running = &running;
            scope.spawn(move || watch(engine, running, reader));
        }
        let running = &running;
        scope.spawn(move || {
            while running.load(SeqCst) > 0 {
                engine.flush().expect("a flush works");
                engine.compact().expect("a compaction works");
            }
        });
    });
    assert_eq!(
        total(engine, &engine.snapshot(), Direction::Forward),
        ACCOUNTS * START
    );
    assert_eq!(engine.horizon().get(), Seq::new(COMMITS + 1));
    engine.close().expect("an engine closes");
}

/// Balances are padded, so that a small memtable is full after some hundreds of them.
fn padded(balance: u64) -> String {
    format!("{balance:>200}")
}

fn transfer(pipeline: &Pipeline<'_>, transfers: &Mutex<()>, dice: &mut Dice) {
    let from = dice.below(ACCOUNTS);
    let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
    let latched = transfers.lock();
    let now = pipeline.engine.snapshot_applied();
    let (a, b) = (
        balance_applied(pipeline, &now, from),
        balance_applied(pipeline, &now, to),
    );
    let amount = dice.below(a + 1);
    let changes = [
        (account(from), record(padded(a - amount))),
        (account(to), record(padded(b + amount))),
    ];
    pipeline.commit(&changes);
    drop(latched);
}

fn balance_applied(pipeline: &Pipeline<'_>, now: &Snapshot, number: u64) -> u64 {
    balance(pipeline.engine, now, number)
}

fn watch(engine: &dyn Engine, running: &AtomicU64, reader: u64) {
    let mut dice = Dice::new(100 + reader);
    let mut old: Vec<(Snapshot, Vec<u64>)> = Vec::new();
    while running.load(SeqCst) > 0 {
        let snapshot = engine.snapshot();
        let balances: Vec<_> = (0..ACCOUNTS)
            .map(|n| balance(engine, &snapshot, n))
            .collect();
        assert_eq!(
            balances.iter().sum::<u64>(),
            ACCOUNTS * START,
            "{snapshot:?}"
        );
        let direction = if dice.percent(50) {
            Direction::Forward
        } else {
            Direction::Backward
        };
        assert_eq!(
            total(engine, &snapshot, direction),
            ACCOUNTS * START,
            "{snapshot:?}"
        );
        if old.len() < 4 {
            old.push((snapshot, balances));
        } else {
            let (snapshot, expected) = old.swap_remove(dice.index(old.len()));
            let again: Vec<_> = (0..ACCOUNTS)
                .map(|n| balance(engine, &snapshot, n))
                .collect();
            assert_eq!(again, expected, "{snapshot:?} has changed");
        }
    }
}

/// Keys that every commit of a case writes together.
const PARTS: u64 = 12;

/// Every commit writes the same number under several keys, without any latch; a reader finds the
/// same number under all of them.
pub(super) fn readers_never_see_half_a_batch(factory: &Factory) {
    let dir = tempfile::tempdir().expect("the system has a place for temporary files");
    let engine = (factory.open)(&dir.path().join("engine"));
    let engine = &*engine;
    let pipeline = Pipeline::new(engine);
    pipeline.commit(&parts("begin"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pipeline = &pipeline;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_parts(pipeline, writer)))
            .collect();
        for _ in 0..2 {
            scope.spawn(|| repeat_until(&done, || parts_are_alike(engine)));
        }
        scope.spawn(|| repeat_until(&done, || engine.flush().expect("a flush works")));
        for writer in writers {
            writer.join().expect("a writer ends");
        }
        done.store(true, SeqCst);
    });
    engine.close().expect("an engine closes");
}

fn write_parts(pipeline: &Pipeline<'_>, writer: u64) {
    for n in 0..COMMITS / WRITERS {
        pipeline.commit(&parts(&format!("{writer} {n:>100}")));
    }
}

fn repeat_until(done: &AtomicBool, mut work: impl FnMut()) {
    while !done.load(SeqCst) {
        work();
        std::thread::yield_now();
    }
}

fn parts(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..PARTS)
        .map(|n| (key(format!("part {n:02}")), record(text)))
        .collect()
}

fn parts_are_alike(engine: &dyn Engine) {
    let snapshot = engine.snapshot();
    let found: Vec<_> = parts("")
        .iter()
        .map(|(key, _)| engine.get(&snapshot, key).expect("a read works"))
        .collect();
    assert!(found.windows(2).all(|two| two[0] == two[1]), "{snapshot:?}");
}

/// Keys that come and go.
const FLEETING: u64 = 40;

/// Keys come and go while obsolete versions are dropped: every way of reading a snapshot agrees.
pub(super) fn all_reads_agree_while_versions_are_dropped(factory: &Factory) {
    let dir = tempfile::tempdir().expect("the system has a place for temporary files");
    let engine = (factory.open)(&dir.path().join("engine"));
    let engine = &*engine;
    let pipeline = Pipeline::new(engine);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut dice = Dice::new(5);
            for round in 0..COMMITS * 3 {
                let key = key(format!("{:03}", dice.below(FLEETING)));
                let record = dice.percent(50).then(|| record(format!("{round}")));
                pipeline.commit_one(&key, record.as_deref());
            }
        });
        scope.spawn(|| repeat_until(&done, || engine.compact().expect("a compaction works")));
        for _ in 0..2 {
            scope.spawn(|| repeat_until(&done, || reads_agree(engine)));
        }
        let written = writer.join();
        done.store(true, SeqCst);
        written.expect("the writer ends");
    });
    engine.close().expect("an engine closes");
}

fn reads_agree(engine: &dyn Engine) {
    let snapshot = engine.snapshot();
    let scan = |direction| {
        let range = (Bound::Unbounded, Bound::Unbounded);
        let scan = engine
            .scan(&snapshot, range, direction)
            .expect("a scan begins");
        scan.collect::<Result<Vec<_>, _>>().expect("a scan goes on")
    };
    let forward = scan(Direction::Forward);
    let mut backward = scan(Direction::Backward);
    backward.reverse();
    assert!(
        forward == backward,
        "{snapshot:?}: {forward:?}, {backward:?}"
    );
    let names = (0..FLEETING).map(|n| key(format!("{n:03}")));
    let found = names.filter_map(|name| {
        let record = engine.get(&snapshot, &name).expect("a read works")?;
        Some((name, record))
    });
    let found: Vec<_> = found.collect();
    let rows = forward
        .iter()
        .map(|(key, record)| (key.as_bytes().to_vec(), record.clone()));
    assert_eq!(found, rows.collect::<Vec<_>>(), "{snapshot:?}");
}
