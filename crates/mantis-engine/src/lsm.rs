//! The LSM engine: memtables above immutable tables on disk.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use mantis_env::{Env, TaskHandle};
use mantis_types::{Seq, WriteBatch};
use parking_lot::Mutex;

use crate::engine::{KeyRange, Placement};
use crate::view::{InMemory, View};
use crate::{
    BulkInfo, CheckpointInfo, Direction, Engine, EngineError, EngineStatus, FlushBarrier, Horizon,
    LsmOptions, Ready, Record, Scan, Snapshot,
};

mod bulk;
mod checkpoint;
mod compact;
mod flush;
mod hooks;
mod manifest;
mod partial;
mod pinned;
mod pressure;
mod shared;
mod tree;
mod verify;

pub use hooks::{Defect, Hooks, Point, Probe};
pub use verify::{RepairReport, VerifyReport, repair, verify};

#[cfg(test)]
mod tests;

use compact::Compactor;
use flush::Flusher;
use shared::Shared;

/// The durable engine. Commits live in memtables until a background task has flushed them into
/// tables; until then the log above has them.
///
/// Two background tasks belong to it, a flusher and a compactor; [`Engine::close`] ends them, and so
/// does dropping the engine.
#[derive(Debug)]
pub struct LsmEngine {
    shared: Arc<Shared>,
    /// Guards the tasks' handles, taken once at close. Longest hold: taking them.
    tasks: Mutex<Vec<TaskHandle>>,
}

impl LsmEngine {
    /// Opens the tables in `dir`, a directory of the engine's own, or creates them. Files that no
    /// manifest names are removed. Cost: reading the end of each table file.
    ///
    /// # Errors
    /// `Corrupt` naming the kind of file that is damaged, `Io`, `DiskFull`.
    pub fn open(env: &Env, dir: &Path, options: LsmOptions) -> Result<Self, EngineError> {
        let background = options.background;
        let shared = Arc::new(Shared::open(env, dir, options)?);
        let mut tasks = Vec::new();
        if background {
            let flusher = Box::new(Flusher::new(Arc::clone(&shared)));
            let compactor = Box::new(Compactor::new(Arc::clone(&shared)));
            let flusher = env.tasks().spawn("mantis-flush", flusher);
            let compactor = env.tasks().spawn("mantis-compact", compactor);
            shared.set_wakers(flusher.waker(), compactor.waker());
            tasks.extend([flusher, compactor]);
        }
        Ok(Self {
            shared,
            tasks: Mutex::new(tasks),
        })
    }
}

impl Shared {
    /// Reads at `seq`: row cache, memtables, tables.
    #[inline]
    fn read(&self, view: &View, seq: Seq, key: &[u8]) -> Result<Option<Record>, EngineError> {
        if let Some(record) = self.rows.get(view.loads, seq, key) {
            return Ok(Some(record));
        }
        match view.look(seq, key) {
            InMemory::Found(version) => Record::of_version(version).map(Some),
            InMemory::Absent => Ok(None),
            InMemory::InTables => self.read_tables(view, seq, key),
        }
    }

    fn read_tables(
        &self,
        view: &View,
        seq: Seq,
        key: &[u8],
    ) -> Result<Option<Record>, EngineError> {
        self.rows.misses.add(1);
        let noted = self.rows.note(view.loads, key);
        let found = view.get_from_tables(key)?;
        // A snapshot of unpublished commits sees more than others may: it fills nothing.
        if let (Some(noted), Some(record)) = (noted, &found)
            && seq <= self.horizon.get()
        {
            self.rows.fill(noted, seq, key, record);
        }
        Ok(found)
    }

    fn read_ready(&self, view: &View, seq: Seq, key: &[u8]) -> Result<Ready, EngineError> {
        if let Some(record) = self.rows.get(view.loads, seq, key) {
            return Ok(Ready::Found(record));
        }
        Ok(match view.look(seq, key) {
            InMemory::Found(version) => Ready::Found(Record::of_version(version)?),
            InMemory::Absent => Ready::Absent,
            InMemory::InTables => Ready::NeedsIo,
        })
    }
}

impl Engine for LsmEngine {
    fn admit(&self, bytes: u64) -> Result<(), EngineError> {
        self.shared.admit(bytes)
    }

    fn place(&self, seq: Seq, bytes: u64) -> Placement {
        self.shared.place(seq, bytes)
    }

    fn apply(&self, placement: &Placement, seq: Seq, batch: &WriteBatch) {
        self.shared.apply(placement, seq, batch);
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
            .with(|view| self.shared.read(view, snapshot.seq(), key))
    }

    fn get_ready(&self, snapshot: &Snapshot, key: &[u8]) -> Ready {
        let ready = EngineError::check_key(key).and_then(|()| {
            snapshot
                .held()
                .with(|view| self.shared.read_ready(view, snapshot.seq(), key))
        });
        // An error is told by `get`, which the caller asks next.
        ready.unwrap_or(Ready::NeedsIo)
    }

    fn multi_get(
        &self,
        snapshot: &Snapshot,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Record>>, EngineError> {
        snapshot.held().with(|view| {
            let read = |key: &&[u8]| {
                EngineError::check_key(key)?;
                self.shared.read(view, snapshot.seq(), key)
            };
            keys.iter().map(read).collect()
        })
    }

    fn get_latest(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        EngineError::check_key(key)?;
        let shared = &self.shared;
        shared
            .view
            .with_latest(&shared.horizon, |view, seq| shared.read(view, seq, key))
    }

    fn get_latest_ready(&self, key: &[u8]) -> Ready {
        let shared = &self.shared;
        let ready = EngineError::check_key(key).and_then(|()| {
            shared.view.with_latest(&shared.horizon, |view, seq| {
                shared.read_ready(view, seq, key)
            })
        });
        ready.unwrap_or(Ready::NeedsIo)
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
        self.shared.replay_from()
    }

    fn recover(&self, seq: Seq, batch: &WriteBatch) -> Result<(), EngineError> {
        self.check(batch)?;
        let bytes = batch.as_bytes().len() as u64;
        self.shared.make_room_for_replay()?;
        let renumber = self.shared.options.hooks.has(Defect::ReplayAtNewSeqs);
        let seq = if renumber { seq.next() } else { seq };
        let placement = self.place(seq, bytes);
        self.apply(&placement, seq, batch);
        self.shared.horizon.raise(seq);
        Ok(())
    }

    fn set_flush_barrier(&self, barrier: FlushBarrier) {
        self.shared.set_barrier(barrier);
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.shared.refuse_when_closed()?;
        self.shared.flush_all()
    }

    fn compact(&self) -> Result<(), EngineError> {
        self.shared.refuse_when_closed()?;
        self.shared.compact_all()
    }

    fn checkpoint(&self, dir: &Path) -> Result<CheckpointInfo, EngineError> {
        self.shared.checkpoint(dir)
    }

    fn bulk_load(
        &self,
        seq: Seq,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<BulkInfo, EngineError> {
        self.shared.refuse_when_closed()?;
        self.shared.bulk_load(seq, rows)
    }

    fn status(&self) -> EngineStatus {
        self.shared.status()
    }

    fn close(&self) -> Result<(), EngineError> {
        if self.shared.closed.swap(true, SeqCst) {
            return Ok(());
        }
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.stop_and_join();
        }
        self.shared.flush_all()
    }
}

/// Everything, for those who look at all of a table set.
const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);
