//! What a transaction must see, hold and come to.

use std::collections::{BTreeMap, BTreeSet};

use mantis_types::Isolation;

use super::model::{Model, Row};

/// What a transaction has done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put(u64),
    Delete,
    /// Additions that have not been read.
    Add(u64),
}

/// The shadow of an open transaction.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    pub(super) id: u64,
    pub(super) level: Isolation,
    pub(super) read_only: bool,
    pub(super) snapshot: u64,
    changes: BTreeMap<Row, Change>,
    locks: Vec<Row>,
    savepoints: Vec<Savepoint>,
    read: BTreeSet<Row>,
    ranges: Vec<(Row, Row)>,
    guards: Vec<(Row, u64)>,
}

#[derive(Clone, Debug)]
struct Savepoint {
    name: u64,
    changes: BTreeMap<Row, Change>,
    locks: usize,
}

/// What a commit must come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing to write.
    Empty,
    /// These changes.
    Commits(BTreeMap<Row, Option<u64>>),
    /// Somebody else came first.
    Conflicts,
    /// Somebody else has locked a row.
    Locked,
    /// It would wait for a lock, for ever: there is one thread.
    Waits,
}

impl Shadow {
    pub(super) fn new(id: u64, level: Isolation, read_only: bool, snapshot: u64) -> Self {
        Self {
            id,
            level,
            read_only,
            snapshot,
            changes: BTreeMap::new(),
            locks: Vec::new(),
            savepoints: Vec::new(),
            read: BTreeSet::new(),
            ranges: Vec::new(),
            guards: Vec::new(),
        }
    }

    pub(super) fn is_read_committed(&self) -> bool {
        self.level == Isolation::ReadCommitted
    }

    fn notes_reads(&self) -> bool {
        self.level == Isolation::Serializable && !self.read_only
    }

    /// Additions that nobody has read.
    pub(super) fn has_unread(&self, row: Row) -> bool {
        matches!(self.changes.get(&row), Some(Change::Add(_)))
    }

    /// Whether reading the row would wait for a lock.
    pub(super) fn would_wait(&self, model: &Model, row: Row) -> bool {
        self.is_read_committed() && self.has_unread(row) && model.is_kept_from(self.id, row)
    }

    /// Whether somebody has committed the row since the snapshot.
    pub(super) fn is_behind(&self, model: &Model, row: Row) -> bool {
        model.written(row) > self.snapshot
    }

    /// Takes a lock that is free.
    pub(super) fn lock(&mut self, model: &mut Model, row: Row) {
        if model.lock(self.id, row) {
            self.locks.push(row);
        }
    }

    /// Before the row is read: unread additions become a version. Answers whether a read-committed
    /// transaction must see everything anew for that.
    pub(super) fn must_refresh_for(&mut self, model: &mut Model, row: Row) -> bool {
        if !(self.has_unread(row) && self.is_read_committed()) {
            return false;
        }
        self.lock(model, row);
        self.is_behind(model, row)
    }

    /// What a read answers, at the snapshot that it is left with.
    pub(super) fn get(&mut self, model: &Model, row: Row) -> Option<u64> {
        let stored = model.at(row, self.snapshot);
        match self.changes.get(&row) {
            Some(Change::Put(value)) => return Some(*value),
            Some(Change::Delete) => return None,
            Some(Change::Add(by)) => {
                let value = stored.unwrap_or(0) + by;
                self.changes.insert(row, Change::Put(value));
            }
            None => {}
        }
        if self.notes_reads() {
            self.read.insert(row);
        }
        match self.changes.get(&row) {
            Some(Change::Put(value)) => Some(*value),
            _ => stored,
        }
    }

    /// The rows of a range; nothing in it is unread.
    pub(super) fn rows(&self, model: &Model, range: (Row, Row)) -> Vec<(Row, u64)> {
        let rows = (range.0..range.1).filter_map(|row| {
            let value = match self.changes.get(&row) {
                Some(Change::Put(value) | Change::Add(value)) => Some(*value),
                Some(Change::Delete) => None,
                None => model.at(row, self.snapshot),
            };
            Some((row, value?))
        });
        rows.collect()
    }

