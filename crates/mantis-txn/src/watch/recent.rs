//! The last commits, for those who register what they have read before.

use std::collections::VecDeque;
use std::sync::Arc;

use mantis_types::Seq;

use crate::outbox::Kept;

/// Most commits that are remembered.
const COMMITS_MAX: usize = 1024;
/// Most bytes of them; the newest is remembered whatever it takes.
const BYTES_MAX: usize = 4 << 20;

/// The last commits without a gap.
#[derive(Debug, Default)]
pub(super) struct Recent {
    commits: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// Every commit after this one that was told is here.
    after: Option<Seq>,
}

impl Recent {
    /// Commits after this one will come, if none has come yet.
    pub(super) fn begin(&mut self, after: Seq) {
        self.after.get_or_insert(after);
    }

    pub(super) fn push(&mut self, kept: &Arc<Kept>) {
        self.begin(kept.seq.prev());
        self.bytes += kept.batch.as_bytes().len();
        self.commits.push_back(Arc::clone(kept));
        while self.commits.len() > COMMITS_MAX || (self.bytes > BYTES_MAX && self.commits.len() > 1)
        {
            let Some(oldest) = self.commits.pop_front() else {
                break;
            };
            self.bytes -= oldest.batch.as_bytes().len();
            self.after = Some(oldest.seq);
        }
    }

    /// The told commits after `seq`, in order; `None` when some of them are forgotten.
    pub(super) fn since(&self, seq: Seq) -> Option<Vec<Arc<Kept>>> {
        if self.after.is_none_or(|after| seq < after) {
            return None;
        }
        let first = self.commits.partition_point(|kept| kept.seq <= seq);
        Some(self.commits.range(first..).cloned().collect())
    }
}
