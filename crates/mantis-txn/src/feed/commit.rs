//! A commit as followers see it.

use std::sync::Arc;

use mantis_types::{BatchOp, Origin, Seq, WriteBatch};

use crate::outbox::Kept;

/// One commit. Cheap to clone: its bytes are shared.
#[derive(Clone, Debug)]
pub struct FeedCommit(Arc<Kept>);

impl FeedCommit {
    pub(super) const fn new(kept: Arc<Kept>) -> Self {
        Self(kept)
    }

    /// Its place in the order of all commits.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.0.seq
    }

    /// When it was committed, Unix time in milliseconds, taken before its number: of two that came
    /// together the later one may have the earlier time. `None` from logs that have no times.
    #[must_use]
    pub fn time_ms(&self) -> Option<u64> {
        self.0.batch.head().map(|head| head.time_ms)
    }

    /// Through which door it came.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.0.batch.head().map(|head| head.origin)
    }

    /// Its bytes.
    #[must_use]
    pub fn batch(&self) -> &WriteBatch {
        &self.0.batch
    }

    /// What it changes, in key order: an encoded key, and its new record or `None` for a delete.
    pub fn ops(&self) -> impl Iterator<Item = BatchOp<'_>> {
        self.0.batch.ops()
    }
}
