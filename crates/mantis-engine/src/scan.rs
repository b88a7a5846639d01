//! Scans: memtables and tables of a snapshot merged in key order, one batch at a time.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Bound;

use lsm_tree::Slice;
use mantis_types::Seq;

use crate::engine::{KeyRange, Row};
use crate::memtable::Cursor;
use crate::view::{TableRows, View};
use crate::{Direction, EngineError, Key, Record, Snapshot};

/// Rows of the first batch, unless the caller says how many it wants.
const BATCH_FIRST: usize = 16;
/// Each batch is this many times larger than the one before.
const BATCH_GROWTH: usize = 4;
/// Rows of the largest batch.
const BATCH_MAX: usize = 1024;
/// Bytes after which a batch ends, however many rows it has.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// The first key that is not the engine's own.
const FIRST_USER_KEY: &[u8] = &[1];

type OwnedBound = Bound<Vec<u8>>;

/// The records of a range at a snapshot, in key order. It owns its snapshot; nothing is read before
/// the first row is asked for, then rows are read in batches of growing size. Between batches it
/// holds no memtable node, but the tables that it stands on: their files stay on disk until it goes
/// on or is dropped, even when its snapshot has been ended meanwhile.
pub struct Scan {
    snapshot: Snapshot,
    /// What is left of the range.
    from: OwnedBound,
    to: OwnedBound,
    direction: Direction,
    batch_rows: usize,
    rows: VecDeque<Row>,
    tables: TableSource,
    done: bool,
}

/// The tables' part of the merge; kept from batch to batch.
enum TableSource {
    Unopened,
    Open {
        rows: TableRows,
        head: Option<(Slice, Slice)>,
    },
    Absent,
}

impl Scan {
    pub(crate) fn new(snapshot: Snapshot, range: KeyRange<'_>, direction: Direction) -> Self {
        let from = match range.0 {
            Bound::Included(key) if key >= FIRST_USER_KEY => Bound::Included(key.to_vec()),
            Bound::Excluded(key) if key >= FIRST_USER_KEY => Bound::Excluded(key.to_vec()),
            _ => Bound::Included(FIRST_USER_KEY.to_vec()),
        };
        let to = range.1.map(<[u8]>::to_vec);
        let done = is_empty(&from, &to);
        Self {
            snapshot,
            from,
            to,
            direction,
            batch_rows: BATCH_FIRST,
            rows: VecDeque::new(),
            tables: TableSource::Unopened,
            done,
        }
    }

    /// Says how many rows are wanted: the first batch reads so many (at most 1,024) at once.
    #[must_use]
    pub fn expecting(mut self, rows: usize) -> Self {
        self.batch_rows = rows.clamp(1, BATCH_MAX);
        self
    }

    /// The newest commit that it sees.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.snapshot.seq()
    }

    fn fill(&mut self) -> Result<(), EngineError> {
        let snapshot = &self.snapshot;
        let seq = snapshot.seq();
        let mut batch = Batch {
            from: self.from.as_ref().map(Vec::as_slice),
            to: self.to.as_ref().map(Vec::as_slice),
            direction: self.direction,
            rows_max: self.batch_rows,
            rows: &mut self.rows,
        };
        let tables = &mut self.tables;
        let more = snapshot.held().with(|view| {
            tables.open(view, &batch)?;
            batch.merge(view, seq, tables)
        })?;
        self.done = !more;
        self.batch_rows = (self.batch_rows * BATCH_GROWTH).min(BATCH_MAX);
        if let Some((last, _)) = self.rows.back() {
            let rest = Bound::Excluded(last.as_bytes().to_vec());
            match self.direction {
                Direction::Forward => self.from = rest,
                Direction::Backward => self.to = rest,
            }
        }
        if self.done {
            self.tables = TableSource::Absent;
        }
        Ok(())
    }
}

impl Iterator for Scan {
    type Item = Result<Row, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() {
            if self.done {
                return None;
            }
            if let Err(error) = self.fill() {
                self.done = true;
                self.rows.clear();
                self.tables = TableSource::Absent;
                return Some(Err(error));
            }
        }
        self.rows.pop_front().map(Ok)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("snapshot", &self.snapshot)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

fn is_empty(from: &OwnedBound, to: &OwnedBound) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            a >= b
        }
    }
}

/// One batch of a scan.
struct Batch<'s> {
    from: Bound<&'s [u8]>,
    to: Bound<&'s [u8]>,
    direction: Direction,
    rows_max: usize,
    rows: &'s mut VecDeque<Row>,
}

