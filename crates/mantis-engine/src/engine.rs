//! The engine as everything above sees it.

use std::fmt::Debug;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use mantis_types::{Seq, WriteBatch};

use crate::memtable::Memtable;
use crate::{
    BulkInfo, CheckpointInfo, EngineError, EngineStatus, Horizon, Key, Record, Scan, Snapshot,
};

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// A range of encoded keys.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Called with a Seq before the first byte of a flush that holds commits up to it: says whether the
/// log has them on disk. Without it, a power cut could leave tables that know commits of class `none`
/// which the log has lost.
pub type FlushBarrier = Arc<dyn Fn(Seq) -> LogReach + Send + Sync>;

/// How far the log has come, as a flush asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReach {
    /// It has the commits on disk.
    OnDisk,
    /// Not yet: the flush tries again soon.
    NotYet,
    /// It has failed and never will: the flush answers `LogFailed`.
    Never,
}

/// Where a commit goes: it holds the memtable that was active when the commit got its Seq.
#[derive(Clone, Debug)]
pub struct Placement {
    pub(crate) memtable: Arc<Memtable>,
}

/// A read that does no I/O.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The record that the snapshot sees.
    Found(Record),
    /// The key has no record at the snapshot.
    Absent,
    /// A table may hold it: ask [`Engine::get`] from a thread that may block.
    NeedsIo,
}

/// Storage of versioned records in key order.
///
/// Writes come from one commit pipeline: [`Self::admit`] before it, [`Self::place`] inside its
/// critical section, [`Self::apply`] after that, in parallel; then it moves [`Self::horizon`].
/// Reads come from anywhere. Methods that may touch a disk block; none needs a runtime.
pub trait Engine: Send + Sync + Debug {
    /// Holds the caller back while the engine is behind, smoothly: microseconds first, more as it
    /// falls further behind. Called before the critical section, with the size of the batch.
    ///
    /// # Errors
    /// `DiskFull` while free space is below the low-water mark, `MemoryFull`, `CommitTooLarge`,
    /// `Stalled` after `LsmOptions::stall_wait_max`, `Closed`.
    fn admit(&self, bytes: u64) -> Result<(), EngineError>;

    /// Whether every key of the batch may be written. [`Self::apply`] takes only such batches: it
    /// cannot refuse any more.
    ///
    /// # Errors
    /// `KeyEmpty`, `KeyTooLong`, `ReservedKey` for keys of database 0.
    fn check(&self, batch: &WriteBatch) -> Result<(), EngineError> {
        batch
            .ops()
            .try_for_each(|(key, _)| EngineError::check_user_key(key))
    }

    /// Takes the place of commit `seq` of `bytes` bytes. O(1), waits for nobody; seals the active
    /// memtable first when it is full. To be called by one caller at a time, with ascending Seqs.
    fn place(&self, seq: Seq, bytes: u64) -> Placement;

    /// Inserts the batch at `seq` and stamps `seq` into its records. Calls of different commits may
    /// run at the same time. Cannot fail; the commit is not visible before the horizon reaches it.
    fn apply(&self, placement: &Placement, seq: Seq, batch: &WriteBatch);

    /// The edge of what readers see.
    fn horizon(&self) -> &Horizon;

    /// A snapshot of what is published. O(1); holds the memtables and tables of this moment.
    fn snapshot(&self) -> Snapshot;

    /// A snapshot of everything applied, published or not. Meaningful only for keys whose latch the
    /// caller holds, and for as long as it holds it.
    fn snapshot_applied(&self) -> Snapshot;

    /// The record of `key` at the snapshot. Blocks when a table must be read.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `SnapshotTooOld`, `KeyEmpty`, `KeyTooLong`.
    fn get(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<Record>, EngineError>;

    /// As [`Self::get`], as far as memtables and row cache know. Never blocks.
    fn get_ready(&self, snapshot: &Snapshot, key: &[u8]) -> Ready;

    /// The records of several keys, in their order.
    ///
    /// # Errors
    /// As [`Self::get`]; the first error ends it.
    fn multi_get(
        &self,
        snapshot: &Snapshot,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Record>>, EngineError> {
        keys.iter().map(|key| self.get(snapshot, key)).collect()
    }

    /// The newest published record of `key`; as [`Self::get`] at a new snapshot, a little cheaper.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn get_latest(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        self.get(&self.snapshot(), key)
    }

    /// As [`Self::get_ready`] for the newest published record.
    fn get_latest_ready(&self, key: &[u8]) -> Ready {
        self.get_ready(&self.snapshot(), key)
    }

    /// The records of a range in key order. Nothing is read before the first item is asked for.
    ///
    /// # Errors
    /// None today; the items answer `Corrupt`, `Io`, `SnapshotTooOld`.
    fn scan(
        &self,
        snapshot: &Snapshot,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<Scan, EngineError>;

    /// The first commit that the tables do not hold: the log is needed from here on.
    fn replay_from(&self) -> Seq;

    /// Takes a commit out of the log again, at its old Seq, and publishes it. One thread, ascending
    /// Seqs, before any other write.
    ///
    /// # Errors
    /// As [`Self::admit`].
    fn recover(&self, seq: Seq, batch: &WriteBatch) -> Result<(), EngineError>;

    /// Registers the log's promise that flushes wait for; see [`FlushBarrier`].
    fn set_flush_barrier(&self, barrier: FlushBarrier);

    /// Writes everything that is published now to tables; waits for it.
    ///
    /// # Errors
    /// `DiskFull`, `Io`, `Corrupt`, `Closed`.
    fn flush(&self) -> Result<(), EngineError>;

    /// Merges all tables into one run (a memory engine: drops every obsolete version); waits for it.
    ///
    /// # Errors
    /// As [`Self::flush`].
    fn compact(&self) -> Result<(), EngineError>;

    /// Makes `dir`, which must not exist, a store of its own by hard links, and verifies it by
    /// opening it. Writers go on. With the log from `replay_from` on it is whole.
    ///
    /// # Errors
    /// `Unsupported` in memory, `DiskFull`, `Io`, `Corrupt`.
    fn checkpoint(&self, dir: &Path) -> Result<CheckpointInfo, EngineError>;

    /// Puts many rows in ascending key order, past memtables and log; all or nothing. They are
    /// durable when this answers, with `seq` in their headers. `seq` is the number of a commit of
    /// its own, which the caller publishes afterwards; readers may see the rows a moment earlier.
    /// The caller keeps writers away from these keys meanwhile (its latches).
    ///
    /// # Errors
    /// `BulkRefused` for rows out of order, keys of the engine, or a range that memtables hold keys
    /// of (flush first); `KeyEmpty`, `KeyTooLong`, `BadRecord`, `DiskFull`, `Io`, `Closed`.
    fn bulk_load(
        &self,
        seq: Seq,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<BulkInfo, EngineError>;

    /// Figures of this moment.
    fn status(&self) -> EngineStatus;

    /// Flushes, ends the background tasks and waits for them. Reads go on, writes answer `Closed`.
    /// A second call does nothing.
    ///
    /// # Errors
    /// What the last flush answered; the log still has what it could not write.
    fn close(&self) -> Result<(), EngineError>;
}

/// A key and its record.
pub(crate) type Row = (Key, Record);
