//! The horizon: up to which commit readers see.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::CachePadded;
use mantis_types::Seq;

/// The newest published Seq. The commit pipeline moves it, snapshots read it.
///
/// All accesses are sequentially consistent: a committer that marks its slot and one that moves the
/// edge must agree on an order, or the last commit stays unpublished until the next one.
#[derive(Debug)]
pub struct Horizon {
    visible: CachePadded<AtomicU64>,
}

impl Horizon {
    pub(crate) fn new(visible: Seq) -> Self {
        Self {
            visible: CachePadded::new(AtomicU64::new(visible.get())),
        }
    }

    /// The newest commit that a new snapshot sees.
    #[must_use]
    pub fn get(&self) -> Seq {
        Seq::new(self.visible.load(SeqCst))
    }

    /// Publishes the commit after `from`, if `from` is still the newest published one.
    pub fn advance(&self, from: Seq) -> bool {
        self.visible
            .compare_exchange(from.get(), from.next().get(), SeqCst, SeqCst)
            .is_ok()
    }

    /// Publishes everything up to `seq` (recovery, bulk load); never moves back.
    pub(crate) fn raise(&self, seq: Seq) {
        self.visible.fetch_max(seq.get(), SeqCst);
    }
}
