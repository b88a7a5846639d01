//! Reading sorted runs: the newest run that has a key decides.
//!
//! A run holds one version of each key at most (rules 4 and 6 of the contract), so merging runs
//! needs no look at the tree's own sequence numbers. That is why scans do without the tree's merge,
//! which is made for many versions and costs about 80 ns a row more.

use std::ops::Bound;
use std::sync::Arc;

use lsm_tree::table::filter::standard_bloom::Builder as BloomBuilder;
use lsm_tree::{InternalValue, Slice, Table};

use super::damage;
use crate::view::TableRows;
use crate::{Direction, EngineError};

type Range = (Bound<Slice>, Bound<Slice>);
type TableItem = lsm_tree::Result<InternalValue>;

/// The runs of one table set, newest first; the tables of a run ascend and do not overlap.
pub(super) struct Runs {
    runs: Arc<[Vec<Table>]>,
    /// The tree's number at which they are read: everything, in all but a test.
    newest: u64,
}

impl Runs {
    pub(super) fn new(runs: Vec<Vec<Table>>, newest: u64) -> Self {
        Self {
            runs: runs.into(),
            newest,
        }
    }

    pub(super) fn ids(&self) -> Vec<Vec<u64>> {
        let ids = |run: &Vec<Table>| run.iter().map(|table| table.id()).collect();
        self.runs.iter().map(ids).collect()
    }

    /// The newest record of `key`; `None` when there is none or it is deleted.
    pub(super) fn get(&self, key: &[u8]) -> lsm_tree::Result<Option<Slice>> {
        let hash = BloomBuilder::get_hash(key);
        for run in &*self.runs {
            let at = run.partition_point(|table| **table.metadata.key_range.max() < *key);
            let Some(table) = run.get(at) else { continue };
            if **table.metadata.key_range.min() > *key {
                continue;
            }
            if let Some(found) = table.get(key, self.newest, hash)? {
                return Ok((!found.is_tombstone()).then_some(found.value));
            }
        }
        Ok(None)
    }

    /// The records of a range, deletes left out.
    pub(super) fn rows(&self, range: Range, direction: Direction) -> TableRows {
        let runs = self.runs.iter();
        let readers = runs.filter_map(|run| RunReader::new(run, &range, direction));
        let mut readers: Vec<RunReader> = readers.collect();
        match readers.pop() {
            Some(only) if readers.is_empty() => Box::new(SingleRun(only)),
            Some(oldest) => {
                readers.push(oldest);
                Box::new(MergedRuns::new(readers))
            }
            None => Box::new(std::iter::empty()),
        }
    }
}

/// The entries of one run in a range, in one direction, deletes included.
struct RunReader {
    /// Those that are still to be opened, the next one last.
    tables: Vec<Table>,
    range: Range,
    direction: Direction,
    open: Option<Box<dyn DoubleEndedIterator<Item = TableItem> + Send>>,
}

impl RunReader {
    /// `None` when no table of the run touches the range.
    fn new(run: &[Table], range: &Range, direction: Direction) -> Option<Self> {
        let begin = run.partition_point(|table| ends_before(table, &range.0));
        let tables = run.get(begin..).unwrap_or_default();
        let count = tables.partition_point(|table| !begins_behind(table, &range.1));
        let tables = tables.get(..count).unwrap_or_default();
        let tables: Vec<Table> = match direction {
            Direction::Forward => tables.iter().rev().cloned().collect(),
            Direction::Backward => tables.to_vec(),
        };
        (!tables.is_empty()).then(|| Self {
            tables,
            range: range.clone(),
            direction,
            open: None,
        })
    }

    fn next(&mut self) -> lsm_tree::Result<Option<InternalValue>> {
        loop {
            if let Some(entry) = self.next_of_open() {
                return entry.map(Some);
            }
            let Some(table) = self.tables.pop() else {
                self.open = None;
                return Ok(None);
            };
            self.open = Some(Box::new(table.range(self.range.clone())));
        }
    }

    fn next_of_open(&mut self) -> Option<TableItem> {
        let entries = self.open.as_mut()?;
        match self.direction {
            Direction::Forward => entries.next(),
            Direction::Backward => entries.next_back(),
        }
    }
}

fn ends_before(table: &Table, from: &Bound<Slice>) -> bool {
    let max = table.metadata.key_range.max();
    match from {
        Bound::Included(from) => max < from,
        Bound::Excluded(from) => max <= from,
        Bound::Unbounded => false,
    }
}

fn begins_behind(table: &Table, to: &Bound<Slice>) -> bool {
    let min = table.metadata.key_range.min();
    match to {
        Bound::Included(to) => min > to,
        Bound::Excluded(to) => min >= to,
        Bound::Unbounded => false,
    }
}

fn row_of(entry: InternalValue) -> (Slice, Slice) {
    (entry.key.user_key, entry.value)
}

/// The rows of a range that one run alone holds.
struct SingleRun(RunReader);

impl Iterator for SingleRun {
    type Item = Result<(Slice, Slice), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.next() {
                Ok(Some(entry)) if entry.is_tombstone() => {}
                Ok(entry) => return entry.map(|entry| Ok(row_of(entry))),
                Err(error) => return Some(Err(damage("reading a table", error))),
            }
        }
    }
}

/// The rows of a range that several runs hold.
struct MergedRuns {
    /// Newest first.
    runs: Vec<RunHead>,
    opened: bool,
}

struct RunHead {
    reader: RunReader,
    head: Option<InternalValue>,
}

impl MergedRuns {
    fn new(readers: Vec<RunReader>) -> Self {
        let runs = readers
            .into_iter()
            .map(|reader| RunHead { reader, head: None });
        Self {
            runs: runs.collect(),
            opened: false,
        }
    }

    fn advance(&mut self) -> lsm_tree::Result<Option<InternalValue>> {
        if !self.opened {
            for run in &mut self.runs {
                run.head = run.reader.next()?;
            }
            self.opened = true;
        }
        let Some(at) = self.nearest() else {
            return Ok(None);
        };
        let Some(run) = self.runs.get_mut(at) else {
            return Ok(None);
        };
        let next = run.reader.next()?;
        let Some(taken) = std::mem::replace(&mut run.head, next) else {
            return Ok(None);
        };
        // Older runs may have the same key: what they say of it does not count.
        for run in self.runs.iter_mut().skip(at + 1) {
            let same = run.head.as_ref().is_some_and(|head| same_key(head, &taken));
            if same {
                run.head = run.reader.next()?;
            }
        }
        Ok(Some(taken))
    }

    /// The run with the next key; of several that have it the newest.
    fn nearest(&self) -> Option<usize> {
        let heads = self.runs.iter().enumerate();
        let heads = heads.filter_map(|(at, run)| Some((at, run, run.head.as_ref()?)));
        let nearest = heads.reduce(|best, other| {
            let (best_key, other_key) = (&best.2.key.user_key, &other.2.key.user_key);
            let sooner = match other.1.reader.direction {
                Direction::Forward => other_key < best_key,
                Direction::Backward => other_key > best_key,
            };
            if sooner { other } else { best }
        });
        nearest.map(|(at, ..)| at)
    }
}

fn same_key(a: &InternalValue, b: &InternalValue) -> bool {
    a.key.user_key == b.key.user_key
}

impl Iterator for MergedRuns {
    type Item = Result<(Slice, Slice), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(Some(entry)) if entry.is_tombstone() => {}
                Ok(entry) => return entry.map(|entry| Ok(row_of(entry))),
                Err(error) => return Some(Err(damage("reading a table", error))),
            }
        }
    }
}
