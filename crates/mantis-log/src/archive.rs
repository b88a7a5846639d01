//! The archive hook: each finished segment is handed on before it may be recycled.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use mantis_types::Seq;

/// Takes copies of finished segments: for point-in-time restore, or for replicas far behind.
pub trait Archive: Debug + Send + Sync {
    /// Copies one segment and makes the copy durable. Called on a background task, oldest segment
    /// first, one at a time; after a restart the segments still at hand are handed over again, so it
    /// must be fine to get one twice. May block.
    ///
    /// # Errors
    /// Any: the segment is kept, and handed over again after a while.
    fn keep(&self, segment: &FinishedSegment) -> io::Result<()>;
}

/// A segment that is not written to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSegment {
    /// Its number.
    pub number: u64,
    /// Its first record.
    pub first_seq: Seq,
    /// Its last record.
    pub last_seq: Seq,
    /// Where it stands; the file stays until the call has answered.
    pub path: PathBuf,
}
