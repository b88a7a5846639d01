//! Recent writes in key order: whether a commit after some moment has touched a range.
//!
//! Writes are kept in lists of the order of commits. A full list is sorted by the first who asks,
//! outside of every lock, and is dropped when nobody can ask about its commits any more.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use mantis_types::Seq;
use parking_lot::Mutex;

/// Writes of one list. Also the most that is searched one by one.
const LIST: usize = 512;

/// The keys of recent commits.
#[derive(Debug)]
pub(crate) struct Ranges {
    /// Guards the lists. Taken inside the sequencer, and nothing inside it; longest hold: a search
    /// of one list of 512 keys.
    lists: Mutex<Lists>,
    lists_max: usize,
    /// Commits up to this one may be missing.
    floor: AtomicU64,
}

#[derive(Debug, Default)]
struct Lists {
    /// Oldest first.
    full: VecDeque<Arc<List>>,
    open: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    seq: Seq,
    key: Box<[u8]>,
}

#[derive(Debug)]
struct List {
    last: Seq,
    /// In the order of commits.
    writes: Vec<Write>,
    /// Their places in key order.
    by_key: OnceLock<Vec<u32>>,
}

impl Ranges {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self {
            lists: Mutex::default(),
            lists_max: (keys_max / LIST).max(2),
            floor: AtomicU64::new(0),
        }
    }

    /// Notes one write; inside the sequencer.
    pub(crate) fn push(&self, seq: Seq, key: &[u8], oldest: Seq) {
        let mut lists = self.lists.lock();
        lists.open.push(Write {
            seq,
            key: key.into(),
        });
        if lists.open.len() < LIST {
            return;
        }
        let writes = std::mem::replace(&mut lists.open, Vec::with_capacity(LIST));
        lists.full.push_back(Arc::new(List {
            last: seq,
            writes,
            by_key: OnceLock::new(),
        }));
        let unasked = |list: &Arc<List>| list.last <= oldest;
        while lists.full.front().is_some_and(unasked) {
            lists.full.pop_front();
        }
        while lists.full.len() > self.lists_max {
            if let Some(list) = lists.full.pop_front() {
                self.floor.fetch_max(list.last.get(), SeqCst);
            }
        }
    }

    /// Writes of commits up to `seq` have not been noted.
    pub(crate) fn begin(&self, seq: Seq) {
        self.floor.fetch_max(seq.get(), SeqCst);
    }

    pub(crate) fn clear(&self) {
        *self.lists.lock() = Lists::default();
    }

    /// Up to which commit writes may be missing, for somebody who asks about these ranges.
    pub(crate) fn floor_for(&self, spans: &[Span]) -> Seq {
        if spans.is_empty() {
            Seq::ZERO
        } else {
            Seq::new(self.floor.load(SeqCst))
        }
    }

    /// A commit after `since` that wrote into one of the ranges. Outside the sequencer.
    pub(crate) fn first_hit(&self, spans: &[Span], since: Seq) -> Option<Seq> {
        if spans.is_empty() {
            return None;
        }
        let full: Vec<Arc<List>> = {
            let lists = self.lists.lock();
            if let Some(seq) = hit_from_the_end(&lists.open, spans, since) {
                return Some(seq);
            }
            let newer = lists.full.iter().rev().take_while(|l| l.last > since);
            newer.cloned().collect()
        };
        full.iter().rev().find_map(|list| list.hit(spans, since))
    }

    /// The same for the few commits after `checked`, without sorting anything. Inside the sequencer.
    pub(crate) fn newest_hit(&self, spans: &[Span], checked: Seq) -> Option<Seq> {
        if spans.is_empty() {
            return None;
        }
        let lists = self.lists.lock();
        hit_from_the_end(&lists.open, spans, checked).or_else(|| {
            let newer = lists.full.iter().rev().take_while(|l| l.last > checked);
            let mut writes = newer.map(|list| hit_from_the_end(&list.writes, spans, checked));
            writes.find_map(|hit| hit)
        })
    }
}

