//! The errors that front ends see: a kind, a code, and a text that is safe to show.

use mantis_engine::EngineError;
use mantis_kv::KvError;
use mantis_log::LogError;
use mantis_txn::TxnError;
use mantis_types::{Code, ErrorKind};
use thiserror::Error;

use crate::TransactionState;

/// Errors of the facade. `Display` never holds keys, values or paths.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The principal may not do this.
    #[error("{}", if *writes { "writing needs credentials" } else { "reading needs credentials" })]
    Forbidden {
        /// Whether it was a write.
        writes: bool,
    },
    /// The key-value model refused or failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The transaction layer failed.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// No transaction of that id, or one of another principal, or one that ended long ago.
    #[error("there is no such transaction")]
    NoSuchTransaction,
    /// The transaction has ended.
    #[error("the transaction is {state}")]
    Finished {
        /// How it ended.
        state: TransactionState,
    },
    /// The answer of a commit that had failed before, once more.
    #[error("the commit of the transaction had failed")]
    CommitFailed {
        /// Why.
        code: Code,
        /// It may have been done all the same.
        undecided: bool,
    },
    /// `Limits::transactions_max` transactions are open.
    #[error("at most {max} transactions can be open")]
    TooManyTransactions {
        /// The limit.
        max: usize,
    },
    /// `Limits::transaction_queue_max` requests wait for their turn in one transaction.
    #[error("at most {max} requests can wait for one transaction")]
    TooManyInTurn {
        /// The limit.
        max: usize,
    },
    /// The data directory is used by another process.
    #[error("the data directory is in use by another process{}", holder(*.process))]
    InUse {
        /// Its process id, where it left one.
        process: Option<u32>,
    },
    /// The directory holds something that is not a store, or a part of a store.
    #[error("the data directory is not a whole store: {what}")]
    NotAStore {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// A store of a later version.
    #[error("the store has format version {found}, this program reads up to {known}")]
    LaterFormat {
        /// What the store says.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// An option that cannot be.
    #[error("{option}: {why}")]
    BadOption {
        /// Which.
        option: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The file system refused.
    #[error("the file system refused to {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl From<EngineError> for SessionError {
    fn from(error: EngineError) -> Self {
        Self::Txn(error.into())
    }
}

impl From<LogError> for SessionError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Absent => Self::NotAStore {
                what: "its log is missing",
            },
            error => Self::Txn(error.into()),
        }
    }
}

impl SessionError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// Whether the same call, or the whole transaction, may succeed when it is made again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.kind().retryable()
    }

    /// The machine word.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Forbidden { .. } => Code::Forbidden,
            Self::Kv(error) => error.code(),
            Self::Txn(error) => error.code(),
            Self::NoSuchTransaction => Code::NotFound,
            Self::Finished { .. } => Code::TransactionFinished,
            Self::CommitFailed { code, .. } => *code,
            Self::TooManyTransactions { .. } | Self::TooManyInTurn { .. } => Code::PoolExhausted,
            Self::InUse { .. } => Code::Starting,
            Self::NotAStore { .. } => Code::Corrupt,
            Self::LaterFormat { .. } => Code::NotImplemented,
            Self::BadOption { .. } => Code::InvalidValue,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Code::DiskFull
            }
            Self::Io { .. } => Code::Internal,
        }
    }

    /// The limit that was passed, if one was.
    #[must_use]
    pub fn limit_name(&self) -> Option<&'static str> {
        fn of(error: &KvError) -> Option<&'static str> {
            match error {
                KvError::TooLarge { limit, .. } => Some(limit),
                KvError::Aborted { cause, .. } => of(cause),
                KvError::Txn(TxnError::BatchTooLarge { .. }) => Some("limits.batch_bytes_max"),
                _ => None,
            }
        }
        match self {
            Self::Kv(error) => of(error),
            Self::Txn(TxnError::BatchTooLarge { .. }) => Some("limits.batch_bytes_max"),
            Self::Txn(TxnError::TooManyFeeds { .. }) => Some("limits.feeds_max"),
            Self::Txn(TxnError::TooManySavepoints { .. }) => Some("limits.txn_savepoints_max"),
            Self::TooManyTransactions { .. } => Some("limits.transactions_max"),
            Self::TooManyInTurn { .. } => Some("limits.transaction_queue_max"),
            _ => None,
        }
    }

    /// Whether a row that another transaction has locked stayed so for as long as the call was to
    /// wait; nothing was done.
    #[must_use]
    pub fn is_row_busy(&self) -> bool {
        let error = match self {
            Self::Txn(error) => Some(error),
            Self::Kv(error) => error.transaction_error(),
            _ => None,
        };
        // Outside of transactions a deadline is asked for nothing else.
        matches!(error, Some(TxnError::RowBusy | TxnError::Deadline))
    }

    /// Whether a write that was refused so may have been done, or may be done yet.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(
            self,
            Self::Kv(KvError::Txn(TxnError::Undecided))
                | Self::Txn(TxnError::Undecided)
                | Self::CommitFailed {
                    undecided: true,
                    ..
                }
        )
    }

    /// The operation of an atomic batch that failed.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Kv(KvError::Aborted { index, .. }) => Some(*index),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_may_still_come_is_undecided_and_a_full_disk_is_not() {
        let undecided = SessionError::Kv(KvError::Txn(TxnError::Undecided));
        assert!(undecided.is_undecided());
        assert_eq!(undecided.code(), Code::Timeout);
        let full = SessionError::Kv(KvError::Txn(TxnError::Log(LogError::DiskFull)));
        assert!(!full.is_undecided());
        assert_eq!(full.code(), Code::DiskFull);
    }
}
