//! What the LSM engine and its tasks share: the view and the one way to change it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use mantis_env::{Env, Waker};
use mantis_types::{Seq, WriteBatch};
use parking_lot::{Mutex, RwLock};

use super::hooks::Defect;
use super::manifest;
use super::partial::PartialFiles;
use super::pinned::Pinned;
use super::pressure::Pressure;
use super::tree::{TableSet, TableStore};
use crate::engine::Placement;
use crate::memtable::Memtable;
use crate::row_cache::RowCache;
use crate::view::{CurrentView, Tables, View};
use crate::{EngineError, EngineStatus, FlushBarrier, Horizon, LogReach, LsmOptions};

/// State of one open engine.
///
/// Lock order: `flushing` or `compacting`, `writers`, `refreshing`, `placing`, `changing_view`,
/// then those of [`Pinned`], [`PartialFiles`] and [`Pressure`], each alone.
pub(crate) struct Shared {
    pub(super) env: Env,
    pub(super) dir: PathBuf,
    pub(super) options: LsmOptions,
    pub(super) store: TableStore,
    pub(super) view: CurrentView,
    pub(super) horizon: Horizon,
    pub(super) rows: RowCache,
    pub(super) closed: AtomicBool,
    pub(super) pressure: Pressure,
    pub(super) pinned: Pinned,
    pub(super) partial: PartialFiles,
    pub(super) counts: Counts,
    /// The memtable that new commits go to; as in the view.
    active: ArcSwap<Memtable>,
    /// Guards sealing against placing; holds the newest Seq that was placed. Longest hold: one
    /// sealing, which swaps a view.
    placing: Mutex<Seq>,
    /// Guards the replacement of the view. Longest hold: building a view of some pointers.
    changing_view: Mutex<()>,
    /// Guards the order in which table sets enter the view. Longest hold: the tree's own locks,
    /// up to 115 ms; nobody on a read or write path takes it.
    refreshing: Mutex<()>,
    /// One flusher at a time. Longest hold: writing one memtable.
    pub(super) flushing: Mutex<()>,
    /// One compaction at a time. Longest hold: a whole compaction.
    pub(super) compacting: Mutex<()>,
    /// Held shared by whoever writes table files, alone by who removes partial ones.
    pub(super) writers: RwLock<()>,
    replay_from: AtomicU64,
    barrier: ArcSwapOption<FlushBarrier>,
    wakers: OnceLock<[Waker; 2]>,
}

/// What was done since the opening.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) flushes: AtomicU64,
    pub(super) flushed_bytes: AtomicU64,
    pub(super) flush_failures: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) compaction_failures: AtomicU64,
    pub(super) compacted_bytes: AtomicU64,
}

impl Shared {
    pub(super) fn open(env: &Env, dir: &Path, options: LsmOptions) -> Result<Self, EngineError> {
        if !options.hooks.has(Defect::TrustManifest) {
            manifest::check(dir)?;
        }
        manifest::remove_leftovers(dir)?;
        let store = TableStore::open(dir, &options)?;
        let tables = store.current()?;
        let replay_from = if options.hooks.has(Defect::ForgetMark) {
            Seq::new(1)
        } else {
            store.replay_mark(&tables)?
        };
        let active = Arc::new(Memtable::new(replay_from));
        let view = View {
            active: Arc::clone(&active),
            sealed: Vec::new(),
            tables: shown(tables, &options),
            loads: 0,
        };
        let seed = env.rng().next_u64();
        let shared = Self {
            env: env.clone(),
            dir: dir.to_owned(),
            store,
            view: CurrentView::new(view),
            horizon: Horizon::new(replay_from.prev()),
            rows: RowCache::new(options.memory.row_cache_bytes, seed),
            closed: AtomicBool::new(false),
            pressure: Pressure::new(),
            pinned: Pinned::new(),
            partial: PartialFiles::new(),
            counts: Counts::default(),
            active: ArcSwap::new(active),
            placing: Mutex::new(replay_from.prev()),
            changing_view: Mutex::new(()),
            refreshing: Mutex::new(()),
            flushing: Mutex::new(()),
            compacting: Mutex::new(()),
            writers: RwLock::new(()),
            replay_from: AtomicU64::new(replay_from.get()),
            barrier: ArcSwapOption::empty(),
            wakers: OnceLock::new(),
            options,
        };
        if shared.options.hooks.has(Defect::WriteIntoTree) {
            shared.store.write_by_hand(b"\x01by hand");
        }
        shared.look_at_free_space();
        Ok(shared)
    }

