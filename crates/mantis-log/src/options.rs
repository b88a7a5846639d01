//! How a log is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mantis_types::Seq;

use crate::LogError;
use crate::archive::Archive;
use crate::layout::HEADER_BLOCK;

/// Called with the durable Seq each time it has moved.
pub type DurableHook = Arc<dyn Fn(Seq) + Send + Sync>;

/// Options of [`crate::Log::open`].
#[derive(Clone)]
pub struct LogOptions {
    /// Size of a segment file in bytes. Default 64 MiB, at least 8 KiB. Less is taken while the
    /// disk is nearly full; a record that is larger gets a segment of its own size.
    pub segment_bytes: u64,
    /// Longest time that a record stays off the disk when nobody asks for a sync. Default 100 ms.
    pub interval: Duration,
    /// What to do about damage. Default: refuse to open.
    pub mode: RecoveryMode,
    /// Called by the thread that moved the durable mark, before those who wait for it are woken.
    /// Must be short and must not call `sync` or `write`. Default: none.
    pub on_durable: Option<DurableHook>,
    /// Takes a copy of each finished segment before it may be recycled. Default: none.
    pub archive: Option<Arc<dyn Archive>>,
    /// Bytes that wait to be written at most. From a quarter of it on a task writes them out; at the
    /// limit `admit` does it itself. While they are written as many more may gather, and two emptied
    /// buffers of at most this size are kept until the log is at rest. Default 4 MiB; see
    /// [`LogOptions::buffer_within`].
    pub buffer_bytes_max: u64,
    /// The first Seq of a log that is made anew, and the first that must be there, whole, in one
    /// that exists: what stands before it is not read at open. Default 1.
    pub first_seq: Seq,
    /// Whether a log is made when there is none. Default: yes; otherwise `Absent`.
    pub create: bool,
    /// Bytes kept aside so that a full disk can still take what was promised. Default 8 MiB.
    pub reserve_bytes: u64,
    /// Bytes of segments that are kept, newest first, although nobody needs them any more: for readers
    /// that come back later. Default 0.
    pub retain_bytes: u64,
    /// The age at which such a segment goes all the same, counted from its end, or from the opening of
    /// the log if that came later. Default a day.
    pub retain_age: Duration,
    /// Free bytes of the disk below which no segment is written ahead, and new records are refused
    /// when the room at hand is used up. Default 16 MiB.
    pub min_free_bytes: u64,
}

/// What to do about damage at open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Refuse, and say where it is.
    #[default]
    Strict,
    /// Keep what is whole before the damage, put the rest aside and say what it was. Loses
    /// acknowledged commits: only on explicit request.
    Tolerant,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            interval: Duration::from_millis(100),
            mode: RecoveryMode::Strict,
            on_durable: None,
            archive: None,
            buffer_bytes_max: BUFFER_BYTES_MAX,
            first_seq: Seq::new(1),
            create: true,
            reserve_bytes: 8 << 20,
            retain_bytes: 0,
            retain_age: Duration::from_secs(86_400),
            min_free_bytes: 16 << 20,
        }
    }
}

/// What the buffer holds at most by default.
const BUFFER_BYTES_MAX: u64 = 4 << 20;
/// Less would make a write of each few commits.
const BUFFER_BYTES_MIN: u64 = 64 << 10;
/// The share of the memory of memtables that a buffer may have.
const BUFFER_SHARE: u64 = 16;

impl LogOptions {
    /// `buffer_bytes_max` for a store whose memtables have so many bytes: a sixteenth, and at most the
    /// default.
    #[must_use]
    pub fn buffer_within(memtables_bytes: u64) -> u64 {
        (memtables_bytes / BUFFER_SHARE).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX)
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let bad = |option, why| Err(LogError::BadOption { option, why });
        if self.segment_bytes < 2 * HEADER_BLOCK || !self.segment_bytes.is_multiple_of(512) {
            return bad("segment_bytes", "at least 8192 and a multiple of 512");
        }
        if self.interval.is_zero() {
            return bad("interval", "must not be zero");
        }
        if self.buffer_bytes_max == 0 {
            return bad("buffer_bytes_max", "must not be zero");
        }
        if self.first_seq == Seq::ZERO {
            return bad("first_seq", "Seqs begin at 1");
        }
        Ok(())
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("interval", &self.interval)
            .field("mode", &self.mode)
            .field("on_durable", &self.on_durable.is_some())
            .field("archive", &self.archive)
            .field("buffer_bytes_max", &self.buffer_bytes_max)
            .field("first_seq", &self.first_seq)
            .field("create", &self.create)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("retain_bytes", &self.retain_bytes)
            .field("retain_age", &self.retain_age)
            .field("min_free_bytes", &self.min_free_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_a_small_share_of_the_memory_at_hand() {
        let mib = 1 << 20;
        assert_eq!(LogOptions::buffer_within(16 * mib), mib);
        assert_eq!(LogOptions::buffer_within(64 * mib), 4 * mib);
        assert_eq!(LogOptions::buffer_within(1 << 40), 4 * mib);
        assert_eq!(LogOptions::buffer_within(0), 64 << 10);
    }
}
