//! The memory engine: one memtable for everything, whose obsolete versions are dropped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use mantis_env::{Env, Step, Task, TaskHandle};
use mantis_types::{RecordView, Seq, WriteBatch, WriteBatchBuilder};
use parking_lot::Mutex;

use crate::engine::{KeyRange, Placement};
use crate::memtable::{Memtable, VersionEntry};
use crate::view::{CurrentView, InMemory, View};
use crate::{
    BulkInfo, CheckpointInfo, Direction, Engine, EngineError, EngineStatus, FlushBarrier, Horizon,
    MemoryOptions, Ready, Record, Scan, Snapshot,
};

mod collector;

use collector::{Collector, Needed};

/// Obsolete versions that are never worth a collection.
const GARBAGE_MIN: u64 = 1024;
/// How often the collector looks whether there is something to do.
const PAUSE: Duration = Duration::from_millis(20);

/// An engine without files: the memtable of [`crate::LsmEngine`] and nothing below it.
///
/// Every put leaves the version before it in the skiplist until no snapshot sees it any more; a
/// background task then takes it out, so that memory follows the live data.
#[derive(Debug)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
    /// Guards the task's handle, taken once at close. Longest hold: taking it.
    task: Mutex<Option<TaskHandle>>,
}

/// What the engine and its collector share.
#[derive(Debug)]
pub(crate) struct Shared {
    memtable: Arc<Memtable>,
    view: CurrentView,
    horizon: Horizon,
    options: MemoryOptions,
    /// Versions that a newer one, or nothing at all, has made obsolete since they were counted.
    garbage: AtomicU64,
    /// Obsolete versions that the last walk left, because snapshots still see them.
    held: AtomicU64,
    /// The snapshots that the last walk found, as a hash.
    walked: AtomicU64,
    dropped: AtomicU64,
    closed: AtomicBool,
    collector: Collector,
}

impl MemoryEngine {
    /// An empty engine, with its background task.
    #[must_use]
    pub fn new(env: &Env, options: MemoryOptions) -> Self {
        let memtable = Arc::new(Memtable::new(Seq::new(1)));
        let active = Arc::clone(&memtable);
        let shared = Shared {
            memtable,
            view: CurrentView::new(View {
                active,
                sealed: Vec::new(),
                tables: None,
                loads: 0,
            }),
            horizon: Horizon::new(Seq::ZERO),
            options,
            garbage: AtomicU64::new(0),
            held: AtomicU64::new(0),
            walked: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            collector: Collector::new(),
        };
        let shared = Arc::new(shared);
        let collection = Box::new(Collection {
            shared: Arc::clone(&shared),
        });
        let task = env.tasks().spawn("mantis-collect", collection);
        Self {
            shared,
            task: Mutex::new(Some(task)),
        }
    }
}

/// The background task that drops obsolete versions.
struct Collection {
    shared: Arc<Shared>,
}

impl Task for Collection {
    fn step(&mut self) -> Step {
        let under_way = self.shared.collector.under_way();
        if !under_way && !self.shared.collection_is_due() {
            return Step::Wait(PAUSE);
        }
        let ended = self.shared.collector.step(&self.shared);
        if ended {
            Step::Wait(PAUSE)
        } else {
            Step::Again
        }
    }
}

impl Shared {
    /// What snapshots see, held ones and those to come.
    fn needed(&self) -> Needed {
        // The horizon first: a snapshot taken after this line is at it or later.
        let visible = self.horizon.get().get();
        Needed {
            visible,
            held: self.view.registry.held(),
        }
    }

    fn note(&self, version: &VersionEntry<'_>) {
        let superseded = version
            .next()
            .is_some_and(|older| older.key().same_key(version.key()));
        let tombstone = version.key().is_delete();
        let obsolete = u64::from(superseded) + u64::from(tombstone);
        if obsolete > 0 {
            self.garbage.fetch_add(obsolete, Relaxed);
        }
    }

    fn collection_is_due(&self) -> bool {
        let live = self.memtable.versions.len() as u64;
        let share = live / self.options.garbage_share.max(1);
        let worth_it = share.max(GARBAGE_MIN);
        self.garbage.load(Relaxed) >= worth_it || self.held_are_free(worth_it)
    }

    /// Whether so many versions were left by the last walk, and other snapshots are held by now.
    fn held_are_free(&self, count: u64) -> bool {
        let changed = || self.needed().fingerprint() != self.walked.load(Relaxed);
        self.held.load(Relaxed) >= count && changed()
    }

    fn collect_all(&self) {
        self.collector.run_to_end(self);
    }
}

