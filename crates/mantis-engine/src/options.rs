//! The options of both engines, each with what it caps and what happens at the limit.

use std::time::Duration;

/// How the memory budget of an [`crate::LsmEngine`] is divided. The parts are shares of the whole:
///
/// | part | share | what happens at the limit |
/// |---|---|---|
/// | memtables | 1/2 | an active one and up to three that wait for the disk: writers are held back |
/// | block cache | 3/16 | evicts; index and filter blocks live in it, too |
/// | row cache | 1/8 | evicts |
/// | work | 3/16 | buffers of flush and compaction, table descriptors, the allocator's losses |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes of one memtable; it is sealed when it has so many.
    pub memtable_bytes: u64,
    /// Bytes of all memtables together, at which writers wait.
    pub memtables_bytes_max: u64,
    /// Capacity of the block cache in bytes.
    pub block_cache_bytes: u64,
    /// Capacity of the row cache in bytes. 512 KiB of it are marks of recent writes; with less than
    /// that there is no row cache.
    pub row_cache_bytes: u64,
}

impl MemoryBudget {
    /// Divides `bytes` as the table above says.
    #[must_use]
    pub const fn divide(bytes: u64) -> Self {
        Self {
            memtable_bytes: bytes / 8,
            memtables_bytes_max: bytes / 2,
            block_cache_bytes: bytes / 16 * 3,
            row_cache_bytes: bytes / 8,
        }
    }

    /// Divides a budget for memtables and one for caches, as `--buffer-size` and `--cache-size`
    /// give them: 2/5 of the caches' is the row cache. The work buffers come on top.
    #[must_use]
    pub const fn from_parts(buffer_bytes: u64, cache_bytes: u64) -> Self {
        let row_cache_bytes = cache_bytes / 5 * 2;
        Self {
            memtable_bytes: buffer_bytes / 4,
            memtables_bytes_max: buffer_bytes,
            block_cache_bytes: cache_bytes - row_cache_bytes,
            row_cache_bytes,
        }
    }
}

/// Options of an [`crate::LsmEngine`].
#[derive(Clone, Debug)]
pub struct LsmOptions {
    /// The memory budget. Default: [`MemoryBudget::divide`] of 256 MiB.
    pub memory: MemoryBudget,
    /// Free bytes on the disk below which writes are refused with `DiskFull`, until there are a
    /// quarter more than that. 0 means never. Default 64 MiB.
    pub free_bytes_min: u64,
    /// Bytes of memtables that old snapshots alone may hold; beyond, the oldest of them end with
    /// `SnapshotTooOld`. It counts against the memtables' budget, too: writers are slowed down
    /// meanwhile. Default: three quarters of that budget.
    pub pinned_memory_bytes_max: u64,
    /// Bytes of table files that old snapshots alone may hold; beyond, the oldest of them end with
    /// `SnapshotTooOld`. Default 8 GiB.
    pub pinned_disk_bytes_max: u64,
    /// How long a snapshot may hold what others have replaced before those limits end it. Meanwhile
    /// writers are held back instead. Default 2 s.
    pub snapshot_grace: Duration,
    /// How long a writer is held back at most before it is told `Stalled`. Default 30 s.
    pub stall_wait_max: Duration,
    /// Runs in level 0 from which writers are slowed down. Default 12.
    pub level0_runs_soft: usize,
    /// Runs in level 0 at which writers wait for a compaction. Default 32.
    pub level0_runs_hard: usize,
    /// Open table files that are kept. Default 256.
    pub open_files_max: usize,
    /// Size of table files that compactions aim at. Default 64 MiB, at most a quarter of the
    /// budget for memtables and caches, at least 1 MiB.
    pub table_bytes: u64,
    /// How long the background tasks wait after a failure before they try again. Default 200 ms.
    pub retry_pause: Duration,
    /// How often free space is looked at. Default 500 ms.
    pub free_space_pause: Duration,
    /// Whether flushes and compactions run by themselves. Off, only [`crate::Engine::flush`] and
    /// [`crate::Engine::compact`] run them, in the caller's thread, and writers are not held back:
    /// for tools and tests. Default on.
    pub background: bool,
    /// Fault points for tests; none by default.
    #[doc(hidden)]
    pub hooks: crate::Hooks,
}

impl LsmOptions {
    /// The defaults with another memory budget in bytes.
    #[must_use]
    pub fn with_memory(bytes: u64) -> Self {
        Self::with_budget(MemoryBudget::divide(bytes))
    }

    /// The defaults with another division of memory.
    #[must_use]
    pub fn with_budget(memory: MemoryBudget) -> Self {
        let managed =
            memory.memtables_bytes_max + memory.block_cache_bytes + memory.row_cache_bytes;
        Self {
            memory,
            free_bytes_min: 64 << 20,
            pinned_memory_bytes_max: memory.memtables_bytes_max / 4 * 3,
            pinned_disk_bytes_max: 8 << 30,
            snapshot_grace: Duration::from_secs(2),
            stall_wait_max: Duration::from_secs(30),
            level0_runs_soft: 12,
            level0_runs_hard: 32,
            open_files_max: 256,
            table_bytes: (managed / 4).clamp(1 << 20, 64 << 20),
            retry_pause: Duration::from_millis(200),
            free_space_pause: Duration::from_millis(500),
            background: true,
            hooks: crate::Hooks::default(),
        }
    }
}

impl Default for LsmOptions {
    fn default() -> Self {
        Self::with_memory(256 << 20)
    }
}

/// Options of a [`crate::MemoryEngine`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes of all versions, overhead included; beyond, obsolete ones are dropped at once, and if
    /// that is not enough, writes answer `MemoryFull`. Default: no limit.
    pub memory_bytes_max: u64,
    /// Obsolete versions that may gather before a collection starts, as a share of 1/`n` of the
    /// live entries (and at least 1,024). Default 4.
    pub garbage_share: u64,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            memory_bytes_max: u64::MAX,
            garbage_share: 4,
        }
    }
}