    /// A range that was read.
    pub(super) fn note_range(&mut self, range: (Row, Row)) {
        if self.notes_reads() {
            self.ranges.push(range);
        }
    }

    pub(super) fn put(&mut self, row: Row, value: u64) {
        self.changes.insert(row, Change::Put(value));
    }

    pub(super) fn delete(&mut self, row: Row) {
        self.changes.insert(row, Change::Delete);
    }

    /// Adds; answers what the transaction sees of it.
    pub(super) fn add(&mut self, model: &Model, row: Row, by: u64) -> u64 {
        let (change, seen) = match self.changes.get(&row) {
            Some(Change::Put(value)) => (Change::Put(value + by), value + by),
            Some(Change::Delete) => (Change::Put(by), by),
            other => {
                let before = match other {
                    Some(Change::Add(before)) => *before,
                    _ => 0,
                };
                let stored = model.at(row, self.snapshot).unwrap_or(0);
                (Change::Add(before + by), stored + before + by)
            }
        };
        self.changes.insert(row, change);
        seen
    }

    pub(super) fn guard(&mut self, row: Row) {
        self.guards.push((row, self.snapshot));
    }

    pub(super) fn savepoint(&mut self, name: u64) {
        self.savepoints.push(Savepoint {
            name,
            changes: self.changes.clone(),
            locks: self.locks.len(),
        });
    }

    /// Whether there is such a savepoint, to which it goes back.
    pub(super) fn roll_back_to(&mut self, model: &mut Model, name: u64) -> bool {
        let Some(place) = self.savepoints.iter().rposition(|s| s.name == name) else {
            return false;
        };
        self.savepoints.truncate(place + 1);
        if let Some(savepoint) = self.savepoints.last() {
            self.changes.clone_from(&savepoint.changes);
            for row in self.locks.split_off(savepoint.locks) {
                model.unlock(row);
            }
        }
        true
    }

    /// Whether there is such a savepoint, which it forgets.
    pub(super) fn release(&mut self, name: u64) -> bool {
        let place = self.savepoints.iter().rposition(|s| s.name == name);
        if let Some(place) = place {
            self.savepoints.truncate(place);
        }
        place.is_some()
    }

    /// It has ended, in whatever way.
    pub(super) fn end(self, model: &mut Model) {
        for row in self.locks {
            model.unlock(row);
        }
    }

    /// What its commit must come to.
    pub(super) fn fate(&self, model: &Model) -> Fate {
        if self.changes.is_empty() {
            return Fate::Empty;
        }
        let mut changes = self.changes.iter();
        if let Some((_, change)) = changes.find(|(row, _)| model.is_kept_from(self.id, **row)) {
            return match change {
                Change::Add(_) => Fate::Waits,
                _ => Fate::Locked,
            };
        }
        let is_decided = |change: &Change| !matches!(change, Change::Add(_));
        let written = |(row, change): (&Row, &Change)| {
            is_decided(change) && !self.is_read_committed() && self.is_behind(model, *row)
        };
        let conflicts = self.changes.iter().any(written)
            || self.read.iter().any(|row| self.is_behind(model, *row))
            || self
                .guards
                .iter()
                .any(|(row, as_of)| model.written(*row) > *as_of)
            || self
                .ranges
                .iter()
                .any(|range| model.written_in(*range, self.snapshot));
        if conflicts {
            return Fate::Conflicts;
        }
        let changes = self.changes.iter().map(|(row, change)| {
            let value = match change {
                Change::Put(value) => Some(*value),
                Change::Delete => None,
                Change::Add(by) => Some(model.newest(*row).unwrap_or(0) + by),
            };
            (*row, value)
        });
        Fate::Commits(changes.collect())
    }
}
