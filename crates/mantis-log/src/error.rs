//! What can go wrong with the log, and what the caller should do then.

use std::fmt;
use std::io;
use std::sync::Arc;

use mantis_types::{Code, ErrorKind, Seq};
use thiserror::Error;

/// Errors of the commit log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// A write or sync has failed, now or earlier: the log never writes again. What was not
    /// acknowledged by then may or may not be there after the log has been opened anew.
    #[error("the log does not write any more since {0}")]
    Poisoned(Poison),
    /// There is no room for a new segment. From `admit`: nothing has been done. From `write` and
    /// `sync`: the record stays queued and is written when space returns; its outcome is unknown.
    #[error("the disk is full")]
    DiskFull,
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
    /// What was written is not there any more as it was written.
    #[error("the log is damaged: {0}")]
    Damaged(Damage),
    /// The log does not reach back so far any more.
    #[error("the log begins at {oldest}")]
    SeqGone {
        /// The oldest Seq that can still be read.
        oldest: Seq,
    },
    /// A record was appended out of order: a fault of the caller.
    #[error("record {got} appended where {expected} was due")]
    OutOfOrder {
        /// The Seq that was due.
        expected: Seq,
        /// The Seq that came.
        got: Seq,
    },
    /// The record is larger than [`crate::RECORD_BYTES_MAX`].
    #[error("a record of {bytes} bytes, at most {max} are taken")]
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A later program wrote it.
    #[error("log format {found}, at most {known} is known")]
    LaterFormat {
        /// The version found.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// There is no log, and none was to be made.
    #[error("there is no log")]
    Absent,
    /// An option has a value that cannot work.
    #[error("option {option}: {why}")]
    BadOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file system failed outside of the write path.
    #[error("the file system failed to {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl LogError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// The machine word.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Poisoned(_) => Code::SyncFailed,
            Self::DiskFull => Code::DiskFull,
            Self::Closed => Code::ShuttingDown,
            Self::Damaged(_) => Code::Corrupt,
            Self::SeqGone { .. } | Self::Absent => Code::NotFound,
            Self::OutOfOrder { .. } | Self::Io { .. } => Code::Internal,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::LaterFormat { .. } => Code::NotImplemented,
            Self::BadOption { .. } => Code::InvalidValue,
        }
    }

    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io { action, source },
        }
    }
}

/// Why the log stopped writing.
#[derive(Clone, Debug)]
pub struct Poison {
    /// What was being done.
    pub action: &'static str,
    /// The system's answer, if it was the system.
    pub source: Option<Arc<io::Error>>,
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "it failed to {}: {source}", self.action),
            None => write!(f, "it failed to {}", self.action),
        }
    }
}

/// A place in the log that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u64,
    /// Where in the segment's file.
    pub offset: u64,
    /// The first Seq that cannot be read because of it.
    pub seq: Seq,
    /// What is wrong.
    pub what: Fault,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            offset,
            seq,
            what,
        } = self;
        write!(
            f,
            "{what} in segment {segment} at offset {offset}, where Seq {seq} was due"
        )
    }
}

/// What is wrong with a place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A record's header or body does not have its checksum.
    BadRecord,
    /// An intact record that does not follow the one before it.
    OutOfPlace,
    /// The block at the segment's beginning does not have its checksum.
    BadHeader,
    /// An intact segment that does not follow the one before it.
    WrongSegment,
    /// The segment is not there.
    MissingSegment,
    /// The segment ends before its end was written.
    Short,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRecord => "a record without its checksum",
            Self::OutOfPlace => "a record that does not follow the one before",
            Self::BadHeader => "a segment header without its checksum",
            Self::WrongSegment => "a segment that does not follow the one before",
            Self::MissingSegment => "a missing segment",
            Self::Short => "a segment cut short",
        })
    }
}
