//! Random histories against a map of versions.

use std::collections::BTreeMap;
use std::ops::Bound;

use mantis_engine::{Direction, Snapshot};
use mantis_types::Seq;

use super::{Driver, Factory, key, record};
use crate::dice::Dice;

/// Steps of one history.
const STEPS: usize = 4000;
/// Histories of one run, each with the seed after the one before.
const HISTORIES: u64 = 4;
/// Snapshots that are held at the same time.
const SNAPSHOTS_MAX: usize = 8;

/// Versions of each key by Seq; `None` is a delete.
#[derive(Default)]
struct Oracle {
    versions: BTreeMap<Vec<u8>, BTreeMap<Seq, Option<String>>>,
}

impl Oracle {
    fn get(&self, seq: Seq, key: &[u8]) -> Option<String> {
        self.versions.get(key)?.range(..=seq).next_back()?.1.clone()
    }

    fn all(&self, seq: Seq) -> Vec<(Vec<u8>, String)> {
        let keys = self.versions.keys();
        keys.filter_map(|key| Some((key.clone(), self.get(seq, key)?)))
            .collect()
    }
}

/// The seed of the first history, from `MANTIS_SEED` to repeat a failure.
fn first_seed() -> u64 {
    std::env::var("MANTIS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_260_821)
}

pub(super) fn random_histories_agree_with_the_oracle(factory: &Factory) {
    for seed in first_seed()..first_seed() + HISTORIES {
        let told = Told(seed);
        History::new(&mut Driver::temporary(factory), seed).run();
        drop(told);
    }
}

/// Prints how to repeat the history that a panic interrupts.
struct Told(u64);

impl Drop for Told {
    #[expect(clippy::print_stderr, reason = "a failing test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with MANTIS_SEED={}", self.0);
        }
    }
}

struct History<'d> {
    db: &'d mut Driver,
    dice: Dice,
    oracle: Oracle,
    held: Vec<Snapshot>,
    keys: u64,
}

impl<'d> History<'d> {
    fn new(db: &'d mut Driver, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Few keys for deep versions, or many for wide ranges.
        let keys = if dice.percent(50) { 20 } else { 500 };
        Self {
            db,
            dice,
            oracle: Oracle::default(),
            held: Vec::new(),
            keys,
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            match self.dice.below(1000) {
                0..600 => self.commit(),
                600..800 => self.point_reads(),
                800..900 => self.range_read(),
                900..940 => self.hold(),
                940..970 => drop(self.pick_held()),
                970..985 => self.db.flush(),
                985..990 => self.db.engine().compact().expect("a compaction works"),
                990..994 => self.load(),
                994..997 => self.reopen(),
                _ => self.check_everything(),
            }
        }
        self.check_everything();
    }

    fn any_key(&mut self) -> Vec<u8> {
        let number = self.dice.below(self.keys);
        // Some keys share their first bytes beyond what a memtable node holds.
        if number.is_multiple_of(3) {
            key(format!("a rather long common beginning {number:04}"))
        } else {
            key(format!("{number:04}"))
        }
    }

    fn commit(&mut self) {
        let mut changes = BTreeMap::new();
        for _ in 0..=self.dice.below(4) {
            let key = self.any_key();
            let value = (!self.dice.percent(25)).then(|| self.value());
            changes.insert(key, value);
        }
        let records: Vec<_> = changes
            .iter()
            .map(|(key, value)| (key, value.as_ref().map(record)))
            .collect();
        let batch: Vec<_> = records
            .iter()
            .map(|(key, record)| (key.as_slice(), record.as_deref()))
            .collect();
        let seq = self.db.commit(&batch);
        for (key, value) in changes {
            self.oracle
                .versions
                .entry(key)
                .or_default()
                .insert(seq, value);
        }
    }

    fn value(&mut self) -> String {
        let len = if self.dice.percent(5) { 3000 } else { 20 };
        format!(
            "{}{}",
            self.dice.next_u64(),
            "v".repeat(self.dice.index(len))
        )
    }

    fn hold(&mut self) {
        if self.held.len() < SNAPSHOTS_MAX {
            self.held.push(self.db.engine().snapshot());
        }
    }

