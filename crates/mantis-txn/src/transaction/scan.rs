//! A range as a transaction sees it: the snapshot's rows with its own changes merged in.

use std::fmt;
use std::iter::Peekable;
use std::ops::Bound;

use mantis_engine::{Direction, Key, KeyRange, Record, Scan};

use super::buffer::Change;
use super::reads::ReadSet;
use crate::TxnError;

type OwnRows<'a> = Box<dyn Iterator<Item = (&'a [u8], &'a Change)> + 'a>;

/// The rows of a range in key order, own changes included. What has been read of it becomes part of
/// the transaction's read set when this is dropped: up to the last row, or the whole range when it
/// was read to its end.
pub struct TxnScan<'a> {
    rows: Peekable<Scan>,
    own: Peekable<OwnRows<'a>>,
    read: Read,
    /// Where to note what was read, at levels that look at it.
    reads: Option<(&'a mut ReadSet, usize)>,
    failed: bool,
}

/// How much of a range has been read.
#[derive(Debug)]
struct Read {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    direction: Direction,
    last: Option<Vec<u8>>,
    to_the_end: bool,
}

impl Read {
    /// The part that was read; `None` when nothing was.
    fn part(&self) -> Option<KeyRange<'_>> {
        let (from, to) = (bound(&self.from), bound(&self.to));
        if self.to_the_end {
            return Some((from, to));
        }
        let last = Bound::Included(self.last.as_deref()?);
        Some(match self.direction {
            Direction::Forward => (from, last),
            Direction::Backward => (last, to),
        })
    }
}

fn bound(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Which source has the next row.
enum Next {
    Stored,
    Own,
    /// Both: the own change hides the stored row.
    Both,
    Neither,
}

impl<'a> TxnScan<'a> {
    pub(super) fn new(
        rows: Scan,
        own: OwnRows<'a>,
        range: KeyRange<'_>,
        direction: Direction,
        reads: Option<(&'a mut ReadSet, usize)>,
    ) -> Self {
        Self {
            rows: rows.peekable(),
            own: own.peekable(),
            read: Read {
                from: range.0.map(<[u8]>::to_vec),
                to: range.1.map(<[u8]>::to_vec),
                direction,
                last: None,
                to_the_end: false,
            },
            reads,
            failed: false,
        }
    }

    fn choose(&mut self) -> Next {
        let stored = match self.rows.peek() {
            Some(Ok((key, _))) => Some(key.as_bytes()),
            Some(Err(_)) => return Next::Stored,
            None => None,
        };
        let own = self.own.peek().map(|(key, _)| *key);
        match (stored, own) {
            (None, None) => Next::Neither,
            (Some(_), None) => Next::Stored,
            (None, Some(_)) => Next::Own,
            (Some(stored), Some(own)) if stored == own => Next::Both,
            (Some(stored), Some(own)) => {
                if (stored < own) == (self.read.direction == Direction::Forward) {
                    Next::Stored
                } else {
                    Next::Own
                }
            }
        }
    }

    fn next_row(&mut self) -> Result<Option<(Key, Record)>, TxnError> {
        loop {
            match self.choose() {
                Next::Neither => return Ok(None),
                Next::Stored => return Ok(self.rows.next().transpose()?),
                Next::Both => drop(self.rows.next().transpose()?),
                Next::Own => {}
            }
            if let Some((key, Change::Put(record))) = self.own.next() {
                return Ok(Some((Key::copy_from(key), record.clone())));
            }
        }
    }
}

impl Iterator for TxnScan<'_> {
    type Item = Result<(Key, Record), TxnError>;

    /// The next row. May read tables. Ends after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.next_row() {
            Ok(None) => {
                self.read.to_the_end = true;
                None
            }
            Ok(Some((key, record))) => {
                let last = self.read.last.get_or_insert_with(Vec::new);
                key.as_bytes().clone_into(last);
                Some(Ok((key, record)))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl Drop for TxnScan<'_> {
    fn drop(&mut self) {
        if let (Some((reads, max)), Some((from, to))) = (&mut self.reads, self.read.part()) {
            reads.range(from, to, *max);
        }
    }
}

impl fmt::Debug for TxnScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxnScan")
            .field("direction", &self.read.direction)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
