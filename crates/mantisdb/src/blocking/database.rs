//! The opened database, for threads.

use std::path::Path;
use std::time::Duration;

use mantis_env::Env;
use mantis_session::{
    Begin, ChangeFeed, ChangeFilter, ChangeSet, DatabaseOptions, DatabaseStatus, FeedFrom,
    Principal, Session,
};
use mantis_types::{Durability, Isolation, Seq};

use super::Transaction;
use crate::{Error, LockFreeStorage};

/// Most attempts of [`Database::transact`].
const ATTEMPTS_MAX: u32 = 50;
/// The longest pause between two of them, and the shortest that it is doubled from.
const PAUSE_MAX: Duration = Duration::from_millis(50);
const PAUSE_MIN: Duration = Duration::from_micros(100);

/// An opened database. Cheap to clone; all clones are the same database, usable from any thread.
#[derive(Clone, Debug)]
pub struct Database {
    inner: mantis_session::Database,
    session: Session,
    durability: Durability,
}

impl Database {
    /// A database in memory, which ends with the last clone. Its commits are of class `none`.
    ///
    /// # Errors
    /// None are expected.
    pub fn open_in_memory() -> Result<Self, Error> {
        let inner = mantis_session::Database::open_in_memory(&Env::real())?;
        Ok(Self::over(inner, Durability::None))
    }

    /// Opens the database in a directory, and makes it when there is none. Cost: reading the live
    /// log, bounded by twice the write buffer. Blocks.
    ///
    /// # Errors
    /// `starting` when another process has it open; `corrupt` when log or tables are damaged;
    /// `disk_full`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(DatabaseOptions::new(Env::real(), dir.as_ref()))
    }

    /// The same with other memory, limits and log.
    ///
    /// # Errors
    /// As [`Self::open`]; `invalid_value` naming an option that cannot be.
    pub fn open_with(options: DatabaseOptions) -> Result<Self, Error> {
        let inner = mantis_session::Database::open(options)?;
        Ok(Self::over(inner, Durability::Sync))
    }

    fn over(inner: mantis_session::Database, durability: Durability) -> Self {
        Self {
            session: inner.session(Principal::Owner),
            inner,
            durability,
        }
    }

    /// Begins a transaction. Usually a snapshot and two short locks.
    ///
    /// # Errors
    /// `shutting_down` after [`Self::close`]; `sync_failed` when the log has failed.
    pub fn begin(&self, level: Isolation) -> Result<Transaction, Error> {
        self.begin_with(Begin::at(level))
    }

    /// Begins a transaction that refuses writes. It waits for nobody, and fails because of nobody.
    ///
    /// # Errors
    /// `shutting_down` after [`Self::close`].
    pub fn begin_read_only(&self, level: Isolation) -> Result<Transaction, Error> {
        self.begin_with(Begin {
            read_only: true,
            ..Begin::at(level)
        })
    }

    fn begin_with(&self, begin: Begin) -> Result<Transaction, Error> {
        let begin = Begin {
            durability: self.durability,
            ..begin
        };
        let txn = self.session.begin(begin)?;
        Ok(Transaction::new(txn, self.inner.env().clone()))
    }

    /// Runs `work` in a transaction and commits it; runs all of it again when somebody else came
    /// first, at most 50 times, with growing pauses of random length. What `work` does beside the
    /// transaction happens each time. Answers what it answered the last time.
    ///
    /// # Errors
    /// What `work` answers, with nothing of it done; the last refusal.
    pub fn transact<T>(
        &self,
        level: Isolation,
        mut work: impl FnMut(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempts = 0;
        loop {
            let error = match self.attempt(level, &mut work) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            attempts += 1;
            if !error.retryable() || attempts == ATTEMPTS_MAX {
                return Err(error);
            }
            self.inner.env().clock().sleep(self.pause(attempts));
        }
    }

    fn attempt<T>(
        &self,
        level: Isolation,
        work: &mut impl FnMut(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tx = self.begin(level)?;
        let done = work(&mut tx)?;
        tx.commit()?;
        Ok(done)
    }

    /// Of random length, so that two who have met do not meet again.
    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        let most = PAUSE_MIN * 2_u32.pow(attempts.min(9));
        let most = most.min(PAUSE_MAX);
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.inner.env().rng().next_u64() % nanos)
    }

    /// Follows the commits from `from_seq` on, in order and without a gap.
    ///
    /// # Errors
    /// `gone` when it does not reach back so far, or for a commit that this database does not have.
    pub fn commit_feed(&self, from_seq: Seq) -> Result<CommitFeed, Error> {
        let filter = ChangeFilter {
            values: true,
            ..ChangeFilter::default()
        };
        self.commit_feed_of(from_seq, filter)
    }

    /// The same for some keys, without values, or with what was there before: [`ChangeFilter`].
    ///
    /// # Errors
    /// As [`Self::commit_feed`]; `too_large` for a prefix longer than a key may be.
    pub fn commit_feed_of(&self, from_seq: Seq, filter: ChangeFilter) -> Result<CommitFeed, Error> {
        let feed = self
            .session
            .changes(FeedFrom::After(from_seq.prev()), filter)?;
        Ok(CommitFeed(feed))
    }

    /// The newest commit that readers see.
    #[must_use]
    pub fn visible_seq(&self) -> Seq {
        self.inner.visible_seq()
    }

    /// What it says about itself. Cost: some hundred atomic loads.
    #[must_use]
    pub fn stats(&self) -> DatabaseStatus {
        self.inner.status()
    }

    /// The same keys and values without transactions.
    #[must_use]
    pub fn storage(&self) -> LockFreeStorage {
        LockFreeStorage::over(self.inner.clone(), self.durability)
    }

    /// A session, for everything that the server takes: conditions, expiry, tags.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session.clone()
    }

    /// Clean shutdown: refuses further commits, waits for those under way, writes and syncs
    /// everything. A second call does nothing. Blocks.
    ///
    /// # Errors
    /// What the store answers; nothing that was acknowledged is lost by it.
    pub fn close(&self) -> Result<(), Error> {
        self.inner.close()
    }
}

/// The commits of a database, one after the other.
#[derive(Debug)]
pub struct CommitFeed(ChangeFeed);

impl CommitFeed {
    /// The next commit with its changes and their values; `None` when `timeout` passed before, or when
    /// the database is closed. Blocks.
    ///
    /// # Errors
    /// `gone`: it was too slow, and has missed what is no longer kept.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<ChangeSet>, Error> {
        self.0.next(timeout)
    }

    /// The newest commit that it has answered: to go on behind it later.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.0.position()
    }

    pub(crate) fn poll_ready(&self, waker: &std::task::Waker) -> bool {
        self.0.poll_ready(waker)
    }
}