impl Engine for MemoryEngine {
    fn admit(&self, bytes: u64) -> Result<(), EngineError> {
        let shared = &self.shared;
        if shared.closed.load(SeqCst) {
            return Err(EngineError::Closed);
        }
        let max = shared.options.memory_bytes_max;
        if shared.memtable.bytes().saturating_add(bytes) <= max {
            return Ok(());
        }
        if shared.garbage.load(Relaxed) == 0 && !shared.held_are_free(1) {
            return Err(EngineError::MemoryFull { max });
        }
        shared.collect_all();
        if shared.memtable.bytes().saturating_add(bytes) <= max {
            return Ok(());
        }
        Err(EngineError::MemoryFull { max })
    }

    fn place(&self, _seq: Seq, bytes: u64) -> Placement {
        self.shared.memtable.reserve(bytes);
        Placement {
            memtable: Arc::clone(&self.shared.memtable),
        }
    }

    fn apply(&self, placement: &Placement, seq: Seq, batch: &WriteBatch) {
        placement
            .memtable
            .apply(seq, batch, |version| self.shared.note(version));
    }

    fn horizon(&self) -> &Horizon {
        &self.shared.horizon
    }

    fn snapshot(&self) -> Snapshot {
        self.shared.view.snapshot(|| self.shared.horizon.get())
    }

    fn snapshot_applied(&self) -> Snapshot {
        self.shared.view.snapshot(|| Seq::MAX)
    }

    fn get(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<Record>, EngineError> {
        EngineError::check_key(key)?;
        snapshot
            .held()
            .with(|view| match view.look(snapshot.seq(), key) {
                InMemory::Found(version) => Record::of_version(version).map(Some),
                InMemory::Absent | InMemory::InTables => Ok(None),
            })
    }

    fn get_ready(&self, snapshot: &Snapshot, key: &[u8]) -> Ready {
        match self.get(snapshot, key) {
            Ok(Some(record)) => Ready::Found(record),
            Ok(None) => Ready::Absent,
            // The error is told by `get`.
            Err(_) => Ready::NeedsIo,
        }
    }

    fn scan(
        &self,
        snapshot: &Snapshot,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<Scan, EngineError> {
        Ok(Scan::new(snapshot.clone(), range, direction))
    }

    fn replay_from(&self) -> Seq {
        Seq::new(1)
    }

    fn recover(&self, seq: Seq, batch: &WriteBatch) -> Result<(), EngineError> {
        self.check(batch)?;
        let bytes = batch.as_bytes().len() as u64;
        self.admit(bytes)?;
        self.apply(&self.place(seq, bytes), seq, batch);
        self.shared.horizon.raise(seq);
        Ok(())
    }

    fn set_flush_barrier(&self, _barrier: FlushBarrier) {}

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn compact(&self) -> Result<(), EngineError> {
        self.shared.collect_all();
        Ok(())
    }

    fn checkpoint(&self, _dir: &Path) -> Result<CheckpointInfo, EngineError> {
        Err(EngineError::Unsupported("a checkpoint"))
    }

    fn bulk_load(
        &self,
        seq: Seq,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<BulkInfo, EngineError> {
        let mut batch = WriteBatchBuilder::default();
        let mut last: Option<Vec<u8>> = None;
        let mut info = BulkInfo { rows: 0, bytes: 0 };
        for (key, record) in rows {
            check_bulk_row(last.as_deref(), &key, &record)?;
            info.rows += 1;
            info.bytes += (key.len() + record.len()) as u64;
            batch.put(&key, &record).map_err(EngineError::BadRecord)?;
            last = Some(key);
        }
        if seq > self.shared.horizon.get() {
            return Err(EngineError::BulkRefused {
                reason: "its commit is not published",
            });
        }
        let batch = batch.finish();
        let bytes = batch.as_bytes().len() as u64;
        self.admit(bytes)?;
        self.apply(&self.place(seq, bytes), seq, &batch);
        Ok(info)
    }

    fn status(&self) -> EngineStatus {
        let shared = &self.shared;
        let visible_seq = shared.horizon.get();
        EngineStatus {
            visible_seq,
            replay_from: self.replay_from(),
            memtable_bytes: shared.memtable.bytes(),
            snapshots: shared.view.registry.len(),
            oldest_snapshot: shared
                .view
                .registry
                .oldest()
                .map(|seq| seq.min(visible_seq)),
            versions_dropped: shared.dropped.load(Relaxed),
            ..EngineStatus::default()
        }
    }

    fn close(&self) -> Result<(), EngineError> {
        self.shared.closed.store(true, SeqCst);
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.stop_and_join();
        }
        Ok(())
    }
}

/// The rules for rows of a bulk load.
pub(crate) fn check_bulk_row(
    last: Option<&[u8]>,
    key: &[u8],
    record: &[u8],
) -> Result<(), EngineError> {
    EngineError::check_key(key)?;
    if key.first() == Some(&0) {
        return Err(EngineError::BulkRefused {
            reason: "a key belongs to the engine",
        });
    }
    if last.is_some_and(|last| last >= key) {
        return Err(EngineError::BulkRefused {
            reason: "keys are not strictly ascending",
        });
    }
    RecordView::parse(record)
        .map(drop)
        .map_err(EngineError::BadRecord)
}
