//! Watched reads: what somebody has read, and whether a commit has touched it since.
//!
//! A commit marks what it touches with its own number before it becomes visible, and whoever wants to
//! know looks at the marks of what it watches. Everybody who watches a key shares one mark for it,
//! and so does everybody whose ranges cover the same stretch between two ends of ranges: a commit
//! marks once for each of its keys, however many watch them, and telling never holds publication up.

mod points;
mod recent;
mod segments;
mod set;
mod stats;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use mantis_types::{Limits, Seq};
use parking_lot::{Mutex, RwLock};

use crate::outbox::Kept;
use crate::{Store, TxnError};

pub use set::WatchSet;
pub use stats::WatchStats;

use points::{Point, Points};
use recent::Recent;
use segments::Segments;
use set::Range;

/// Everything that is watched in one store.
#[derive(Debug)]
pub(crate) struct WatchIndex {
    points: Points,
    /// Guards which stretches there are; marks are set and looked at under its shared side. Comes
    /// after `recent`. Longest hold: one commit's keys, or an insertion that moves 512 ends.
    segments: RwLock<Segments>,
    /// Guards the keys of the last commits, and is held while a commit sets its marks. First of this index's
    /// locks. Longest hold: the marks of one commit.
    recent: Mutex<Recent>,
    /// The newest commit whose marks are all set.
    told: AtomicU64,
    watches: AtomicUsize,
    ranges: AtomicUsize,
    /// Keys and ranges of all watches.
    reads: AtomicUsize,
    max: usize,
}

/// A registration: what is watched, and since when. Dropping it ends it.
pub struct Watch {
    index: Arc<WatchIndex>,
    since: Seq,
    /// Marks after this commit count: older ones were set for others.
    marks_after: Seq,
    /// A commit between `since` and that one.
    before: Option<Seq>,
    points: Vec<Arc<Point>>,
    ranges: Vec<Range>,
    /// Up to which told commit nothing was found.
    clean: AtomicU64,
}

impl Store {
    /// Watches reads from now on: commits after [`Watch::since`] that touch one of them are found by
    /// [`Watch::touched`] before they are visible, and a snapshot that is taken now sees all others.
    /// Cost: a hash look-up for each key and a search for each range; the first one in a store waits
    /// for the commits under way.
    ///
    /// # Errors
    /// `PoolExhausted` at `Limits::watched_max`; `ReadOnly` when the log has failed meanwhile.
    pub fn watch(&self, set: &WatchSet) -> Result<Watch, TxnError> {
        let pipeline = self.pipeline();
        let after = pipeline.outbox.switch_on(&pipeline.sequencer);
        let watch = pipeline.outbox.watch.register(set, after, None)?;
        pipeline.wait_visible(watch.since, None)?;
        Ok(watch)
    }

    /// Watches what was read at a snapshot: commits after `since` count. When that is longer ago than
    /// the index remembers (some ten thousand keys), the reads count as touched.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub fn watch_since(&self, set: &WatchSet, since: Seq) -> Result<Watch, TxnError> {
        let pipeline = self.pipeline();
        let after = pipeline.outbox.switch_on(&pipeline.sequencer);
        pipeline.outbox.watch.register(set, after, Some(since))
    }
}

impl Watch {
    /// Commits after this one count.
    #[must_use]
    pub const fn since(&self) -> Seq {
        self.since
    }