    pub(super) fn place(&self, seq: Seq, bytes: u64) -> Placement {
        let mut last = self.placing.lock();
        debug_assert!(seq > *last, "commits are placed in ascending order");
        let mut memtable = self.active.load_full();
        let full = memtable.bytes() + bytes > self.options.memory.memtable_bytes;
        // A batch larger than a memtable gets one of its own, but never an empty one before it.
        if full && *last >= memtable.start() {
            memtable = self.seal(&memtable, seq);
        }
        *last = seq;
        memtable.reserve(bytes);
        Placement { memtable }
    }

    /// Seals the active memtable: commits from `end` on go to a new one. The caller holds
    /// `placing`.
    fn seal(&self, old: &Arc<Memtable>, end: Seq) -> Arc<Memtable> {
        let next = Arc::new(Memtable::new(end));
        let changing = self.changing_view.lock();
        old.seal(end);
        let view = self.view.load();
        let mut sealed = Vec::with_capacity(view.sealed.len() + 1);
        sealed.push(Arc::clone(old));
        sealed.extend(view.sealed.iter().cloned());
        self.replace_view(View {
            active: Arc::clone(&next),
            sealed,
            ..View::clone(&view)
        });
        self.active.store(Arc::clone(&next));
        drop(changing);
        self.wake_flusher();
        next
    }

    /// Seals the active memtable if anything was placed in it; answers the end of the newest
    /// sealed one, if there is any to flush.
    pub(super) fn seal_for_flush(&self) -> Option<Seq> {
        let last = self.placing.lock();
        let active = self.active.load_full();
        if *last >= active.start() {
            self.seal(&active, last.next());
        }
        drop(last);
        self.view
            .load()
            .sealed
            .first()
            .map(|memtable| memtable.end())
    }

    pub(super) fn apply(&self, placement: &Placement, seq: Seq, batch: &WriteBatch) {
        let deaf = self.options.hooks.has(Defect::DeafRowCache);
        placement.memtable.apply(seq, batch, |version| {
            if !deaf {
                self.rows.announce(seq, version.key().key());
            }
        });
    }

    /// Swaps the tables of this moment into the view, and a flushed memtable out of it.
    pub(super) fn refresh(&self, flushed: Option<&Arc<Memtable>>) -> Result<(), EngineError> {
        self.refresh_with(flushed, None)
    }

    pub(super) fn refresh_with(
        &self,
        flushed: Option<&Arc<Memtable>>,
        loads: Option<u64>,
    ) -> Result<(), EngineError> {
        let refreshing = self.refreshing.lock();
        let tables = self.store.current()?;
        let changing = self.changing_view.lock();
        let mut view = View::clone(&self.view.load());
        view.tables = shown(tables, &self.options);
        view.loads = loads.unwrap_or(view.loads);
        if let Some(flushed) = flushed {
            view.sealed
                .retain(|memtable| !Arc::ptr_eq(memtable, flushed));
        }
        self.replace_view(view);
        drop(changing);
        drop(refreshing);
        self.account_pinned();
        self.look_at_level0();
        self.pressure.progress();
        Ok(())
    }

    /// Counts what old snapshots hold, and ends those that have held too much for too long.
    pub(super) fn account_pinned(&self) {
        let now = self.env.clock().monotonic();
        self.pinned.account(&self.view.load(), &self.options, now);
    }

    /// The caller holds `changing_view`.
    fn replace_view(&self, view: View) {
        let sealed_bytes = view.sealed.iter().map(|memtable| memtable.bytes()).sum();
        self.pressure.set_sealed(sealed_bytes);
        let now = self.env.clock().monotonic();
        self.pinned.retire(&self.view.store(view), now);
    }

