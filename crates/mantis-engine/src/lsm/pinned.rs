//! What only old snapshots hold, and the limit on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::LsmOptions;
use crate::view::{HeldView, View};

/// Views that were replaced and may still be held, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// Guards the list. Longest hold: looking through all held views.
    retired: Mutex<Vec<Retired>>,
    memory_bytes: AtomicU64,
    disk_bytes: AtomicU64,
    ended: AtomicU64,
}

struct Retired {
    view: Weak<HeldView>,
    /// When it was replaced, on the monotonic clock.
    at: Duration,
}

impl std::fmt::Debug for Retired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Retired({} holders)", self.view.strong_count())
    }
}

impl Pinned {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn retire(&self, view: &Arc<HeldView>, now: Duration) {
        let mut retired = self.retired.lock();
        retired.retain(|r| r.view.strong_count() > 0);
        retired.push(Retired {
            view: Arc::downgrade(view),
            at: now,
        });
    }

    /// Counts what is held beside the current view; ends the oldest views while it is too much.
    pub(super) fn account(&self, current: &View, options: &LsmOptions, now: Duration) {
        let mut retired = self.retired.lock();
        retired.retain(|r| r.view.strong_count() > 0);
        let held = retired
            .iter()
            .filter_map(|r| Some((r.view.upgrade()?, r.at)));
        let mut held: VecDeque<(Arc<HeldView>, Duration)> = held.collect();
        loop {
            let views = held.iter().filter_map(|(view, _)| view.load());
            let (memory, disk) = beside(current, views);
            self.memory_bytes.store(memory, SeqCst);
            self.disk_bytes.store(disk, SeqCst);
            let fits =
                memory <= options.pinned_memory_bytes_max && disk <= options.pinned_disk_bytes_max;
            let Some((oldest, at)) = held.pop_front() else {
                return;
            };
            if fits || now.saturating_sub(at) < options.snapshot_grace {
                return;
            }
            self.end(&oldest);
        }
    }

    fn end(&self, view: &HeldView) {
        if view.load().is_some() {
            view.end();
            self.ended.fetch_add(1, Relaxed);
        }
    }

    /// Tables that held views may still read.
    pub(super) fn tables(&self) -> BTreeSet<u64> {
        let retired = self.retired.lock();
        let views = retired.iter().filter_map(|r| r.view.upgrade()?.load());
        views
            .flat_map(|view| files(&view))
            .map(|(id, _)| id)
            .collect()
    }

    /// Bytes of memory and of disk.
    pub(super) fn bytes(&self) -> [u64; 2] {
        [self.memory_bytes.load(SeqCst), self.disk_bytes.load(SeqCst)]
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }
}

fn files(view: &View) -> Vec<(u64, u64)> {
    view.tables
        .as_ref()
        .map_or_else(Vec::new, |tables| tables.files())
}

/// Bytes of memtables and tables that the views hold and the current one does not.
fn beside(current: &View, views: impl Iterator<Item = Arc<View>>) -> (u64, u64) {
    let mut memtables = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for view in views {
        for memtable in std::iter::once(&view.active).chain(&view.sealed) {
            memtables.insert(memtable.start(), memtable.bytes());
        }
        tables.extend(files(&view));
    }
    for memtable in std::iter::once(&current.active).chain(&current.sealed) {
        memtables.remove(&memtable.start());
    }
    for (id, _) in files(current) {
        tables.remove(&id);
    }
    (memtables.values().sum(), tables.values().sum())
}
