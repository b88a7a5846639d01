//! When commits are noted for conflicts: only while transactions live that may ask.
//!
//! The first transaction switches it on inside the sequencer; commits numbered before were not noted,
//! so it reads at a snapshot that sees all of them. Some time after the last one it is switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_types::{Limits, Seq, WriteBatch};
use parking_lot::Mutex;

use crate::TxnError;
use crate::conflict::{Checks, ConflictIndex, Live};
use crate::order::Order;

/// Commits are not noted.
const OFF: u64 = u64::MAX;
/// How long nobody has lived before it is switched off: switching on makes a transaction wait for
/// the commits under way.
const REST: Duration = Duration::from_secs(1);

/// The conflict index and its switches.
#[derive(Debug)]
pub(crate) struct Tracking {
    pub(crate) index: ConflictIndex,
    pub(crate) live: Arc<Live>,
    /// Everything after this commit is noted; `OFF` while nothing is. Written inside the sequencer.
    points_from: AtomicU64,
    /// The same for the order of keys.
    ranges_from: AtomicU64,
    /// For tests that must see what happens without it.
    blind: AtomicBool,
}

impl Tracking {
    pub(crate) fn new(seed: u64, limits: &Limits) -> Self {
        Self {
            index: ConflictIndex::new(seed, limits),
            live: Arc::default(),
            points_from: AtomicU64::new(OFF),
            ranges_from: AtomicU64::new(OFF),
            blind: AtomicBool::new(false),
        }
    }

    /// Switches it on, if it is not; answers the commit that a transaction's snapshot must see, so
    /// that everything after it is noted. The transaction has entered [`Live`] before.
    pub(crate) fn switch_on(&self, sequencer: &Mutex<Order>, ranges: bool) -> Seq {
        let from = self.points_from.load(SeqCst);
        let ranges_from = self.ranges_from.load(SeqCst);
        if from != OFF && (!ranges || ranges_from != OFF) {
            let from = if ranges { from.max(ranges_from) } else { from };
            return Seq::new(from);
        }
        let mut order = sequencer.lock();
        let last = order.next.prev();
        if !order.points {
            order.points = true;
            order.recent.restart(last);
            self.index.begin_points(last);
            self.points_from.store(last.get(), SeqCst);
        }
        if ranges && !order.ranges {
            order.ranges = true;
            self.index.begin_ranges(last);
            self.ranges_from.store(last.get(), SeqCst);
        }
        last
    }

    /// Switches off what nobody has needed for a while; called now and then.
    pub(crate) fn rest(&self, sequencer: &Mutex<Order>, now: Duration) {
        self.live.note_time(now);
        let (idle, ranges_idle) = self.live.idle_for(REST, now);
        let mut order = sequencer.lock();
        if ranges_idle
            && order.ranges
            && self.switch_off(&self.ranges_from, || self.live.serializable())
        {
            order.ranges = false;
            self.index.clear_ranges();
        }
        if idle
            && order.points
            && !order.ranges
            && self.switch_off(&self.points_from, || self.live.count())
        {
            order.points = false;
            self.index.clear();
        }
    }

    /// Takes the mark away before it looks who lives: a transaction enters before it looks at the
    /// mark, so that one of the two sees the other.
    fn switch_off(&self, mark: &AtomicU64, live: impl FnOnce() -> usize) -> bool {
        let from = mark.swap(OFF, SeqCst);
        if live() == 0 {
            return true;
        }
        mark.store(from, SeqCst);
        false
    }

    /// Notes a commit, if anybody may ask. Inside the sequencer; `visible` was read there.
    pub(crate) fn enter(&self, order: &mut Order, batch: &WriteBatch, visible: Seq) {
        if order.points {
            // `visible` was read before: whoever enters after this line sees it or more.
            let oldest = visible.min(self.live.oldest());
            let (seq, ranges) = (order.next, order.ranges);
            self.index
                .enter(seq, batch, &mut order.recent, oldest, ranges);
        }
    }

    /// Checks outside the sequencer; answers up to which commit.
    pub(crate) fn check(&self, checks: &Checks<'_>) -> Result<Seq, TxnError> {
        let entered = self.index.entered();
        if !self.is_blind() {
            self.index.check(checks)?;
        }
        Ok(entered)
    }

    /// Checks the rest inside the sequencer.
    pub(crate) fn check_since(
        &self,
        checks: &Checks<'_>,
        checked: Seq,
        order: &Order,
    ) -> Result<(), TxnError> {
        if self.is_blind() {
            return Ok(());
        }
        self.index.check_since(checks, checked, &order.recent)
    }

    /// From here on no commit is refused: the control of those who check histories.
    pub(crate) fn blind(&self) {
        self.blind.store(true, SeqCst);
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(SeqCst)
    }
}
