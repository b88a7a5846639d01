//! Compaction: tables are merged in the background, level by level.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mantis_env::{Step, Task};

use super::hooks::{Defect, Point};
use super::shared::Shared;
use crate::EngineError;

/// The background task that merges tables. It has a thread of its own: on the flusher's, a long
/// merge would keep memtables, and so writers, waiting.
#[derive(Debug)]
pub(super) struct Compactor {
    shared: Arc<Shared>,
}

impl Compactor {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Task for Compactor {
    fn step(&mut self) -> Step {
        if self.shared.options.hooks.has(Defect::OneThread) {
            return Step::Idle;
        }
        match self.shared.compact_once() {
            Ok(true) => Step::Again,
            // The flusher wakes us.
            Ok(false) => Step::Idle,
            Err(_) => self.shared.after_failure(),
        }
    }
}

impl Shared {
    /// One round of levelled compaction; whether it changed anything.
    pub(super) fn compact_once(&self) -> Result<bool, EngineError> {
        self.run_compaction(|shared| shared.store.compact_once())
    }

    /// Merges everything into one run. The tombstones of the last level go with it.
    pub(super) fn compact_all(&self) -> Result<(), EngineError> {
        self.run_compaction(|shared| shared.store.compact_all())
            .map(drop)
    }

    fn run_compaction(
        &self,
        merge: impl FnOnce(&Self) -> Result<bool, EngineError>,
    ) -> Result<bool, EngineError> {
        let compacting = self.compacting.lock();
        let writing = self.writers.read();
        let first_id = self.store.next_table_id();
        let merged = self.reach(Point::CompactBegun).and_then(|()| merge(self));
        let next_id = self.store.next_table_id();
        drop(writing);
        match &merged {
            Ok(true) => self.partial.supersede(),
            Ok(false) => {}
            Err(_) => {
                // Ids of flushes that ran meanwhile are among them; they are in the tree by the
                // time that anything is removed.
                self.partial.suspect(first_id..next_id);
                self.counts.compaction_failures.fetch_add(1, Relaxed);
            }
        }
        self.pressure.compaction_ended(&merged);
        if matches!(merged, Ok(true)) {
            self.counts.compactions.fetch_add(1, Relaxed);
            self.count_new_tables(first_id);
            if !self.options.hooks.has(Defect::KeepMerged) {
                self.refresh(None)?;
            }
        }
        drop(compacting);
        self.remove_partial_files();
        merged
    }

    /// Adds up the tables that this compaction made: new ones that are not in level 0, where
    /// flushes put theirs meanwhile.
    fn count_new_tables(&self, first_id: u64) {
        if let Ok(tables) = self.store.current() {
            let made = tables
                .files
                .iter()
                .filter(|file| file.id >= first_id && file.level > 0);
            self.counts
                .compacted_bytes
                .fetch_add(made.map(|file| file.bytes).sum(), Relaxed);
        }
    }
}
