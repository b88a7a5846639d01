//! The steps of transactions, each beside what its shadow says.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Bound;
use std::sync::Arc;

use mantis_engine::{Direction, Record};
use mantis_txn::{LockWait, Merge, TxnError};
use mantis_types::{Isolation, RecordBuilder, ValueKind, WriteBatchBuilder};

use super::life::number;
use super::model::Row;
use super::run::{Open, ROWS, Run, encoded};
use super::shadow::Fate;

/// Names of savepoints.
const NAMES: u64 = 3;

struct Plus(u64);

impl Merge for Plus {
    fn apply(
        &self,
        newest: Option<&Record>,
        _now_ms: u64,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(record(newest.map_or(0, number) + self.0, 0))
    }

    fn bytes_max(&self) -> u64 {
        64
    }
}

fn record(value: u64, padding: usize) -> Vec<u8> {
    let mut payload = value.to_le_bytes().to_vec();
    payload.resize(payload.len() + padding, 7);
    let mut bytes = Vec::new();
    let written = RecordBuilder::new(ValueKind::Bytes).write(&payload, &mut bytes);
    written.expect("it fits");
    bytes
}

impl Run {
    /// A step of one of the open transactions.
    pub(super) fn work(&mut self) {
        let Some(mut open) = self.take_one() else {
            return;
        };
        if self.is_over(&open) {
            let error = open.txn.get(&encoded(0)).map(|_| ());
            assert!(matches!(error, Err(TxnError::Deadline)), "{error:?}");
            self.open.push(open);
            return;
        }
        let done = match self.dice.below(100) {
            0..=11 => self.begin_statement(&mut open),
            12..=31 => self.get(&mut open),
            32..=44 => self.scan(&mut open),
            45..=64 => self.change(&mut open),
            65..=74 => self.add(&mut open),
            75..=81 => self.get_for_update(&mut open),
            82..=84 => self.try_lock(&mut open),
            85..=86 => {
                let row = self.row();
                open.txn.guard(&encoded(row));
                open.shadow.guard(row);
                Ok(())
            }
            _ => self.save(&mut open),
        };
        if let Err(error) = done {
            return self.fail(&error);
        }
        let snapshot = open.txn.snapshot_seq().get();
        assert_eq!(snapshot, open.shadow.snapshot, "another snapshot");
        self.open.push(open);
    }

    fn take_one(&mut self) -> Option<Open> {
        if self.open.is_empty() {
            return None;
        }
        let place = self.dice.index(self.open.len());
        Some(self.open.swap_remove(place))
    }