impl Batch<'_> {
    /// Reads rows until the batch is full (true) or the range has no more (false).
    fn merge(
        &mut self,
        view: &View,
        seq: Seq,
        tables: &mut TableSource,
    ) -> Result<bool, EngineError> {
        let mut cursors = self.cursors(view, seq);
        let mut bytes = 0;
        self.rows.reserve(self.rows_max);
        while self.rows.len() < self.rows_max && bytes < BATCH_BYTES_MAX {
            let next = if cursors.is_empty() {
                // Nothing to merge with: rows of tables are handed on as they come.
                tables.take(self.direction)?
            } else {
                self.merge_one(&mut cursors, tables)?
            };
            let Some((key, value)) = next else {
                return Ok(false);
            };
            if !value.is_empty() {
                bytes += key.len() + value.len();
                self.rows.push_back((Key::new(key), Record::check(value)?));
            }
        }
        Ok(true)
    }

    /// The next key of all sources with its newest value, empty for a delete.
    fn merge_one(
        &self,
        cursors: &mut Vec<Cursor<'_>>,
        tables: &mut TableSource,
    ) -> Result<Option<(Slice, Slice)>, EngineError> {
        let Some((key, value)) = self.pick(cursors, tables.head()) else {
            return Ok(None);
        };
        cursors.iter_mut().for_each(|cursor| cursor.pass(&key));
        cursors.retain(|cursor| cursor.key().is_some_and(|k| self.within(k)));
        if tables.head().is_some_and(|(k, _)| **k == *key) {
            tables.advance(self.direction)?;
        }
        Ok(Some((key, value)))
    }

    fn cursors<'v>(&self, view: &'v View, seq: Seq) -> Vec<Cursor<'v>> {
        let memtables = std::iter::once(&view.active).chain(&view.sealed);
        let cursors = memtables
            .filter(|m| !m.is_empty())
            .map(|m| match self.direction {
                Direction::Forward => Cursor::forward(m, seq, self.from),
                Direction::Backward => Cursor::backward(m, seq, self.to),
            });
        cursors
            .filter(|c| c.key().is_some_and(|k| self.within(k)))
            .collect()
    }

    /// The next key and its newest value: the first source that has it is the newest one.
    fn pick(
        &self,
        cursors: &[Cursor<'_>],
        head: Option<&(Slice, Slice)>,
    ) -> Option<(Slice, Slice)> {
        let in_memory = cursors.iter().filter_map(|c| Some((c.key()?, c.value()?)));
        let all = in_memory.chain(head.map(|(key, value)| (key, value)));
        let next = all.reduce(|best, other| {
            let sooner = match self.direction {
                Direction::Forward => other.0[..] < best.0[..],
                Direction::Backward => other.0[..] > best.0[..],
            };
            if sooner { other } else { best }
        });
        next.map(|(key, value)| (key.clone(), value.clone()))
    }

    /// Whether a memtable's key is inside the bound that the scan runs towards.
    fn within(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => match self.to {
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
                Bound::Unbounded => true,
            },
            Direction::Backward => match self.from {
                Bound::Included(from) => key >= from,
                Bound::Excluded(from) => key > from,
                Bound::Unbounded => true,
            },
        }
    }
}

impl TableSource {
    fn open(&mut self, view: &View, batch: &Batch<'_>) -> Result<(), EngineError> {
        if !matches!(self, Self::Unopened) {
            return Ok(());
        }
        let Some(tables) = &view.tables else {
            *self = Self::Absent;
            return Ok(());
        };
        *self = Self::Open {
            rows: tables.rows(batch.from, batch.to),
            head: None,
        };
        self.advance(batch.direction)
    }

    fn head(&self) -> Option<&(Slice, Slice)> {
        match self {
            Self::Open { head, .. } => head.as_ref(),
            Self::Unopened | Self::Absent => None,
        }
    }

    /// The head, and the next row becomes the head.
    fn take(&mut self, direction: Direction) -> Result<Option<(Slice, Slice)>, EngineError> {
        let taken = match self {
            Self::Open { head, .. } => head.take(),
            Self::Unopened | Self::Absent => None,
        };
        if taken.is_some() {
            self.advance(direction)?;
        }
        Ok(taken)
    }

    fn advance(&mut self, direction: Direction) -> Result<(), EngineError> {
        if let Self::Open { rows, head } = self {
            let next = match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.next_back(),
            };
            *head = next.transpose()?;
        }
        Ok(())
    }
}
