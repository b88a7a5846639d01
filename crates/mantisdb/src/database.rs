//! The opened database, for asynchronous programs.

use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use mantis_session::{ChangeFilter, ChangeSet, DatabaseOptions, DatabaseStatus};
use mantis_types::{Isolation, Seq};

use crate::transaction::on_thread;
use crate::{Error, LockFreeStorage, Transaction, blocking};

/// An opened database. Cheap to clone; all clones are the same database.
///
/// Its calls run on the blocking threads of the Tokio runtime that they are awaited in: some 10 us
/// beside the work itself. [`blocking::Database`] is the same without a runtime.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), mantisdb::Error> {
/// # use mantisdb::{Database, IsolationLevel};
/// let db = Database::open_in_memory().await?;              // or Database::open(dir)
/// let mut tx = db.begin(IsolationLevel::Serializable).await?;
/// tx.put("k", b"v".to_vec()).await?;
/// tx.commit().await?;                                      // Err(e) with e.retryable() on conflict
/// # assert_eq!(db.storage().get("k")?.as_deref(), Some(&b"v"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    inner: blocking::Database,
}

impl Database {
    /// A database in memory, which ends with the last clone. Its commits are of class `none`.
    ///
    /// # Errors
    /// None are expected.
    pub async fn open_in_memory() -> Result<Self, Error> {
        let inner = on_thread(blocking::Database::open_in_memory).await?;
        Ok(Self { inner })
    }

    /// Opens the database in a directory, and makes it when there is none.
    ///
    /// # Errors
    /// As [`blocking::Database::open`].
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref().to_owned();
        let inner = on_thread(move || blocking::Database::open(dir)).await?;
        Ok(Self { inner })
    }

    /// The same with other memory, limits and log.
    ///
    /// # Errors
    /// As [`blocking::Database::open_with`].
    pub async fn open_with(options: DatabaseOptions) -> Result<Self, Error> {
        let inner = on_thread(move || blocking::Database::open_with(options)).await?;
        Ok(Self { inner })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`blocking::Database::begin`].
    pub async fn begin(&self, level: Isolation) -> Result<Transaction, Error> {
        let db = self.inner.clone();
        on_thread(move || db.begin(level))
            .await
            .map(Transaction::new)
    }

    /// Begins a transaction that refuses writes.
    ///
    /// # Errors
    /// As [`blocking::Database::begin_read_only`].
    pub async fn begin_read_only(&self, level: Isolation) -> Result<Transaction, Error> {
        let db = self.inner.clone();
        let begun = on_thread(move || db.begin_read_only(level)).await;
        begun.map(Transaction::new)
    }

    /// Follows the commits from `from_seq` on, in order and without a gap.
    ///
    /// # Errors
    /// As [`blocking::Database::commit_feed`].
    pub async fn commit_feed(&self, from_seq: Seq) -> Result<CommitFeed, Error> {
        let db = self.inner.clone();
        let feed = on_thread(move || db.commit_feed(from_seq)).await?;
        Ok(CommitFeed { feed: Some(feed) })
    }

    /// The same for some keys, without values, or with what was there before: [`ChangeFilter`].
    ///
    /// # Errors
    /// As [`blocking::Database::commit_feed_of`].
    pub async fn commit_feed_of(
        &self,
        from_seq: Seq,
        filter: ChangeFilter,
    ) -> Result<CommitFeed, Error> {
        let db = self.inner.clone();
        let feed = on_thread(move || db.commit_feed_of(from_seq, filter)).await?;
        Ok(CommitFeed { feed: Some(feed) })
    }

    /// The newest commit that readers see.
    #[must_use]
    pub fn visible_seq(&self) -> Seq {
        self.inner.visible_seq()
    }

    /// What it says about itself. Cost: some hundred atomic loads.
    #[must_use]
    pub fn stats(&self) -> DatabaseStatus {
        self.inner.stats()
    }

    /// The same keys and values without transactions, synchronously.
    #[must_use]
    pub fn storage(&self) -> LockFreeStorage {
        self.inner.storage()
    }

    /// The same database for threads.
    #[must_use]
    pub const fn blocking(&self) -> &blocking::Database {
        &self.inner
    }

    /// Clean shutdown. A second call does nothing.
    ///
    /// # Errors
    /// As [`blocking::Database::close`].
    pub async fn close(&self) -> Result<(), Error> {
        let db = self.inner.clone();
        on_thread(move || db.close()).await
    }
}

/// The commits of a database, one after the other.
#[derive(Debug)]
pub struct CommitFeed {
    /// `None` once a call was given up while it read: what it had read is lost.
    feed: Option<blocking::CommitFeed>,
}

impl CommitFeed {
    /// The next commit with its changes and their values. Whoever drops the future while a commit is
    /// being read ends the feed; while it waits for one, nothing is lost.
    ///
    /// # Errors
    /// `gone`: it was too slow, and has missed what is no longer kept; `transaction_finished` when
    /// it has ended.
    pub async fn next(&mut self) -> Result<ChangeSet, Error> {
        loop {
            let feed = self.feed.as_ref().ok_or_else(blocking::finished)?;
            poll_fn(|context| match feed.poll_ready(context.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            let mut feed = self.feed.take().ok_or_else(blocking::finished)?;
            let (feed, next) = on_thread(move || {
                let next = feed.next(Duration::ZERO);
                Ok((feed, next))
            })
            .await?;
            self.feed = Some(feed);
            if let Some(set) = next? {
                return Ok(set);
            }
        }
    }
}
