//! Commits on their way to those who observe them: kept from their number on until they are published,
//! and told in the order of their numbers before they become visible.
//!
//! While nobody observes, a commit pays one look at a flag inside the sequencer and one behind its
//! mark. Whoever begins to observe switches the outbox on inside the sequencer: every commit that is
//! numbered from then on is kept, and told by whoever publishes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use mantis_types::{Limits, Seq, WriteBatch};
use parking_lot::Mutex;

use crate::feed::FeedHub;
use crate::order::Order;
use crate::ring::SLOTS;
use crate::watch::WatchIndex;

/// No commit is covered.
const NEVER: u64 = u64::MAX;

/// A commit as observers see it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) seq: Seq,
    pub(crate) batch: WriteBatch,
}

/// A commit's place until it is published.
type Slot = Mutex<Option<Kept>>;

#[derive(Debug)]
pub(crate) struct Outbox {
    /// Commits after this one are kept, `NEVER` while none is. Written inside the sequencer.
    after: AtomicU64,
    /// By `seq % SLOTS`, as the ring; made when somebody observes for the first time, 4 MiB. Each guards
    /// one commit, for as long as it takes to move it. Leaf locks.
    slots: OnceLock<Box<[Slot]>>,
    /// Somebody is publishing.
    busy: AtomicBool,
    /// Somebody has marked a commit since the one who publishes has looked.
    again: AtomicBool,
    pub(crate) watch: Arc<WatchIndex>,
    pub(crate) feed: Arc<FeedHub>,
}

impl Outbox {
    pub(crate) fn new(seed: u64, limits: &Limits) -> Self {
        Self {
            after: AtomicU64::new(NEVER),
            slots: OnceLock::new(),
            busy: AtomicBool::new(false),
            again: AtomicBool::new(false),
            watch: Arc::new(WatchIndex::new(seed, limits)),
            feed: Arc::new(FeedHub::new(limits)),
        }
    }

    /// Begins to keep commits, if that has not begun; every commit after the one that is answered is
    /// told. It never ends again while the store is open: whoever has observed once does so often.
    pub(crate) fn switch_on(&self, sequencer: &Mutex<Order>) -> Seq {
        let after = self.after.load(SeqCst);
        if after != NEVER {
            return Seq::new(after);
        }
        self.slots
            .get_or_init(|| (0..SLOTS).map(|_| Mutex::new(None)).collect());
        let mut order = sequencer.lock();
        if !order.observed {
            order.observed = true;
            self.after.store(order.next.prev().get(), SeqCst);
        }
        Seq::new(self.after.load(SeqCst))
    }

    /// Whether a commit, which has been marked, has to be told.
    pub(crate) fn covers(&self, seq: Seq) -> bool {
        seq.get() > self.after.load(SeqCst)
    }

    /// Keeps a commit; before it is marked as applied.
    pub(crate) fn keep(&self, seq: Seq, batch: WriteBatch) {
        if let Some(slot) = self.slot(seq) {
            *slot.lock() = Some(Kept { seq, batch });
        }
    }

    /// Tells everybody of a commit that is about to become visible; by one thread at a time.
    pub(crate) fn tell(&self, seq: Seq) {
        let kept = self.slot(seq).and_then(|slot| slot.lock().take());
        if let Some(kept) = kept.map(Arc::new) {
            self.watch.tell(&kept);
            self.feed.tell(&kept);
        }
    }

    /// Runs `publish` unless somebody else does; that one then runs it once more. All orders are
    /// SeqCst: either the one who leaves sees that it is wanted again, or the one who comes finds the
    /// place free.
    pub(crate) fn one_at_a_time(&self, mut publish: impl FnMut()) {
        self.again.store(true, SeqCst);
        while self.again.load(SeqCst) && !self.busy.swap(true, SeqCst) {
            self.again.store(false, SeqCst);
            publish();
            self.busy.store(false, SeqCst);
        }
    }

    fn slot(&self, seq: Seq) -> Option<&Slot> {
        let slots = self.slots.get()?;
        slots.get(usize::try_from(seq.get() % SLOTS).ok()?)
    }
}
