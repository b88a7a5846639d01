//! The lives of the store: how it is opened, how it ends, and what must be left.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use mantis_engine::{Direction, MemoryEngine, MemoryOptions, Record};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_txn::{Begin, DurableHook, Store};
use mantis_types::{Isolation, Limits};

use super::model::Row;
use super::run::{Bug, ROWS, Run, encoded};

/// So many reads, where little is remembered exactly.
const COARSE_READS_MAX: usize = 2;

/// How the store is opened, in all its lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) bug: Option<Bug>,
    /// Reads are remembered as ranges that hold more: some conflicts are for nothing.
    pub(super) coarse: bool,
}

/// How a life of the store ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Kill,
    Crash,
}

pub(super) fn open(env: &Env, how: How) -> Store {
    let hook = DurableHook::default();
    let options = LogOptions {
        segment_bytes: 16 << 10,
        on_durable: Some(hook.callback()),
        reserve_bytes: 16 << 10,
        min_free_bytes: 0,
        ..LogOptions::default()
    };
    let log = Log::open(env, Path::new("/store/log"), options);
    let log = log.expect("the log opens").log;
    let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
    let mut limits = Limits::default();
    if how.coarse {
        limits.txn_reads_max = COARSE_READS_MAX;
    }
    let store = Store::open(env, engine, Some(log), &hook, limits);
    let store = store.expect("the log replays");
    if how.bug == Some(Bug::NoConflicts) {
        store.without_conflict_detection();
    }
    store
}

/// The number in a record; padding may follow it.
pub(super) fn number(record: &Record) -> u64 {
    let payload = record.view().payload();
    let bytes = payload.first_chunk().expect("values have eight bytes");
    u64::from_le_bytes(*bytes)
}

impl Run {
    pub(super) fn stop(&mut self, end: End) {
        let simulation = self.env.simulation().expect("a simulated machine").clone();
        if end == End::Close {
            // Whoever is open may read on; a commit has come too late.
            self.open.clear();
            self.pending.clear();
            if let Err(error) = self.store.close() {
                assert!(self.broken, "not closed without a fault: {error:?}");
                return self.stop(End::Crash);
            }
        }
        let must = match end {
            End::Close => {
                self.summary.closes += 1;
                self.model.last()
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
        self.pending.clear();
        self.plan.heal();
        (self.failed, self.broken) = (false, false);
        self.store = open(&self.env, self.how);
        self.check_after(must);
    }

    fn check_after(&mut self, must: u64) {
        let left = self.store.visible_seq().get();
        assert!(
            left >= must,
            "{must} was promised, the store ends at {left}"
        );
        self.summary.torn_away += self.model.end_at(left);
        self.summary.promised += must;
        // What is read after a stop is promised from now on.
        (self.answered, self.promised, self.written) = (left, left, left);
        self.look("after a stop");
    }

    /// Reads everything in a transaction of its own, in all ways.
    pub(super) fn look(&mut self, when: &str) {
        let begin = Begin {
            read_only: true,
            ..Begin::at(Isolation::Snapshot)
        };
        let mut txn = self.store.begin(begin).expect("reading begins");
        let snapshot = txn.snapshot_seq().get();
        let expected: Vec<(Row, Option<u64>)> = (0..ROWS)
            .map(|row| (row, self.model.at(row, snapshot)))
            .collect();
        let keys: Vec<Vec<u8>> = (0..ROWS).map(encoded).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let found = txn.multi_get(&keys).expect("reading goes on");
        let found: Vec<(Row, Option<u64>)> = (0..ROWS)
            .zip(found.iter().map(|record| record.as_ref().map(number)))
            .collect();
        assert_eq!(found, expected, "{when} at {snapshot}");
        let (from, to) = (encoded(0), encoded(ROWS));
        let (from, to) = (Bound::Included(&*from), Bound::Excluded(&*to));
        let rows = txn.scan(from, to, Direction::Backward).expect("it begins");
        let rows: Vec<u64> = rows
            .map(|row| number(&row.expect("it goes on").1))
            .collect();
        let expected: Vec<u64> = expected.iter().rev().filter_map(|(_, v)| *v).collect();
        assert_eq!(rows, expected, "{when}, by a scan at {snapshot}");
        self.note(&rows);
    }
}
