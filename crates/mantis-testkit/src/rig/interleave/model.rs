//! What must be in the store: every commit by its Seq, and who has locked which row.

use std::collections::BTreeMap;

/// A row, by its number.
pub(super) type Row = u64;
/// What commits have written, by Seq; `None` is a removal.
type History = BTreeMap<u64, BTreeMap<Row, Option<u64>>>;

/// The committed state and the row locks.
#[derive(Debug, Default)]
pub(super) struct Model {
    history: History,
    locks: BTreeMap<Row, u64>,
}

impl Model {
    /// Adds a commit.
    pub(super) fn commit(&mut self, seq: u64, changes: BTreeMap<Row, Option<u64>>) {
        let before = self.history.insert(seq, changes);
        assert!(before.is_none(), "Seq {seq} was given twice");
    }

    /// The newest commit.
    pub(super) fn last(&self) -> u64 {
        self.history.keys().next_back().copied().unwrap_or(0)
    }

    /// A row as of a commit.
    pub(super) fn at(&self, row: Row, seq: u64) -> Option<u64> {
        let mut older = self.history.range(..=seq).rev();
        older
            .find_map(|(_, changes)| changes.get(&row).copied())
            .flatten()
    }

    /// The newest version of a row.
    pub(super) fn newest(&self, row: Row) -> Option<u64> {
        self.at(row, u64::MAX)
    }

    /// The newest commit that wrote a row; 0 when none did.
    pub(super) fn written(&self, row: Row) -> u64 {
        let mut newest = self.history.iter().rev();
        newest
            .find_map(|(seq, changes)| changes.contains_key(&row).then_some(*seq))
            .unwrap_or(0)
    }

    /// Whether some row of a range was written after `seq`.
    pub(super) fn written_in(&self, range: (Row, Row), seq: u64) -> bool {
        let newer = self.history.range(seq + 1..);
        let mut hits =
            newer.filter(|(_, changes)| changes.range(range.0..range.1).next().is_some());
        hits.next().is_some()
    }

    /// Commits behind `left` are gone; answers how many there were.
    pub(super) fn end_at(&mut self, left: u64) -> u64 {
        self.locks.clear();
        let gone = self.history.split_off(&(left + 1));
        u64::try_from(gone.len()).unwrap_or(u64::MAX)
    }

    /// Who holds the lock of a row.
    pub(super) fn holder(&self, row: Row) -> Option<u64> {
        self.locks.get(&row).copied()
    }

    /// Whether somebody other than `who` holds it.
    pub(super) fn is_kept_from(&self, who: u64, row: Row) -> bool {
        self.holder(row).is_some_and(|holder| holder != who)
    }

    /// Gives the lock to `who`; answers whether it had it not before.
    pub(super) fn lock(&mut self, who: u64, row: Row) -> bool {
        let before = self.locks.insert(row, who);
        assert!(before.is_none_or(|holder| holder == who), "two holders");
        before.is_none()
    }

    /// Takes a lock back.
    pub(super) fn unlock(&mut self, row: Row) {
        self.locks.remove(&row);
    }
}
