//! What is to be watched.

use std::sync::Arc;

use mantis_types::Seq;

use super::recent::Piece;

/// Keys and ranges that somebody has read, or will read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchSet {
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) ranges: Vec<Range>,
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Vec<u8>,
    /// Exclusive; `None` is without end.
    pub(super) to: Option<Vec<u8>>,
}

impl Range {
    fn holds(&self, key: &[u8]) -> bool {
        *self.from <= *key && self.to.as_deref().is_none_or(|to| key < to)
    }
}

impl WatchSet {
    /// Adds a key (encoded), whether it is there or not.
    pub fn key(&mut self, key: &[u8]) {
        self.keys.push(key.to_vec());
    }

    /// Adds the keys (encoded) from `from` on and below `to`, or without end, whether there are any
    /// or not. A range that holds no key adds nothing.
    pub fn range(&mut self, from: &[u8], to: Option<&[u8]>) {
        if to.is_none_or(|to| from < to) {
            self.ranges.push(Range {
                from: from.to_vec(),
                to: to.map(<[u8]>::to_vec),
            });
        }
    }

    /// How many keys and ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len() + self.ranges.len()
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest commit after `since` among these that has touched it.
    pub(super) fn newest_touch(&self, pieces: &[Arc<Piece>], since: Seq) -> Option<Seq> {
        let mut keys: Vec<&[u8]> = self.keys.iter().map(Vec::as_slice).collect();
        keys.sort_unstable();
        let holds = |key: &[u8]| {
            keys.binary_search(&key).is_ok() || self.ranges.iter().any(|range| range.holds(key))
        };
        let written = pieces.iter().flat_map(|piece| piece.keys());
        let touching = written.filter(|(seq, key)| *seq > since && holds(key));
        touching.map(|(seq, _)| seq).max()
    }
}
