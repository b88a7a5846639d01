//! The commits of a database as its models tell them, one after the other.

use std::task::Waker;
use std::time::Duration;

use mantis_kv::{Change, ChangeFilter, KvError};
use mantis_txn::{Before, Feed, FeedFrom, TxnError};
use mantis_types::{Access, Origin, Seq};

use crate::{Database, Session, SessionError};

/// Most commits that a filter passes over in one call.
const PASSED_MAX: usize = 1000;

/// One commit, and what of it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// Its place in the order of all commits.
    pub seq: Seq,
    /// When it was committed, Unix time in milliseconds; `None` from logs that have no times. Never
    /// earlier than what this feed has told before.
    pub time_ms: Option<u64>,
    /// Through which door it came; `None` from logs that do not say.
    pub origin: Option<Origin>,
    /// What it changed, in key order; empty for bookkeeping of the store.
    pub changes: Vec<Change>,
}

/// Follows the commits of a database, each as one [`ChangeSet`], in order and without a gap.
#[derive(Debug)]
pub struct ChangeFeed {
    // Not the session, which could be dropped with a thread that still waits here.
    database: Database,
    access: Access,
    feed: Feed,
    filter: ChangeFilter,
    /// If it was asked what was there before.
    before: Option<Before>,
    time_ms: u64,
}

impl Session {
    /// Follows the commits. With a prefix, commits without a change below it are passed over; without
    /// one every commit is told, so that the numbers have no gaps. What was there before a commit is
    /// known from the moment of this call on, and by a follower that stays close behind.
    ///
    /// # Errors
    /// `Forbidden` for a principal that may not read; `Gone` when what is asked for is no longer kept,
    /// or comes after a commit that this store does not have; `PoolExhausted`.
    pub fn changes(
        &self,
        from: FeedFrom,
        filter: ChangeFilter,
    ) -> Result<ChangeFeed, SessionError> {
        let access = self.principal().grant(false)?;
        let database = self.database().clone();
        let max = database.limits().key_bytes_max;
        if filter.prefix.len() > max {
            return Err(SessionError::Kv(KvError::TooLarge {
                limit: "limits.key_bytes_max",
                max: max as u64,
                given: filter.prefix.len() as u64,
            }));
        }
        let feed = database.store().feed(from)?;
        let at = feed.next_seq().prev();
        let before = filter.old.then(|| database.store().before(at));
        Ok(ChangeFeed {
            before,
            database,
            access,
            feed,
            filter,
            time_ms: 0,
        })
    }
}

impl ChangeFeed {
    /// The newest commit that has been told or passed over: to go on behind it later.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.feed.next_seq().prev()
    }

    /// The next commit; `None` when `timeout` passed before, after a thousand commits that the filter
    /// passed over, or when the database is closed. Blocks.
    ///
    /// # Errors
    /// `Gone`: it was too slow, and has missed what is no longer kept. `Corrupt`.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<ChangeSet>, SessionError> {
        for _ in 0..PASSED_MAX {
            let Some(commit) = self.feed.next(timeout)? else {
                return Ok(None);
            };
            let kv = self.database.kv();
            let before = self.before.as_ref();
            let changes = kv.changes(self.access, &commit, &self.filter, before);
            if let Some(before) = &mut self.before {
                before.pass(&commit)?;
            }
            let changes = changes?;
            if changes.is_empty() && !self.filter.prefix.is_empty() {
                continue;
            }
            let time = commit.time_ms();
            self.time_ms = self.time_ms.max(time.unwrap_or(0));
            return Ok(Some(ChangeSet {
                seq: commit.seq(),
                time_ms: time.map(|_| self.time_ms),
                origin: commit.origin(),
                changes,
            }));
        }
        Ok(None)
    }

    /// Whether [`Self::next`] has something to look at; if not, `waker` is woken once it may have.
    /// Never blocks.
    #[must_use]
    pub fn poll_ready(&self, waker: &Waker) -> bool {
        self.feed.poll_ready(waker)
    }
}

impl SessionError {
    /// For `Gone`: the oldest commit that a feed can begin with, or the newest that there is when it
    /// was asked for what comes after another one.
    #[must_use]
    pub const fn feed_bounds(&self) -> Option<FeedBounds> {
        match self {
            Self::Txn(TxnError::FeedGone { oldest }) => Some(FeedBounds::Oldest(*oldest)),
            Self::Txn(TxnError::FeedAhead { newest }) => Some(FeedBounds::Newest(*newest)),
            _ => None,
        }
    }
}

/// What a feed has instead of what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedBounds {
    /// Nothing before this commit.
    Oldest(Seq),
    /// Nothing behind this commit.
    Newest(Seq),
}
