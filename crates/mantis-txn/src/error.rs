//! What can go wrong between a batch and its answer.

use mantis_engine::EngineError;
use mantis_log::LogError;
use mantis_types::{Code, CodecError, ErrorKind, Seq};
use thiserror::Error;

/// Errors of the transaction layer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TxnError {
    /// The engine could not do it.
    #[error("the storage engine failed")]
    Engine(#[from] EngineError),
    /// The commit log could not do it. After a failed write or sync the outcome of the commit is
    /// unknown until the store is opened again.
    #[error("the commit log failed")]
    Log(#[from] LogError),
    /// A key or record does not fit its form.
    #[error("a key or record is not well formed")]
    Codec(#[from] CodecError),
    /// The batch is larger than `Limits::batch_bytes_max`.
    #[error("a commit of {bytes} bytes, at most {max} are taken")]
    BatchTooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The log and the tables do not fit together.
    #[error("the log begins at {log_first}, but the tables end before {needed}")]
    LogGap {
        /// First Seq that the log holds.
        log_first: u64,
        /// First Seq that the tables do not hold.
        needed: u64,
    },
    /// The disk filled up under a commit that had its Seq. It is written when space returns, or gone
    /// when the store is opened again before that: its outcome is unknown.
    #[error("the disk filled up under the commit, whose outcome is unknown")]
    Undecided,
    /// Somebody else has written what this transaction depends on, after it began. Nothing was done;
    /// run it again.
    #[error("another commit has changed what this transaction has read or written")]
    Conflict {
        /// The commit that came first.
        with: Seq,
    },
    /// A key is locked by another transaction. Nothing was done; run it again.
    #[error("another transaction has locked the row")]
    Locked,
    /// A row that another transaction has locked stayed so for as long as the call was to wait. Nothing
    /// was done; a transaction goes on.
    #[error("the row stayed locked by another transaction for as long as was to be waited")]
    RowBusy,
    /// Waiting for a row lock would have closed a circle of transactions that wait for each other.
    #[error("transactions wait for each other in a circle")]
    Deadlock,
    /// So many commits came since the transaction began that it cannot be checked any more.
    #[error("the transaction is too old to be checked against others")]
    TooOld,
    /// A write in a read-only transaction.
    #[error("the transaction is read-only")]
    ReadOnly,
    /// No savepoint of that name is open.
    #[error("there is no such savepoint")]
    NoSuchSavepoint,
    /// `Limits::txn_savepoints_max` is reached.
    #[error("at most {max} savepoints can be open in a transaction")]
    TooManySavepoints {
        /// The limit.
        max: usize,
    },
    /// `Limits::row_locks_max` is reached.
    #[error("a transaction holds at most {max} row locks")]
    TooManyLocks {
        /// The limit.
        max: usize,
    },
    /// `Limits::lock_waiters_max` is reached.
    #[error("at most {max} transactions can wait for one row")]
    TooManyWaiters {
        /// The limit.
        max: usize,
    },
    /// The feed does not reach back so far.
    #[error("commits before {oldest} are no longer kept")]
    FeedGone {
        /// The oldest commit that it has.
        oldest: Seq,
    },
    /// The feed was asked for what comes after a commit that this store does not have: it was lost, or
    /// it is another store's.
    #[error("the newest commit is {newest}: what was asked for comes after one that is not here")]
    FeedAhead {
        /// The newest commit.
        newest: Seq,
    },
    /// `Limits::feeds_max` is reached.
    #[error("at most {max} can follow the commits")]
    TooManyFeeds {
        /// The limit.
        max: usize,
    },
    /// `Limits::watched_max` is reached.
    #[error("at most {max} keys and ranges can be watched")]
    TooManyWatched {
        /// The limit.
        max: usize,
    },
    /// A decision at commit time refused, for example an addition past the range of its type.
    #[error("a change could not be combined with the newest version")]
    Merge(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The caller's deadline passed while the commit waited to become visible.
    #[error("the deadline passed")]
    Deadline,
}

impl TxnError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// The machine word.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Engine(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Codec(CodecError::KeyTooLong { .. } | CodecError::TooLong { .. })
            | Self::BatchTooLarge { .. }
            | Self::TooManySavepoints { .. }
            | Self::TooManyLocks { .. } => Code::TooLarge,
            Self::Conflict { .. } | Self::Locked => Code::SerializationFailure,
            Self::Deadlock => Code::Deadlock,
            Self::FeedGone { .. } | Self::FeedAhead { .. } => Code::Gone,
            Self::TooManyWaiters { .. }
            | Self::TooManyWatched { .. }
            | Self::TooManyFeeds { .. } => Code::PoolExhausted,
            Self::TooOld => Code::SnapshotTooOld,
            Self::ReadOnly => Code::InvalidRequest,
            Self::NoSuchSavepoint => Code::NotFound,
            Self::Merge(_) => Code::InvalidValue,
            Self::Codec(_) | Self::LogGap { .. } => Code::Corrupt,
            Self::Closed => Code::ShuttingDown,
            // Not `DiskFull`, which says that nothing was written.
            Self::Undecided => Code::Timeout,
            Self::Deadline | Self::RowBusy => Code::DeadlineExceeded,
        }
    }
}