fn hit_from_the_end(writes: &[Write], spans: &[Span], since: Seq) -> Option<Seq> {
    let newer = writes.iter().rev().take_while(|write| write.seq > since);
    newer
        .filter(|write| holds(spans, &write.key))
        .map(|write| write.seq)
        .next()
}

impl List {
    fn hit(&self, spans: &[Span], since: Seq) -> Option<Seq> {
        let by_key = self.by_key.get_or_init(|| {
            let mut places: Vec<u32> = (0_u32..).take(self.writes.len()).collect();
            places.sort_unstable_by_key(|place| self.at(*place).map(|write| &write.key));
            places
        });
        for span in spans {
            let first = by_key.partition_point(|place| {
                self.at(*place)
                    .is_some_and(|write| &*write.key < span.from.as_slice())
            });
            let inside = by_key.get(first..).unwrap_or_default().iter();
            let inside = inside
                .filter_map(|place| self.at(*place))
                .take_while(|write| span.ends_after(&write.key));
            let mut newer = inside.filter(|write| write.seq > since);
            if let Some(write) = newer.next() {
                return Some(write.seq);
            }
        }
        None
    }

    fn at(&self, place: u32) -> Option<&Write> {
        self.writes.get(usize::try_from(place).ok()?)
    }
}

/// Whether one of the ranges, which are in order and apart, holds the key.
fn holds(spans: &[Span], key: &[u8]) -> bool {
    let after = spans.partition_point(|span| span.from.as_slice() <= key);
    let before = after.checked_sub(1).and_then(|index| spans.get(index));
    before.is_some_and(|span| span.ends_after(key))
}

/// A range of keys: from the first, included, to the end, excluded; without an end to the last key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl Span {
    /// Any two bounds.
    pub(crate) fn new(from: Bound<&[u8]>, to: Bound<&[u8]>) -> Self {
        let from = match from {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Vec::new(),
        };
        let to = match to {
            Bound::Included(key) => Some(after(key)),
            Bound::Excluded(key) => Some(key.to_vec()),
            Bound::Unbounded => None,
        };
        Self { from, to }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    fn ends_after(&self, key: &[u8]) -> bool {
        self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }

    /// Takes in a range that begins at or after this one's beginning, if they touch.
    fn join(&mut self, later: &Self) -> bool {
        let apart = self.to.as_ref().is_some_and(|to| *to < later.from);
        if apart {
            return false;
        }
        self.to = match (self.to.take(), &later.to) {
            (Some(a), Some(b)) => Some(a.max(b.clone())),
            _ => None,
        };
        true
    }
}

/// The key directly after `key`.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// Ranges in order, none of which touches another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<Span>,
    /// How many of them are in order and apart.
    tidy: usize,
}

impl Spans {
    /// Adds a range. Amortised O(log n) comparisons, when [`Self::tidy`] is called before it is read.
    pub(crate) fn push(&mut self, span: Span) {
        if !span.is_empty() {
            self.spans.push(span);
            if self.spans.len() > 64 && self.spans.len() > self.tidy * 2 {
                self.tidy();
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Brings them in order, and joins those that touch.
    pub(crate) fn tidy(&mut self) {
        if self.tidy == self.spans.len() {
            return;
        }
        self.spans.sort_unstable_by(|a, b| a.from.cmp(&b.from));
        self.spans.dedup_by(|later, kept| kept.join(later));
        self.tidy = self.spans.len();
    }

    /// Makes one range of all, the smallest that holds them.
    pub(crate) fn coarsen(&mut self) {
        let from = self.spans.iter().map(|span| span.from.clone()).min();
        let to = self.spans.iter().map(|span| span.to.clone());
        // `None` is the end of all keys, but the least in Rust's order.
        let to = to.max_by(|a, b| match (a, b) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        });
        if let (Some(from), Some(to)) = (from, to) {
            self.spans = vec![Span { from, to }];
            self.tidy = 1;
        }
    }

    /// The ranges; [`Self::tidy`] must have been called.
    pub(crate) fn as_slice(&self) -> &[Span] {
        debug_assert_eq!(self.tidy, self.spans.len(), "they are read in order only");
        &self.spans
    }
}

#[cfg(test)]
mod tests;
