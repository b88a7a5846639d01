//! Flushing: the oldest sealed memtable becomes a run of tables, together with the replay mark.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lsm_tree::Slice;
use mantis_env::{Step, Task};
use mantis_types::{Seq, stamp_seq};

use super::hooks::{Defect, Hooks, Point};
use super::shared::Shared;
use super::tree::{Ingest, MARK_KEY};
use crate::memtable::{Memtable, Version, VersionEntry};
use crate::{EngineError, LogReach};

/// Pause while the oldest memtable has commits that are not visible yet.
const PAUSE_INVISIBLE: Duration = Duration::from_millis(1);

/// What a try to flush did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// There is no sealed memtable.
    Nothing,
    /// It has commits that are not visible, or not in the log, yet.
    NotYet,
    /// One memtable is in tables now.
    One,
}

/// The background task that flushes. There is one for each engine.
#[derive(Debug)]
pub(super) struct Flusher {
    shared: Arc<Shared>,
    looked_at_disk: Duration,
}

impl Flusher {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            looked_at_disk: Duration::ZERO,
        }
    }

    fn look_at_disk(&mut self) {
        let now = self.shared.env.clock().monotonic();
        let pause = self.shared.options.free_space_pause;
        if now.saturating_sub(self.looked_at_disk) >= pause {
            self.looked_at_disk = now;
            self.shared.remove_partial_files();
            self.shared.account_pinned();
            self.shared.look_at_free_space();
        }
    }
}

impl Task for Flusher {
    fn step(&mut self) -> Step {
        self.look_at_disk();
        match self.shared.flush_oldest() {
            Ok(Flushed::One) => {
                if self.shared.options.hooks.has(Defect::OneThread) {
                    drop(self.shared.compact_once());
                }
                Step::Again
            }
            Ok(Flushed::NotYet) => Step::Wait(PAUSE_INVISIBLE),
            Ok(Flushed::Nothing) => Step::Wait(self.shared.options.free_space_pause),
            Err(_) => self.shared.after_failure(),
        }
    }
}

impl Shared {
    /// Flushes the oldest sealed memtable. A failure is counted, keeps the memtable and its error
    /// is for the caller; the next call tries again.
    pub(super) fn flush_oldest(&self) -> Result<Flushed, EngineError> {
        let hooks = &self.options.hooks;
        let flushing = (!hooks.has(Defect::ManyFlushers)).then(|| self.flushing.lock());
        let view = self.view.load();
        let oldest = if hooks.has(Defect::FlushNewestFirst) {
            view.sealed.first()
        } else {
            view.sealed.last()
        };
        let Some(memtable) = oldest else {
            return Ok(Flushed::Nothing);
        };
        let end = memtable.end();
        // The log first: a commit that failed with it never becomes visible, and is not waited for.
        match self.log_reach(end.prev()) {
            LogReach::OnDisk => {}
            LogReach::NotYet if hooks.has(Defect::FlushBeforeLog) => {}
            LogReach::NotYet => return Ok(Flushed::NotYet),
            LogReach::Never => return Err(EngineError::LogFailed),
        }
        let visible = self.horizon.get() >= end.prev();
        if !visible && !hooks.has(Defect::FlushInvisible) {
            return Ok(Flushed::NotYet);
        }
        let flushed = self.flush_memtable(memtable, end);
        drop(flushing);
        self.pressure.flush_ended(&flushed);
        if flushed.is_err() {
            self.counts.flush_failures.fetch_add(1, Relaxed);
        }
        self.remove_partial_files();
        flushed.map(|()| Flushed::One)
    }

    fn flush_memtable(&self, memtable: &Arc<Memtable>, end: Seq) -> Result<(), EngineError> {
        if memtable.is_empty() {
            // Commits without a change: the log keeps them, nothing needs a table.
            if self.options.hooks.has(Defect::IngestNothing) {
                drop(self.store.ingest()?);
            }
            return self.refresh(Some(memtable));
        }
        let writing = self.writers.read();
        let first_id = self.store.next_table_id();
        let written = self.write_tables(memtable, end);
        let bytes = match written {
            Ok(bytes) => bytes,
            Err(error) => {
                self.partial.suspect(first_id..self.store.next_table_id());
                drop(writing);
                if self.options.hooks.has(Defect::DropUnflushed) {
                    self.refresh(Some(memtable))?;
                }
                return Err(error);
            }
        };
        drop(writing);
        self.partial.supersede();
        let keep = self.options.hooks.has(Defect::KeepFlushed);
        self.refresh((!keep).then_some(memtable))?;
        self.flushed_below(self.log_cut(end));
        self.counts.flushes.fetch_add(1, Relaxed);
        self.counts.flushed_bytes.fetch_add(bytes, Relaxed);
        if self.options.hooks.has(Defect::FlushTakesSeq) {
            self.horizon.raise(self.horizon.get().next());
        }
        if !self.options.hooks.has(Defect::NoMaintenance) {
            // The tables are safe: old manifests that stay are removed next time, or at opening.
            drop(self.store.maintain());
        }
        self.reach(Point::FlushDone)?;
        self.wake_compactor();
        Ok(())
    }