    /// The newest commit that has touched what is watched, if one has. A commit that is visible has
    /// been found by whoever asks now. Cost: one load while no commit has come; else one for each
    /// key, and a search for each range.
    #[must_use]
    pub fn touched(&self) -> Option<Seq> {
        if self.before.is_some() {
            return self.before;
        }
        // Before the marks: those of a commit that is told have been set.
        let told = self.index.told.load(SeqCst);
        if self.clean.load(SeqCst) >= told {
            return None;
        }
        let points = self.points.iter().map(|point| point.touched());
        let mut newest = points.max().unwrap_or(Seq::ZERO);
        if !self.ranges.is_empty() {
            let segments = self.index.segments.read();
            let ranges = self.ranges.iter();
            let touched = ranges.map(|range| segments.touched(&range.from, range.to.as_deref()));
            newest = newest.max(touched.max().unwrap_or(Seq::ZERO));
        }
        if newest > self.marks_after {
            return Some(newest);
        }
        self.clean.fetch_max(told, SeqCst);
        None
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("since", &self.since)
            .field("keys", &self.points.len())
            .field("ranges", &self.ranges.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let index = &self.index;
        let reads = self.points.len() + self.ranges.len();
        self.points
            .drain(..)
            .for_each(|point| index.points.leave(point));
        if !self.ranges.is_empty() {
            for range in &self.ranges {
                // One at a time: publication waits for no more than that.
                index.segments.write().remove(range);
            }
            index.ranges.fetch_sub(self.ranges.len(), SeqCst);
        }
        index.reads.fetch_sub(reads, SeqCst);
        index.watches.fetch_sub(1, SeqCst);
    }
}

impl WatchIndex {
    pub(crate) fn new(seed: u64, limits: &Limits) -> Self {
        Self {
            points: Points::new(seed),
            segments: RwLock::default(),
            recent: Mutex::default(),
            told: AtomicU64::new(0),
            watches: AtomicUsize::new(0),
            ranges: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            max: limits.watched_max,
        }
    }

    /// Sets the marks of a commit that is about to become visible.
    pub(crate) fn tell(&self, kept: &Arc<Kept>) {
        let seq = kept.seq;
        let mut recent = self.recent.lock();
        if self.points.any() {
            let keys = kept.batch.entries();
            keys.for_each(|entry| self.points.touch(entry.key(), seq));
        }
        if self.ranges.load(SeqCst) > 0 {
            let segments = self.segments.read();
            let keys = kept.batch.entries();
            keys.for_each(|entry| segments.touch(entry.key(), seq));
        }
        recent.push(seq, &kept.batch);
        self.told.store(seq.get(), SeqCst);
    }

    /// `after`: commits after this one are told.
    pub(crate) fn register(
        self: &Arc<Self>,
        set: &WatchSet,
        after: Seq,
        since: Option<Seq>,
    ) -> Result<Watch, TxnError> {
        self.take_room(set.len())?;
        let keys = set.keys.iter();
        let points: Vec<_> = keys.map(|key| self.points.join(key)).collect();
        // Counted before the ends are there: a commit that sees no range sets no mark, and none of
        // these counts before the registration is complete.
        self.ranges.fetch_add(set.ranges.len(), SeqCst);
        for range in &set.ranges {
            self.segments.write().add(range);
        }
        let (told, missed) = {
            let mut recent = self.recent.lock();
            // Whoever sets marks has the lock: from here on every commit finds all of this.
            let told = self.told.fetch_max(after.get(), SeqCst).max(after.get());
            recent.begin(after);
            let told = Seq::new(told);
            let since = since.unwrap_or(told);
            (told, recent.since(since))
        };
        let since = since.unwrap_or(told);
        let before = match missed {
            Some(pieces) => set.newest_touch(&pieces, since),
            None => Some(told),
        };
        self.watches.fetch_add(1, SeqCst);
        Ok(Watch {
            index: Arc::clone(self),
            since,
            marks_after: told.max(since),
            before,
            points,
            ranges: set.ranges.clone(),
            clean: AtomicU64::new(0),
        })
    }

    fn take_room(&self, reads: usize) -> Result<(), TxnError> {
        let before = self.reads.fetch_add(reads, SeqCst);
        if before.saturating_add(reads) <= self.max {
            return Ok(());
        }
        self.reads.fetch_sub(reads, SeqCst);
        Err(TxnError::TooManyWatched { max: self.max })
    }

    pub(crate) fn stats(&self) -> WatchStats {
        WatchStats {
            watches: self.watches.load(SeqCst) as u64,
            keys: self.points.len() as u64,
            ranges: self.ranges.load(SeqCst) as u64,
            told: Seq::new(self.told.load(SeqCst)),
        }
    }
}
