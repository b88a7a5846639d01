//! Views: what there was to read at one moment; and the snapshots that hold them.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use lsm_tree::Slice;
use mantis_types::Seq;

use crate::memtable::{Body, Lookup, Memtable, Version};
use crate::registry::{Registry, Slot};
use crate::{Direction, EngineError, Horizon, Record};

/// Rows of tables in one direction.
pub(crate) type TableRows = Box<dyn Iterator<Item = Result<(Slice, Slice), EngineError>> + Send>;

/// A set of immutable tables. It stays readable for as long as it is held.
pub(crate) trait Tables: Send + Sync + fmt::Debug {
    /// The newest record of `key`; `None` when there is none or it is deleted.
    fn get(&self, key: &[u8]) -> Result<Option<Slice>, EngineError>;
    /// The records of a range, deletes left out.
    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, direction: Direction) -> TableRows;
    /// Ids and sizes of its files.
    fn files(&self) -> Vec<(u64, u64)>;
}

/// Memtables and tables of one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) active: Arc<Memtable>,
    /// Newest first.
    pub(crate) sealed: Vec<Arc<Memtable>>,
    /// `None` while there are no tables.
    pub(crate) tables: Option<Arc<dyn Tables>>,
    /// Bulk loads that the tables hold.
    pub(crate) loads: u64,
}

/// What the view says about a key without reading tables.
pub(crate) enum InMemory {
    Found(Body),
    Absent,
    /// Only the tables know.
    InTables,
}

impl View {
    #[inline]
    pub(crate) fn look(&self, seq: Seq, key: &[u8]) -> InMemory {
        let wanted = Version::place(key, seq);
        for memtable in std::iter::once(&self.active).chain(&self.sealed) {
            match memtable.get(&wanted) {
                Lookup::Put(record) => return InMemory::Found(record),
                Lookup::Deleted => return InMemory::Absent,
                Lookup::Unknown => {}
            }
        }
        if self.tables.is_some() {
            InMemory::InTables
        } else {
            InMemory::Absent
        }
    }

    pub(crate) fn get_from_tables(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        let Some(tables) = &self.tables else {
            return Ok(None);
        };
        tables.get(key)?.map(Record::check).transpose()
    }
}

/// A view as snapshots hold it. It can be ended: then its memory goes although somebody holds it.
pub(crate) struct HeldView {
    view: ArcSwapOption<View>,
    registry: Arc<Registry>,
}

impl HeldView {
    pub(crate) fn new(view: View, registry: Arc<Registry>) -> Self {
        Self {
            view: ArcSwapOption::from_pointee(view),
            registry,
        }
    }

    /// Takes the view away from all who hold it.
    pub(crate) fn end(&self) {
        self.view.store(None);
    }

    pub(crate) fn load(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Runs `read` on the view, without touching its reference count.
    #[inline]
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&View) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match &*self.view.load() {
            Some(view) => read(view),
            None => Err(EngineError::SnapshotTooOld),
        }
    }
}

/// The view that new snapshots get.
pub(crate) struct CurrentView {
    held: ArcSwap<HeldView>,
    pub(crate) registry: Arc<Registry>,
}

impl CurrentView {
    pub(crate) fn new(view: View) -> Self {
        let registry = Arc::new(Registry::new());
        let held = HeldView::new(view, Arc::clone(&registry));
        Self {
            held: ArcSwap::from_pointee(held),
            registry,
        }
    }

    /// The view itself.
    pub(crate) fn load(&self) -> Arc<View> {
        loop {
            // The current view is never ended, but it may have been replaced and ended meanwhile.
            if let Some(view) = self.held.load().load() {
                return view;
            }
        }
    }

    /// Replaces it; answers the one that was replaced.
    pub(crate) fn store(&self, view: View) -> Arc<HeldView> {
        self.held
            .swap(Arc::new(HeldView::new(view, Arc::clone(&self.registry))))
    }

    /// Runs `read` on the current view at what is published, without taking a snapshot.
    #[inline]
    pub(crate) fn with_latest<T>(
        &self,
        horizon: &Horizon,
        read: impl FnOnce(&View, Seq) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        loop {
            let held = self.held.load();
            // As in `load`.
            if let Some(view) = &*held.view.load() {
                return read(view, horizon.get().min(view.active.last()));
            }
        }
    }

    /// A snapshot of the current view at the newest Seq that `newest` allows: the view is loaded
    /// first, then the Seq, and commits that went to a later memtable are cut off.
    pub(crate) fn snapshot(&self, newest: impl Fn() -> Seq) -> Snapshot {
        loop {
            let held = self.held.load_full();
            let guard = held.view.load();
            let Some(view) = &*guard else { continue };
            let (seq, slot) = self.registry.enter(|| newest().min(view.active.last()));
            drop(guard);
            return Snapshot { held, seq, slot };
        }
    }
}

impl fmt::Debug for CurrentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

/// A moment of the engine that never changes. It holds the memtables and tables of that moment:
/// cheap to take and to clone, but not to be kept for ever (`LsmOptions::pinned_disk_bytes_max`).
pub struct Snapshot {
    held: Arc<HeldView>,
    seq: Seq,
    slot: Slot,
}

impl Snapshot {
    /// The newest commit that it sees.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    pub(crate) fn held(&self) -> &HeldView {
        &self.held
    }
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
            seq: self.seq,
            slot: self.held.registry.enter_beside(&self.slot, self.seq),
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.held.registry.leave(&self.slot);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot(seq {})", self.seq)
    }
}
