//! What an engine tells about itself.

use mantis_types::Seq;

/// A moment's figures of an engine; all counters run from its opening. Each is counted where the
/// thing happens; what an engine does not have stays zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineStatus {
    /// Newest published commit.
    pub visible_seq: Seq,
    /// First commit that is not in tables yet.
    pub replay_from: Seq,
    /// Bytes of memory in all live memtables, overhead included.
    pub memtable_bytes: u64,
    /// Memtables that wait for their flush.
    pub memtables_sealed: usize,
    /// Bytes of the current tables on disk.
    pub disk_bytes: u64,
    /// Current tables.
    pub tables: usize,
    /// Sorted runs in level 0: every one of them costs each read.
    pub level0_runs: usize,
    /// Entries in tables, older versions and deletes included.
    pub table_entries: u64,
    /// Memtables written to tables.
    pub flushes: u64,
    /// Bytes (uncompressed) that flushes wrote.
    pub flushed_bytes: u64,
    /// Flushes that failed and were tried again.
    pub flush_failures: u64,
    /// Compactions that changed tables.
    pub compactions: u64,
    /// Compactions that failed and were tried again.
    pub compaction_failures: u64,
    /// Bytes of table files that compactions made.
    pub compacted_bytes: u64,
    /// Time that writers were held back, all together.
    pub stall_seconds: f64,
    /// How often a writer was held back.
    pub stalls: u64,
    /// Reads answered by the row cache.
    pub row_cache_hits: u64,
    /// Reads that had to look into tables.
    pub row_cache_misses: u64,
    /// Bytes in the row cache.
    pub row_cache_bytes: u64,
    /// Bytes in the block cache (data, index and filter blocks).
    pub block_cache_bytes: u64,
    /// Blocks found in the block cache.
    pub block_cache_hits: u64,
    /// Blocks read from disk.
    pub block_cache_misses: u64,
    /// Table look-ups that a bloom filter saved.
    pub filter_skips: u64,
    /// Snapshots that are held now.
    pub snapshots: usize,
    /// Oldest Seq that a held snapshot reads at.
    pub oldest_snapshot: Option<Seq>,
    /// Memory that only older snapshots hold.
    pub pinned_memory_bytes: u64,
    /// Disk space that only older snapshots hold.
    pub pinned_disk_bytes: u64,
    /// Snapshots' views that were ended by the limit on pinned bytes.
    pub views_ended: u64,
    /// Obsolete versions that a memory engine has dropped.
    pub versions_dropped: u64,
    /// Free bytes on the store's disk when last looked; `None` in memory.
    pub free_bytes: Option<u64>,
    /// Whether writes are refused for want of disk space.
    pub disk_full: bool,
    /// Why background work stopped for good, if it did.
    pub failure: Option<String>,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The log is needed from this commit on.
    pub replay_from: Seq,
    /// Table files, hard links to the store's own.
    pub tables: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What a bulk load did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkInfo {
    /// Rows written.
    pub rows: u64,
    /// Bytes of their keys and records.
    pub bytes: u64,
}
