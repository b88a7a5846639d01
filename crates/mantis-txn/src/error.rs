//! What can go wrong between a batch and its answer.

use mantis_engine::EngineError;
use mantis_log::LogError;
use mantis_types::{Code, CodecError, ErrorKind};
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
            | Self::BatchTooLarge { .. } => Code::TooLarge,
            Self::Codec(_) | Self::LogGap { .. } => Code::Corrupt,
            Self::Closed => Code::ShuttingDown,
            // Not `DiskFull`, which says that nothing was written.
            Self::Undecided => Code::Timeout,
            Self::Deadline => Code::DeadlineExceeded,
        }
    }
}
