//! Scans: memtables and tables of a snapshot merged in key order.
//!
//! While memtables have rows in the range, rows are read in batches: a cursor's nodes are not held
//! between two calls. From where only tables are left, their rows are handed on one by one.

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
/// the first row is asked for. While memtables have a part in it, rows are read in batches of growing
/// size, and between batches it holds no memtable node. It holds the tables that it stands on: their
/// files stay on disk until it goes on or is dropped, even when its snapshot has been ended meanwhile.
pub struct Scan {
    snapshot: Snapshot,
    /// What is left of the range.
    from: OwnedBound,
    to: OwnedBound,
    direction: Direction,
    batch_rows: usize,
    rows: VecDeque<Row>,
    tables: TableSource,
    stage: Stage,
}

/// Where the rows behind those that are ready come from.
enum Stage {
    /// Memtables may have some: the next batch is merged.
    Merging,
    /// Tables only; so many rows were handed on since the snapshot was looked at.
    TablesOnly(usize),
    Done,
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
        let stage = if is_empty(&from, &to) {
            Stage::Done
        } else {
            Stage::Merging
        };
        Self {
            snapshot,
            from,
            to,
            direction,
            batch_rows: BATCH_FIRST,
            rows: VecDeque::new(),
            tables: TableSource::Unopened,
            stage,
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
        let tables_only = snapshot.held().with(|view| {
            tables.open(view, &batch)?;
            batch.merge(view, seq, tables)
        })?;
        self.batch_rows = (self.batch_rows * BATCH_GROWTH).min(BATCH_MAX);
        if tables_only {
            // What a snapshot sees of memtables does not change: there is no more of it ahead.
            self.stage = Stage::TablesOnly(0);
        } else if let Some((last, _)) = self.rows.back() {
            let rest = Bound::Excluded(last.as_bytes().to_vec());
            match self.direction {
                Direction::Forward => self.from = rest,
                Direction::Backward => self.to = rest,
            }
        }
        Ok(())
    }

    fn next_of_tables(&mut self, handed: usize) -> Result<Option<Row>, EngineError> {
        self.stage = if handed == BATCH_MAX {
            // A snapshot that has been ended ends its scans.
            self.snapshot.held().with(|_| Ok(()))?;
            Stage::TablesOnly(1)
        } else {
            Stage::TablesOnly(handed + 1)
        };
        match self.tables.next_row()? {
            Some((key, record)) => Ok(Some((Key::new(key), Record::check(record)?))),
            None => {
                self.end();
                Ok(None)
            }
        }
    }

    fn end(&mut self) {
        self.stage = Stage::Done;
        self.tables = TableSource::Absent;
    }
}

impl Iterator for Scan {
    type Item = Result<Row, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Some(Ok(row));
            }
            let filled = match self.stage {
                Stage::Done => return None,
                Stage::TablesOnly(handed) => match self.next_of_tables(handed) {
                    Ok(row) => return row.map(Ok),
                    Err(error) => Err(error),
                },
                Stage::Merging => self.fill(),
            };
            if let Err(error) = filled {
                self.end();
                self.rows.clear();
                return Some(Err(error));
            }
        }
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

/// Who has the next row.
enum Source {
    Cursor(usize),
    Tables,
}

impl Batch<'_> {
    /// Reads rows until the batch is full (false) or memtables have no more (true).
    fn merge(
        &mut self,
        view: &View,
        seq: Seq,
        tables: &mut TableSource,
    ) -> Result<bool, EngineError> {
        let mut cursors = self.cursors(view, seq);
        let mut bytes = 0;
        while self.rows.len() < self.rows_max && bytes < BATCH_BYTES_MAX {
            if cursors.is_empty() {
                return Ok(true);
            }
            match self.pick(&cursors, tables.head()) {
                Some(Source::Cursor(at)) => bytes += self.take_version(at, &mut cursors, tables)?,
                Some(Source::Tables) => bytes += self.take_row(tables)?,
                None => return Ok(true),
            }
        }
        Ok(cursors.is_empty())
    }

    /// Takes the version that a cursor stands on, and moves every source past its key.
    fn take_version(
        &mut self,
        at: usize,
        cursors: &mut Vec<Cursor<'_>>,
        tables: &mut TableSource,
    ) -> Result<usize, EngineError> {
        let Some(body) = cursors.get(at).and_then(Cursor::body).cloned() else {
            return Ok(0);
        };
        cursors
            .iter_mut()
            .for_each(|cursor| cursor.pass(body.key()));
        cursors.retain(|cursor| cursor.key().is_some_and(|key| self.within(key)));
        if tables.head().is_some_and(|(key, _)| **key == *body.key()) {
            tables.advance()?;
        }
        if body.is_delete() {
            return Ok(0);
        }
        let bytes = body.len();
        let record = Record::of_version(body.clone())?;
        self.rows.push_back((Key::of_version(body), record));
        Ok(bytes)
    }

    /// Takes the row that only tables have.
    fn take_row(&mut self, tables: &mut TableSource) -> Result<usize, EngineError> {
        let Some((key, record)) = tables.take()? else {
            return Ok(0);
        };
        let bytes = key.len() + record.len();
        self.rows.push_back((Key::new(key), Record::check(record)?));
        Ok(bytes)
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

    /// Who has the next key: of several that have it the first, which is the newest.
    fn pick(&self, cursors: &[Cursor<'_>], head: Option<&(Slice, Slice)>) -> Option<Source> {
        let in_memory = cursors.iter().enumerate();
        let in_memory = in_memory.filter_map(|(at, c)| Some((c.key()?, Source::Cursor(at))));
        let all = in_memory.chain(head.map(|(key, _)| (&key[..], Source::Tables)));
        let next = all.reduce(|best, other| {
            let sooner = match self.direction {
                Direction::Forward => other.0 < best.0,
                Direction::Backward => other.0 > best.0,
            };
            if sooner { other } else { best }
        });
        next.map(|(_, source)| source)
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
            rows: tables.rows(batch.from, batch.to, batch.direction),
            head: None,
        };
        self.advance()
    }

    fn head(&self) -> Option<&(Slice, Slice)> {
        match self {
            Self::Open { head, .. } => head.as_ref(),
            Self::Unopened | Self::Absent => None,
        }
    }

    /// The head, and the next row becomes the head.
    fn take(&mut self) -> Result<Option<(Slice, Slice)>, EngineError> {
        match self {
            Self::Open { rows, head } if head.is_some() => {
                let next = rows.next().transpose()?;
                Ok(std::mem::replace(head, next))
            }
            _ => Ok(None),
        }
    }

    /// The next row, without a look at the one after it.
    fn next_row(&mut self) -> Result<Option<(Slice, Slice)>, EngineError> {
        match self {
            Self::Open { rows, head } => match head.take() {
                Some(row) => Ok(Some(row)),
                None => rows.next().transpose(),
            },
            Self::Unopened | Self::Absent => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        if let Self::Open { rows, head } = self {
            *head = rows.next().transpose()?;
        }
        Ok(())
    }
}