    pub(super) fn active_bytes(&self) -> u64 {
        self.active.load().bytes()
    }

    pub(super) fn replay_from(&self) -> Seq {
        Seq::new(self.replay_from.load(SeqCst))
    }

    pub(super) fn flushed_below(&self, end: Seq) {
        self.replay_from.fetch_max(end.get(), SeqCst);
    }

    pub(super) fn set_barrier(&self, barrier: FlushBarrier) {
        self.barrier.store(Some(Arc::new(barrier)));
    }

    /// Whether the log has everything up to `last` on disk, as far as it was asked to promise.
    pub(super) fn log_reach(&self, last: Seq) -> LogReach {
        let barrier = self.barrier.load();
        barrier
            .as_ref()
            .map_or(LogReach::OnDisk, |barrier| barrier(last))
    }

    pub(super) fn set_wakers(&self, flusher: Waker, compactor: Waker) {
        self.wakers.get_or_init(|| [flusher, compactor]);
    }

    pub(super) fn wake_flusher(&self) {
        if let Some([flusher, _]) = self.wakers.get() {
            flusher.wake();
        }
    }

    pub(super) fn wake_compactor(&self) {
        if let Some([_, compactor]) = self.wakers.get() {
            compactor.wake();
        }
    }

    pub(super) fn refuse_when_closed(&self) -> Result<(), EngineError> {
        if self.closed.load(SeqCst) {
            Err(EngineError::Closed)
        } else {
            Ok(())
        }
    }

    pub(super) fn status(&self) -> EngineStatus {
        let view = self.view.load();
        self.account_pinned();
        let tree = self.store.figures();
        let visible_seq = self.horizon.get();
        let counts = &self.counts;
        let memtables = std::iter::once(&view.active).chain(&view.sealed);
        let memtable_bytes = memtables.map(|m| m.bytes()).sum::<u64>();
        let [pinned_memory_bytes, pinned_disk_bytes] = self.pinned.bytes();
        EngineStatus {
            visible_seq,
            replay_from: self.replay_from(),
            memtable_bytes: memtable_bytes + pinned_memory_bytes,
            memtables_sealed: view.sealed.len(),
            disk_bytes: tree.disk_bytes,
            tables: tree.tables,
            level0_runs: tree.level0_runs,
            table_entries: tree.entries,
            flushes: counts.flushes.load(Relaxed),
            flushed_bytes: counts.flushed_bytes.load(Relaxed),
            flush_failures: counts.flush_failures.load(Relaxed),
            compactions: counts.compactions.load(Relaxed),
            compaction_failures: counts.compaction_failures.load(Relaxed),
            compacted_bytes: counts.compacted_bytes.load(Relaxed),
            stall_seconds: self.pressure.stall_seconds(),
            stalls: self.pressure.stalls(),
            row_cache_hits: self.rows.hits.get(),
            row_cache_misses: self.rows.misses.get(),
            row_cache_bytes: self.rows.bytes(),
            block_cache_bytes: tree.cache_bytes,
            block_cache_hits: tree.block_hits,
            block_cache_misses: tree.block_misses,
            filter_skips: tree.filter_skips,
            snapshots: self.view.registry.len(),
            oldest_snapshot: self.view.registry.oldest().map(|seq| seq.min(visible_seq)),
            pinned_memory_bytes,
            pinned_disk_bytes,
            views_ended: self.pinned.ended(),
            versions_dropped: 0,
            free_bytes: self.pressure.free_bytes(),
            disk_full: self.pressure.disk_is_full(),
            failure: self.pressure.failure(),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LsmEngine")
            .field("view", &self.view)
            .field("visible", &self.horizon.get())
            .field("replay_from", &self.replay_from())
            .finish_non_exhaustive()
    }
}

/// The tables as a view shows them: none at all when there are none.
fn shown(tables: TableSet, options: &LsmOptions) -> Option<Arc<dyn Tables>> {
    let empty = tables.files.is_empty() && !options.hooks.has(Defect::ReadThroughTree);
    if empty { None } else { Some(Arc::new(tables)) }
}