    /// Below which the log may be cut after a flush up to `end`.
    fn log_cut(&self, end: Seq) -> Seq {
        if self.options.hooks.has(Defect::ReleaseUnflushed) {
            self.horizon.get().next()
        } else {
            end
        }
    }

    /// Writes the newest version of each key, and the mark; durable and part of the tree together.
    fn write_tables(&self, memtable: &Memtable, end: Seq) -> Result<u64, EngineError> {
        let mark = Slice::from(end.get().to_le_bytes());
        let apart = self.options.hooks.has(Defect::MarkAfterwards);
        let mut ingest = self.store.ingest()?;
        self.reach(Point::FlushBegun)?;
        if !apart {
            // The smallest key there is.
            ingest.put(&Slice::from(MARK_KEY), &mark)?;
        }
        let bytes = self.write_versions(memtable, &mut ingest)?;
        self.reach(Point::FlushWritten)?;
        ingest.finish()?;
        self.reach(Point::FlushFinished)?;
        if apart {
            let mut ingest = self.store.ingest()?;
            ingest.put(&Slice::from(MARK_KEY), &mark)?;
            ingest.finish()?;
        }
        Ok(bytes)
    }

    fn write_versions(
        &self,
        memtable: &Memtable,
        ingest: &mut Ingest<'_>,
    ) -> Result<u64, EngineError> {
        let hooks = &self.options.hooks;
        let newest_only = !hooks.has(Defect::FlushEveryVersion);
        let mut bytes = 0;
        let mut last: Option<VersionEntry<'_>> = None;
        for version in memtable.versions.iter() {
            let key = version.key();
            if newest_only && last.as_ref().is_some_and(|l| l.key().same_key(key)) {
                continue;
            }
            bytes += (key.key().len() + key.record().len()) as u64;
            write_version(key, ingest, hooks)?;
            last = Some(version);
        }
        Ok(bytes)
    }

    /// Seals the active memtable and flushes until it is in tables, in the caller's thread.
    pub(super) fn flush_all(&self) -> Result<(), EngineError> {
        let Some(end) = self.seal_for_flush() else {
            return Ok(());
        };
        let started = self.env.clock().monotonic();
        while self.oldest_unflushed().is_some_and(|start| start < end) {
            match self.flush_oldest()? {
                Flushed::One => {}
                Flushed::Nothing => return Ok(()),
                Flushed::NotYet => self.wait_a_little(started)?,
            }
        }
        Ok(())
    }

    fn wait_a_little(&self, started: Duration) -> Result<(), EngineError> {
        let clock = self.env.clock();
        if clock.monotonic().saturating_sub(started) > self.options.stall_wait_max {
            return Err(EngineError::Stalled);
        }
        clock.sleep(PAUSE_INVISIBLE);
        Ok(())
    }

    fn oldest_unflushed(&self) -> Option<Seq> {
        self.view
            .load()
            .sealed
            .last()
            .map(|memtable| memtable.start())
    }

    /// What a background task does after a failure: the next try.
    pub(super) fn after_failure(&self) -> Step {
        if self.options.hooks.has(Defect::NeverTryAgain) {
            Step::Done
        } else {
            Step::Wait(self.options.retry_pause)
        }
    }

    pub(super) fn reach(&self, point: Point) -> Result<(), EngineError> {
        self.options
            .hooks
            .reach(point)
            .map_err(|error| EngineError::io("a fault point", error))
    }
}

fn write_version(
    version: &Version,
    ingest: &mut Ingest<'_>,
    hooks: &Hooks,
) -> Result<(), EngineError> {
    let key = Slice::from(version.key());
    if version.is_delete() {
        let left_out = hooks.has(Defect::FlushWithoutDeletes);
        return if left_out {
            Ok(())
        } else {
            ingest.delete(&key)
        };
    }
    if hooks.has(Defect::RecordsWithoutSeq) {
        let mut record = version.record().to_vec();
        stamp_seq(&mut record, Seq::ZERO);
        return ingest.put(&key, &Slice::from(record));
    }
    ingest.put(&key, &Slice::from(version.record()))
}
