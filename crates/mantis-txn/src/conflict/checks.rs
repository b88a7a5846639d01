//! What a commit asks the conflict index.

use mantis_types::Seq;

use super::{Span, Spans};

/// A key that must not have been written after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) hash: u64,
    pub(crate) as_of: Seq,
}

/// Everything that must not have been written.
#[derive(Debug)]
pub(crate) struct Checks<'a> {
    /// Sorted by hash.
    points: Vec<Point>,
    spans: &'a [Span],
    since: Seq,
}

impl<'a> Checks<'a> {
    /// `spans` must not have been written after `since`.
    pub(crate) fn new(mut points: Vec<Point>, spans: &'a Spans, since: Seq) -> Self {
        points.sort_unstable();
        Self {
            points,
            spans: spans.as_slice(),
            since,
        }
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    pub(crate) const fn spans(&self) -> &'a [Span] {
        self.spans
    }

    pub(crate) const fn since(&self) -> Seq {
        self.since
    }

    pub(crate) fn has_point(&self, hash: u64) -> bool {
        self.points
            .binary_search_by_key(&hash, |point| point.hash)
            .is_ok()
    }

    /// The oldest commit after which anything is asked about.
    pub(crate) fn as_of_min(&self) -> Seq {
        let points = self.points.iter().map(|point| point.as_of).min();
        let spans = (!self.spans.is_empty()).then_some(self.since);
        points.into_iter().chain(spans).min().unwrap_or(Seq::MAX)
    }
}
