//! What can go wrong in an engine.

use std::io;

use mantis_types::{Code, CodecError, ErrorKind};
use thiserror::Error;

/// Which file of a store was found damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A sorted table.
    Table,
    /// The list of tables.
    Manifest,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Manifest => "table manifest",
        })
    }
}

/// Errors of the storage engines.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// An empty key, which no table can hold.
    #[error("a key must not be empty")]
    KeyEmpty,
    /// A key longer than a table can hold.
    #[error("a key of {len} bytes, at most {max} fit")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A key of database 0, which is the engine's own.
    #[error("a key belongs to the engine itself")]
    ReservedKey,
    /// A commit that no memtable of this size can take.
    #[error("a commit of {bytes} bytes, at most {max} fit into a memtable")]
    CommitTooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Rows of a bulk load that are not strictly ascending, or that newer commits have written.
    #[error("a bulk load was refused: {reason}")]
    BulkRefused {
        /// Which of its rules was broken.
        reason: &'static str,
    },
    /// The snapshot held so much that it was ended, by `LsmOptions::pinned_disk_bytes_max`.
    #[error("the snapshot is too old")]
    SnapshotTooOld,
    /// Free space is below `LsmOptions::free_bytes_min`, or the disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// A memory engine has reached `MemoryOptions::memory_bytes_max`.
    #[error("the memory limit of {max} bytes is reached")]
    MemoryFull {
        /// The limit in bytes.
        max: u64,
    },
    /// The engine could not write its memtables to disk in time.
    #[error("writes wait for the disk for too long")]
    Stalled,
    /// The commit log has failed for ever: what it does not have on disk must not enter tables.
    #[error("the commit log has failed")]
    LogFailed,
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// A file does not have the checksum or the form it was written with.
    #[error("a {file} is damaged")]
    Corrupt {
        /// What kind of file.
        file: FileKind,
        /// What was wrong with it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A record that cannot be read, although its file is whole.
    #[error("a record is not well formed")]
    BadRecord(#[source] CodecError),
    /// The operating system refused.
    #[error("{action} failed")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Something that only another engine can do.
    #[error("{0} is not supported by this engine")]
    Unsupported(&'static str),
    /// A state that should not exist.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// The machine word.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::KeyEmpty | Self::ReservedKey | Self::BulkRefused { .. } => Code::InvalidRequest,
            Self::KeyTooLong { .. } | Self::CommitTooLarge { .. } => Code::TooLarge,
            Self::SnapshotTooOld => Code::SnapshotTooOld,
            Self::DiskFull => Code::DiskFull,
            Self::MemoryFull { .. } => Code::OutOfMemory,
            Self::Stalled => Code::Timeout,
            Self::LogFailed => Code::SyncFailed,
            Self::Closed => Code::ShuttingDown,
            Self::Corrupt { .. } | Self::BadRecord(_) => Code::Corrupt,
            Self::Unsupported(_) => Code::NotImplemented,
            Self::Io { .. } | Self::Internal(_) => Code::Internal,
        }
    }

    /// Wraps an error of the operating system; a full disk becomes [`EngineError::DiskFull`].
    pub(crate) fn io(action: &'static str, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        if full {
            Self::DiskFull
        } else {
            Self::Io { action, source }
        }
    }

    /// Checks the length of a key that is about to be written or looked up.
    pub(crate) const fn check_key(key: &[u8]) -> Result<(), Self> {
        if key.is_empty() {
            return Err(Self::KeyEmpty);
        }
        if key.len() > mantis_types::KEY_BYTES_MAX {
            return Err(Self::KeyTooLong {
                len: key.len(),
                max: mantis_types::KEY_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// As [`Self::check_key`], and the key must not be the engine's own.
    pub(crate) const fn check_user_key(key: &[u8]) -> Result<(), Self> {
        if matches!(key.first(), Some(0)) {
            return Err(Self::ReservedKey);
        }
        Self::check_key(key)
    }
}