    fn pick_held(&mut self) -> Option<Snapshot> {
        let index = self.dice.index(self.held.len());
        (index < self.held.len()).then(|| self.held.swap_remove(index))
    }

    /// A held snapshot, or a new one.
    fn any_snapshot(&mut self) -> Snapshot {
        let index = self.dice.index(self.held.len() + 1);
        self.held
            .get(index)
            .cloned()
            .unwrap_or_else(|| self.db.engine().snapshot())
    }

    fn point_reads(&mut self) {
        let snapshot = self.any_snapshot();
        for _ in 0..5 {
            let key = self.any_key();
            let wanted = self.oracle.get(snapshot.seq(), &key);
            assert_eq!(self.db.get_at(&snapshot, &key), wanted, "{snapshot:?}");
        }
    }

    fn range_read(&mut self) {
        let snapshot = self.any_snapshot();
        let (a, b) = (self.any_key(), self.any_key());
        let from = if self.dice.percent(50) {
            Bound::Included(&a[..])
        } else {
            Bound::Unbounded
        };
        let to = if self.dice.percent(50) {
            Bound::Excluded(&b[..])
        } else {
            Bound::Unbounded
        };
        let inside = |key: &[u8]| {
            (from == Bound::Unbounded || key >= &a[..]) && (to == Bound::Unbounded || key < &b[..])
        };
        let mut wanted = self.oracle.all(snapshot.seq());
        wanted.retain(|(key, _)| inside(key));
        let found = self.db.scan_at(&snapshot, (from, to), Direction::Forward);
        assert_same(&found, &wanted, &format!("forward {snapshot:?}"));
        wanted.reverse();
        let found = self.db.scan_at(&snapshot, (from, to), Direction::Backward);
        assert_same(&found, &wanted, &format!("backward {snapshot:?}"));
    }

    /// A bulk load over keys that memtables do not hold (any more). The snapshots of an engine
    /// without tables see it at its Seq, like a commit; held ones are older than it.
    fn load(&mut self) {
        self.db.flush();
        let seq = self.db.number_for_load();
        let mut rows = BTreeMap::new();
        for _ in 0..self.dice.below(50) {
            rows.insert(self.any_key(), self.value());
        }
        let mut given = rows.iter().map(|(key, value)| (key.clone(), record(value)));
        let loaded = self.db.engine().bulk_load(seq, &mut given);
        assert_eq!(loaded.map(|info| info.rows).ok(), Some(rows.len() as u64));
        for (key, value) in rows {
            self.oracle
                .versions
                .entry(key)
                .or_default()
                .insert(seq, Some(value));
        }
        if !self.db.is_durable() {
            // A replay does not know of the load; what is not on disk is put again.
            let now = self.oracle.all(seq);
            self.db.remember_all(&now);
        }
    }

    fn reopen(&mut self) {
        self.held.clear();
        self.db.reopen();
    }

    fn check_everything(&mut self) {
        let now = self.db.engine().snapshot();
        assert_eq!(now.seq(), self.db.last());
        let range = (Bound::Unbounded, Bound::Unbounded);
        for snapshot in self.held.iter().chain([&now]) {
            let wanted = self.oracle.all(snapshot.seq());
            let found = self.db.scan_at(snapshot, range, Direction::Forward);
            assert_same(&found, &wanted, &format!("{snapshot:?}"));
            for (key, value) in wanted {
                assert_eq!(self.db.get_at(snapshot, &key), Some(value), "{snapshot:?}");
            }
        }
    }
}

/// Rows that differ, without the thousands that do not.
fn assert_same(found: &[(Vec<u8>, String)], wanted: &[(Vec<u8>, String)], what: &str) {
    let show = |row: Option<&(Vec<u8>, String)>| {
        row.map(|(key, value)| format!("{} = {:.40}", key.escape_ascii(), value))
    };
    for index in 0..found.len().max(wanted.len()) {
        let (found, wanted) = (found.get(index), wanted.get(index));
        assert!(
            found == wanted,
            "{what}, row {index}: {:?}, not {:?}",
            show(found),
            show(wanted)
        );
    }
}
