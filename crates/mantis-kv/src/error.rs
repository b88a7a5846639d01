//! What can be wrong with a key-value request.

use mantis_engine::EngineError;
use mantis_txn::TxnError;
use mantis_types::{Code, CodecError, ErrorKind, Seq};
use thiserror::Error;

/// Errors of the key-value model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KvError {
    /// Something is larger or more than a limit allows.
    #[error("{limit} allows {max}, this is {given}")]
    TooLarge {
        /// The limit's name.
        limit: &'static str,
        /// What it allows.
        max: u64,
        /// What was given.
        given: u64,
    },
    /// The key holds a collection.
    #[error("the key holds a value of another type")]
    WrongType,
    /// An increment of a value that is no 64-bit integer.
    #[error("the value is not an integer")]
    NotAnInteger,
    /// An increment past the 64-bit range.
    #[error("the increment would overflow a 64-bit integer")]
    Overflow,
    /// An expiry span of zero, or beyond `Limits::ttl_seconds_max`.
    #[error("a time to live must be at least 1 ms and at most {max_seconds} seconds")]
    InvalidTtl {
        /// The limit in seconds.
        max_seconds: u64,
    },
    /// The condition of a write did not hold; nothing was changed.
    #[error("the condition does not hold for the stored version")]
    Precondition {
        /// The newest version; `None` when the key is absent.
        current: Option<Seq>,
    },
    /// An operation of an atomic batch failed; nothing was changed.
    #[error("operation {index} of the batch failed")]
    Aborted {
        /// Which one, from 0.
        index: usize,
        /// Why.
        #[source]
        cause: Box<KvError>,
    },
    /// A chunk of a large value is missing or damaged.
    #[error("a stored value is damaged")]
    Damaged,
    /// The transaction layer failed.
    #[error("the commit failed")]
    Txn(#[from] TxnError),
}

impl From<EngineError> for KvError {
    fn from(error: EngineError) -> Self {
        Self::Txn(error.into())
    }
}

impl From<CodecError> for KvError {
    fn from(error: CodecError) -> Self {
        Self::Txn(error.into())
    }
}

impl KvError {
    /// An increment's own refusal, out of what the transaction layer made of it.
    pub(crate) fn of_merge(error: TxnError) -> Self {
        match error {
            TxnError::Merge(cause) => match cause.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Txn(TxnError::Merge(other)),
            },
            error => Self::Txn(error),
        }
    }

    /// What the transaction layer answered, if the error comes from there.
    #[must_use]
    pub fn transaction_error(&self) -> Option<&TxnError> {
        match self {
            Self::Txn(error) => Some(error),
            Self::Aborted { cause, .. } => cause.transaction_error(),
            _ => None,
        }
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// The machine word.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } => Code::TooLarge,
            Self::WrongType | Self::NotAnInteger => Code::WrongType,
            Self::Overflow | Self::InvalidTtl { .. } => Code::InvalidValue,
            Self::Precondition { .. } => Code::PreconditionFailed,
            Self::Aborted { cause, .. } => match cause.kind() {
                ErrorKind::Precondition | ErrorKind::Conflict => Code::BatchAborted,
                _ => cause.code(),
            },
            Self::Damaged => Code::Corrupt,
            Self::Txn(error) => error.code(),
        }
    }
}
