//! What a transaction has read, as far as its commit depends on it.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::Bound;

use mantis_types::Seq;

use crate::conflict::{AsItIs, ConflictIndex, Point, Span, Spans};

/// Keys and ranges, bounded: beyond the bound they become one range.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    keys: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// The first and the last of the keys.
    ends: Option<(Vec<u8>, Vec<u8>)>,
    /// All keys between the ends stand in `spans` from now on.
    coarse: bool,
    spans: Spans,
    /// Keys that must stay as they were at a commit, whatever the level.
    guards: Vec<Point>,
}

impl ReadSet {
    /// Notes a key, there or not.
    pub(crate) fn key(&mut self, index: &ConflictIndex, key: &[u8], max: usize) {
        self.widen(key);
        if self.coarse {
            return;
        }
        self.keys.insert(index.hash(key));
        if self.keys.len() > max {
            self.coarse = true;
            self.keys = HashSet::default();
        }
    }

    /// Notes a range.
    pub(crate) fn range(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>, max: usize) {
        self.spans.push(Span::new(from, to));
        if self.spans.len() > max {
            self.spans.tidy();
        }
        if self.spans.len() > max {
            self.spans.coarsen();
        }
    }

    /// Notes a key that must not have been written after `as_of`.
    pub(crate) fn guard(&mut self, index: &ConflictIndex, key: &[u8], as_of: Seq) {
        let hash = index.hash(key);
        match self.guards.iter_mut().find(|point| point.hash == hash) {
            Some(point) => point.as_of = point.as_of.min(as_of),
            None => self.guards.push(Point { hash, as_of }),
        }
    }

    /// The keys that must not have been written: those read since `since`, and the guards.
    pub(crate) fn points(&self, since: Seq) -> Vec<Point> {
        let keys = self.keys.iter();
        let keys = keys.map(|hash| Point {
            hash: *hash,
            as_of: since,
        });
        keys.chain(self.guards.iter().copied()).collect()
    }

    /// The ranges that must not have been written, in order.
    pub(crate) fn spans(&mut self) -> &Spans {
        if let (true, Some((first, last))) = (self.coarse, &self.ends) {
            let (first, last) = (first.as_slice(), last.as_slice());
            self.spans
                .push(Span::new(Bound::Included(first), Bound::Included(last)));
        }
        self.spans.tidy();
        &self.spans
    }

    fn widen(&mut self, key: &[u8]) {
        match &mut self.ends {
            None => self.ends = Some((key.to_vec(), key.to_vec())),
            Some((first, _)) if key < first.as_slice() => key.clone_into(first),
            Some((_, last)) if key > last.as_slice() => key.clone_into(last),
            Some(_) => {}
        }
    }
}
