//! The commit feed: every commit in order and without a gap, live and from any commit that is kept.
//!
//! The last commits stand in memory, shared by all who follow; whoever is further behind reads from
//! the commit log until it has caught up. So a slow follower costs nothing but its place, and one that
//! is too slow for the log is told which commits it has missed.

mod before;
mod commit;
mod hub;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;
use std::time::Duration;

use mantis_log::{LogError, LogReader};
use mantis_types::{Seq, WriteBatch};

use crate::outbox::Kept;
use crate::{Store, TxnError};

pub use before::{Before, Known};
pub use commit::FeedCommit;
pub(crate) use hub::FeedHub;
pub use hub::FeedStats;

use hub::Found;

/// A waiting thread looks again after this long, whatever happens: the store may have been closed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFrom {
    /// With the commits that become visible from now on.
    Now,
    /// Behind a commit; behind [`Seq::ZERO`] with the first one.
    After(Seq),
}

/// A place in the order of commits that moves on with each one it answers. Dropping it ends it.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    hub: Arc<FeedHub>,
    next: Seq,
    /// While it is further behind than memory reaches.
    reader: Option<LogReader>,
}

impl Store {
    /// Follows the commits. The first follower of a store switches keeping on; a store without a log
    /// has only what was committed since.
    ///
    /// # Errors
    /// `Gone` when the feed does not reach back so far, or does not know the commit to begin behind;
    /// `PoolExhausted` at `Limits::feeds_max`.
    pub fn feed(&self, from: FeedFrom) -> Result<Feed, TxnError> {
        let pipeline = self.pipeline();
        let hub = Arc::clone(&pipeline.outbox.feed);
        let max = self.limits().feeds_max;
        if hub.followers.fetch_add(1, SeqCst) >= max {
            hub.followers.fetch_sub(1, SeqCst);
            return Err(TxnError::TooManyFeeds { max });
        }
        let mut feed = Feed {
            store: self.clone(),
            hub,
            next: Seq::ZERO,
            reader: None,
        };
        let after = pipeline.outbox.switch_on(&pipeline.sequencer);
        feed.hub.begin(after);
        let visible = self.visible_seq();
        feed.next = match from {
            FeedFrom::Now => visible.next(),
            FeedFrom::After(seq) if seq > visible => {
                return Err(TxnError::FeedAhead { newest: visible });
            }
            FeedFrom::After(seq) => seq.next(),
        };
        // Whether it reaches back so far is to be known now.
        feed.check_start(visible)?;
        Ok(feed)
    }

    /// The oldest commit that a feed can begin with; more may go at any time.
    #[must_use]
    pub fn oldest_in_feed(&self) -> Seq {
        let in_memory = self.pipeline().outbox.feed.oldest();
        let in_log = self.log().map(mantis_log::Log::oldest_seq);
        in_log
            .into_iter()
            .chain(in_memory)
            .min()
            .unwrap_or_else(|| self.visible_seq().next())
    }
}

impl Feed {
    /// The commit that comes next.
    #[must_use]
    pub const fn next_seq(&self) -> Seq {
        self.next
    }

    /// The next commit, once it is visible; `None` when `timeout` passed before, or when the store is
    /// closed and there will be none. Blocks; with a timeout of zero only on reads of the log.
    ///
    /// # Errors
    /// `Gone`: it was too slow, and commits up to the oldest that is named are missed. `Corrupt`.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<FeedCommit>, TxnError> {
        let clock = Arc::clone(self.store.env().clock());
        let started = clock.monotonic();
        loop {
            let count = self.hub.listen();
            let kept = match self.hub.find(self.next) {
                Found::Here(kept) => Some(kept),
                Found::Before => self.read_log()?,
                Found::NotYet => None,
            };
            if let Some(kept) = kept {
                // It is told a moment before it is visible.
                self.store.pipeline().wait_visible(kept.seq, None)?;
                self.next = kept.seq.next();
                self.hub.delivered.add(1);
                return Ok(Some(FeedCommit::new(kept)));
            }
            let left = timeout.saturating_sub(clock.monotonic().saturating_sub(started));
            if left.is_zero() || self.store.pipeline().check_open().is_err() {
                return Ok(None);
            }
            let nap = left.min(LOOK_AGAIN);
            self.store.env().wait(&self.hub.bell, count, nap);
        }
    }

    /// Whether [`Self::next`] has something to do; if not, `waker` is woken once that may have changed.
    /// Never blocks.
    #[must_use]
    pub fn poll_ready(&self, waker: &Waker) -> bool {
        self.hub.ready_or_wake(self.next, waker)
    }

    /// A commit from the log: it was told already, so it is there or goes there now.
    fn read_log(&mut self) -> Result<Option<Arc<Kept>>, TxnError> {
        let store = self.store.clone();
        let Some(log) = store.log() else {
            return Err(self.gone());
        };
        if self.reader.is_none() {
            let reader = log.read(self.next);
            self.reader = Some(reader.map_err(|error| self.lost(error))?);
        }
        let reader = self.reader.as_mut();
        let mut read = reader.and_then(Iterator::next);
        if read.is_none() {
            log.write(self.next)?;
            read = self.reader.as_mut().and_then(Iterator::next);
        }
        let record = match read {
            Some(Ok(record)) if record.seq == self.next => record,
            Some(Ok(record)) => {
                return Err(TxnError::LogGap {
                    log_first: record.seq.get(),
                    needed: self.next.get(),
                });
            }
            Some(Err(error)) => return Err(self.lost(error)),
            None => return Ok(None),
        };
        if self.hub.reaches(record.seq.next()) {
            self.reader = None;
        }
        let batch = WriteBatch::from_log(record.body)?;
        Ok(Some(Arc::new(Kept {
            seq: record.seq,
            batch,
        })))
    }

    fn check_start(&mut self, visible: Seq) -> Result<(), TxnError> {
        if self.next > visible || !matches!(self.hub.find(self.next), Found::Before) {
            return Ok(());
        }
        let store = self.store.clone();
        let Some(log) = store.log() else {
            return Err(self.gone());
        };
        log.write(visible)?;
        let reader = log.read(self.next);
        self.reader = Some(reader.map_err(|error| self.lost(error))?);
        Ok(())
    }

    fn gone(&self) -> TxnError {
        self.hub.lost.add(1);
        TxnError::FeedGone {
            oldest: self.store.oldest_in_feed(),
        }
    }

    fn lost(&self, error: LogError) -> TxnError {
        match error {
            LogError::SeqGone { .. } => self.gone(),
            error => error.into(),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.followers.fetch_sub(1, SeqCst);
    }
}
