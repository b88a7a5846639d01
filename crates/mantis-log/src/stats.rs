//! What the log counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_types::Seq;

/// Upper bounds of the group size histogram: records that one sync made durable.
pub const GROUP_BOUNDS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];
/// Upper bounds of the sync duration histogram, in microseconds.
pub const SYNC_BOUNDS_US: [u64; 14] = [
    20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000,
];

/// A histogram: how many values lay at or below each bound and above the one before; the last count
/// is for values above all bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds, ascending.
    pub bounds: &'static [u64],
    /// One count for each bound, and one more.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The state of a log at one moment; counts run from its opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStats {
    /// Records appended.
    pub records: u64,
    /// Bytes of records appended, headers included.
    pub bytes: u64,
    /// Write calls for records.
    pub writes: u64,
    /// Bytes of records written.
    pub bytes_written: u64,
    /// Syncs that moved the durable mark.
    pub syncs: u64,
    /// Records that each of them made durable.
    pub group_size: Histogram,
    /// How long they took, in microseconds.
    pub sync_us: Histogram,
    /// Segments that hold records now.
    pub segments: u64,
    /// Bytes of their files, what is written ahead in the newest included.
    pub segments_bytes: u64,
    /// Files written ahead that wait to be used now.
    pub spares: u64,
    /// Segments begun.
    pub segments_begun: u64,
    /// Segments begun in a small file because none was written ahead.
    pub segments_small: u64,
    /// Files written ahead.
    pub files_written_ahead: u64,
    /// Released segments whose file is kept for a later one.
    pub segments_recycled: u64,
    /// Released segments whose file was removed.
    pub segments_removed: u64,
    /// Segments that the archive took.
    pub segments_archived: u64,
    /// Calls of the archive that failed; each is repeated later.
    pub archive_failures: u64,
    /// Rounds of background work that failed; each is repeated later.
    pub background_failures: u64,
    /// Answers that the disk is full.
    pub disk_full: u64,
    /// Bytes that wait to be written.
    pub buffered: u64,
    /// Whether new records are refused for want of space, as far as is known.
    pub full: bool,
    /// The oldest record that can be read.
    pub oldest_seq: Seq,
    /// The newest record appended.
    pub last_seq: Seq,
    /// The newest record in the files.
    pub written_seq: Seq,
    /// The newest record on disk.
    pub durable_seq: Seq,
}

/// One number that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A histogram that many threads add to.
#[derive(Debug)]
pub(crate) struct Counts<const N: usize> {
    bounds: &'static [u64; N],
    counts: [Count; N],
    above: Count,
    sum: Count,
}

impl<const N: usize> Counts<N> {
    fn new(bounds: &'static [u64; N]) -> Self {
        let counts = std::array::from_fn(|_| Count::default());
        Self {
            bounds,
            counts,
            above: Count::default(),
            sum: Count::default(),
        }
    }

    pub(crate) fn add(&self, value: u64) {
        let below = self.bounds.iter().position(|bound| value <= *bound);
        below
            .and_then(|index| self.counts.get(index))
            .unwrap_or(&self.above)
            .add(1);
        self.sum.add(value);
    }

    pub(crate) fn get(&self) -> Histogram {
        let counts = self
            .counts
            .iter()
            .chain([&self.above])
            .map(Count::get)
            .collect();
        Histogram {
            bounds: self.bounds,
            counts,
            sum: self.sum.get(),
        }
    }
}

/// The running counts behind [`LogStats`].
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) writes: Count,
    pub(crate) bytes_written: Count,
    pub(crate) syncs: Count,
    pub(crate) group_size: Counts<{ GROUP_BOUNDS.len() }>,
    pub(crate) sync_us: Counts<{ SYNC_BOUNDS_US.len() }>,
    pub(crate) segments_begun: Count,
    pub(crate) segments_small: Count,
    pub(crate) files_written_ahead: Count,
    pub(crate) segments_recycled: Count,
    pub(crate) segments_removed: Count,
    pub(crate) segments_archived: Count,
    pub(crate) archive_failures: Count,
    pub(crate) background_failures: Count,
    pub(crate) disk_full: Count,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            writes: Count::default(),
            bytes_written: Count::default(),
            syncs: Count::default(),
            group_size: Counts::new(&GROUP_BOUNDS),
            sync_us: Counts::new(&SYNC_BOUNDS_US),
            segments_begun: Count::default(),
            segments_small: Count::default(),
            files_written_ahead: Count::default(),
            segments_recycled: Count::default(),
            segments_removed: Count::default(),
            segments_archived: Count::default(),
            archive_failures: Count::default(),
            background_failures: Count::default(),
            disk_full: Count::default(),
        }
    }

    pub(crate) fn synced(&self, records: u64, took: Duration) {
        self.syncs.add(1);
        self.group_size.add(records);
        self.sync_us
            .add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}