    fn is_over(&self, open: &Open) -> bool {
        let now = self.env.clock().monotonic();
        open.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn begin_statement(&self, open: &mut Open) -> Result<(), TxnError> {
        open.txn.statement()?;
        if open.shadow.is_read_committed() {
            self.refresh(open);
        }
        Ok(())
    }

    fn refresh(&self, open: &mut Open) {
        open.shadow.snapshot = self.store.visible_seq().get();
        assert!(open.shadow.snapshot >= self.answered, "an old statement");
    }

    fn get(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let row = self.row();
        if open.shadow.would_wait(&self.model, row) {
            return Ok(());
        }
        let found = open.txn.get(&encoded(row))?.as_ref().map(number);
        if open.shadow.must_refresh_for(&mut self.model, row) {
            self.refresh(open);
        }
        let expected = open.shadow.get(&self.model, row);
        assert_eq!(found, expected, "row {row} in {:?}", open.shadow);
        self.note(&found);
        Ok(())
    }

    fn scan(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let from = self.row();
        let to = from + self.dice.below(ROWS + 1 - from);
        let shadow = &open.shadow;
        if (from..to).any(|row| shadow.would_wait(&self.model, row)) {
            return Ok(());
        }
        let backward = self.dice.percent(40);
        let take = if self.dice.percent(50) {
            usize::MAX
        } else {
            self.dice.index(4)
        };
        let direction = if backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let (first, end) = (encoded(from), encoded(to));
        let bounds = (Bound::Included(&*first), Bound::Excluded(&*end));
        let mut rows = open.txn.scan(bounds.0, bounds.1, direction)?;
        let mut found = Vec::new();
        while found.len() < take {
            let Some(row) = rows.next() else {
                break;
            };
            let (key, record) = row?;
            found.push((key.as_bytes().to_vec(), number(&record)));
        }
        drop(rows);
        for row in from..to {
            if open.shadow.must_refresh_for(&mut self.model, row) {
                self.refresh(open);
            }
            if open.shadow.has_unread(row) {
                open.shadow.get(&self.model, row);
            }
        }
        let mut expected = open.shadow.rows(&self.model, (from, to));
        if backward {
            expected.reverse();
        }
        let all = expected.len();
        expected.truncate(take);
        open.shadow.note_range(match expected.last() {
            _ if all < take => (from, to),
            None => (from, from),
            Some((last, _)) if backward => (*last, to),
            Some((last, _)) => (from, last + 1),
        });
        let expected = expected.into_iter().map(|(row, v)| (encoded(row), v));
        let expected: Vec<_> = expected.collect();
        assert_eq!(found, expected, "{from}..{to} in {:?}", open.shadow);
        self.note(&found);
        Ok(())
    }

    fn change(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let row = self.row();
        let key = encoded(row);
        let (txn, shadow) = (&mut open.txn, &mut open.shadow);
        let value = self.dice.below(1 << 40);
        let padding = match self.dice.below(20) {
            0 => 6000,
            _ => self.dice.index(200),
        };
        let is_put = self.dice.percent(75);
        if shadow.read_only {
            let refused = txn.put(&key, &record(value, 0));
            assert!(matches!(refused, Err(TxnError::ReadOnly)), "{refused:?}");
            return Ok(());
        }
        if shadow.is_read_committed() && self.model.is_kept_from(shadow.id, row) {
            assert!(!txn.try_lock(&key)?, "two hold row {row}");
            return Ok(());
        }
        if is_put {
            txn.put(&key, &record(value, padding))?;
            shadow.put(row, value);
        } else {
            txn.delete(&key)?;
            shadow.delete(row);
        }
        if shadow.is_read_committed() {
            shadow.lock(&mut self.model, row);
        }
        Ok(())
    }

    fn add(&mut self, open: &mut Open) -> Result<(), TxnError> {
        if open.shadow.read_only {
            return Ok(());
        }
        let (row, by) = (self.row(), self.dice.below(1000));
        let seen = open.txn.merge(&encoded(row), Arc::new(Plus(by)))?;
        let expected = open.shadow.add(&self.model, row, by);
        assert_eq!(number(&seen), expected, "row {row} in {:?}", open.shadow);
        self.note(&expected);
        Ok(())
    }

    fn get_for_update(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let row = self.row();
        let (txn, shadow) = (&mut open.txn, &mut open.shadow);
        let answer = txn.get_for_update(&encoded(row), LockWait::NoWait);
        if shadow.read_only {
            assert!(matches!(answer, Err(TxnError::ReadOnly)), "{answer:?}");
            return Ok(());
        }
        if self.model.is_kept_from(shadow.id, row) {
            assert!(matches!(answer, Err(TxnError::Locked)), "{answer:?}");
            return Ok(());
        }
        shadow.lock(&mut self.model, row);
        if shadow.is_behind(&self.model, row) {
            if !shadow.is_read_committed() && self.how.bug.is_none() {
                assert!(
                    matches!(answer, Err(TxnError::Conflict { .. })),
                    "{answer:?}"
                );
                return Ok(());
            }
            self.refresh(open);
        }
        let found = answer?.as_ref().map(number);
        let expected = open.shadow.get(&self.model, row);
        assert_eq!(found, expected, "row {row} in {:?}", open.shadow);
        self.note(&found);
        Ok(())
    }

    fn try_lock(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let row = self.row();
        if open.shadow.read_only {
            return Ok(());
        }
        let locked = open.txn.try_lock(&encoded(row))?;
        let expected = !self.model.is_kept_from(open.shadow.id, row);
        assert_eq!(locked, expected, "the lock of row {row}");
        if locked {
            open.shadow.lock(&mut self.model, row);
        }
        Ok(())
    }

    fn save(&mut self, open: &mut Open) -> Result<(), TxnError> {
        let name = self.dice.below(NAMES);
        let text = name.to_string();
        match self.dice.below(5) {
            0 | 1 => {
                open.txn.savepoint(&text)?;
                open.shadow.savepoint(name);
            }
            2 => {
                let released = open.txn.release(&text).is_ok();
                assert_eq!(released, open.shadow.release(name), "savepoint {name}");
            }
            _ => {
                let back = open.txn.rollback_to(&text).is_ok();
                let expected = open.shadow.roll_back_to(&mut self.model, name);
                assert_eq!(back, expected, "savepoint {name}");
            }
        }
        Ok(())
    }

    /// Ends one of the open transactions.
    pub(super) fn end_one(&mut self) {
        let Some(open) = self.take_one() else {
            return;
        };
        let fate = open.shadow.fate(&self.model);
        let gives_up = self.dice.percent(15) || fate == Fate::Waits;
        if gives_up {
            self.summary.given_up += 1;
            if self.dice.percent(50) {
                open.txn.rollback();
            }
            open.shadow.end(&mut self.model);
            return;
        }
        if self.is_over(&open) {
            let ended = open.txn.commit();
            assert!(matches!(ended, Err(TxnError::Deadline)), "{ended:?}");
            self.summary.given_up += 1;
            open.shadow.end(&mut self.model);
            return;
        }
        self.commit(open, fate);
    }

    fn commit(&mut self, open: Open, fate: Fate) {
        let Open { txn, shadow, .. } = open;
        let class = txn.durability();
        let next = self.next_seq();
        let ended = txn.commit();
        let numbered = self.next_seq() != next;
        self.note(&ended.as_ref().ok());
        match (ended, fate) {
            (Ok(done), Fate::Empty) => {
                assert_eq!(done.seq.get(), shadow.snapshot, "an empty commit");
                self.promise(done.seq.get(), done.durability);
            }
            (Ok(done), Fate::Commits(changes)) => {
                assert!(numbered && done.seq.get() == next, "another Seq");
                assert!(done.durability >= class, "a weaker class than asked");
                self.model.commit(next, changes);
                self.promise(next, done.durability);
                self.summary.committed += 1;
            }
            (Err(TxnError::Conflict { with }), Fate::Conflicts) => {
                assert!(!numbered && with.get() > 0, "refused and numbered");
                self.summary.conflicts += 1;
            }
            (Err(TxnError::Conflict { .. }), Fate::Commits(_))
                if self.how.coarse && shadow.level == Isolation::Serializable =>
            {
                assert!(!numbered, "refused and numbered");
                self.summary.cautious += 1;
            }
            (Err(TxnError::Locked), Fate::Locked) => {
                assert!(!numbered, "refused and numbered");
                self.summary.locked += 1;
            }
            (Err(error), fate) if self.broken => {
                // Its outcome is unknown: it may be there after the stop.
                if let (true, Fate::Commits(changes)) = (numbered, fate) {
                    self.model.commit(next, changes);
                }
                self.fail(&error);
            }
            (ended, fate) => panic!("{ended:?}, not {fate:?}, of {shadow:?}"),
        }
        shadow.end(&mut self.model);
    }

    fn next_seq(&self) -> u64 {
        self.store.next_seq(&self.store.latch_all()).get()
    }

    /// A batch that belongs to no transaction.
    pub(super) fn commit_outside(&mut self) {
        if !self.has_room() {
            return;
        }
        let count = 1 + self.dice.below(3);
        let mut batch = WriteBatchBuilder::default();
        let mut changes = BTreeMap::<Row, Option<u64>>::new();
        for _ in 0..count {
            let (row, value) = (self.row(), self.dice.below(1 << 40));
            changes.insert(row, (value % 4 > 0).then_some(value));
        }
        for (row, value) in &changes {
            let written = match value {
                Some(value) => batch.put(&encoded(*row), &record(*value, 0)),
                None => batch.delete(&encoded(*row)),
            };
            written.expect("it fits");
        }
        let (batch, class) = (batch.finish(), self.class());
        let store = self.store.clone();
        let bytes = u64::try_from(batch.as_bytes().len()).unwrap_or(u64::MAX);
        if let Err(error) = store.admit(bytes) {
            return self.fail(&error);
        }
        let keys: Vec<Vec<u8>> = changes.keys().map(|row| encoded(*row)).collect();
        let now = self.env.clock().monotonic();
        let latched = store.latch_free(&keys.iter().map(Vec::as_slice), Some(now));
        let kept_out = changes.keys().any(|row| self.model.holder(*row).is_some());
        let latched = match latched {
            Ok(latched) if !kept_out => latched,
            Err(TxnError::Deadline) if kept_out => {
                self.summary.kept_out += 1;
                return;
            }
            other => panic!("{other:?} with {changes:?}"),
        };
        let started = store.start(&latched, batch, class);
        drop(latched);
        match started {
            Ok(pending) => {
                self.model.commit(pending.seq().get(), changes);
                self.pending.push((pending, class));
                self.summary.outside += 1;
            }
            Err(error) => self.fail(&error),
        }
    }
}
