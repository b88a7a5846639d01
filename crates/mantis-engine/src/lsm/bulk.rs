//! Bulk load: sorted rows become a run of tables without passing through memtables.

use lsm_tree::Slice;
use mantis_types::{Seq, stamp_seq};

use super::shared::Shared;
use crate::memory::check_bulk_row;
use crate::memtable::Version;
use crate::{BulkInfo, EngineError};

impl Shared {
    /// See [`crate::Engine::bulk_load`].
    pub(super) fn bulk_load(
        &self,
        seq: Seq,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<BulkInfo, EngineError> {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(BulkInfo { rows: 0, bytes: 0 });
        }
        if self.pressure.disk_is_full() {
            return Err(EngineError::DiskFull);
        }
        let writing = self.writers.read();
        let first_id = self.store.next_table_id();
        let written = self.write_rows(seq, &mut rows);
        if written.is_err() {
            self.partial.suspect(first_id..self.store.next_table_id());
        }
        drop(writing);
        let info = written?;
        self.partial.supersede();
        // Rows of the cache may be older than what was loaded.
        let loads = self.rows.begin_generation();
        self.refresh_with(None, Some(loads))?;
        self.wake_compactor();
        Ok(info)
    }

    fn write_rows(
        &self,
        seq: Seq,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<BulkInfo, EngineError> {
        let mut ingest = self.store.ingest()?;
        let mut first: Option<Vec<u8>> = None;
        let mut last: Option<Vec<u8>> = None;
        let mut info = BulkInfo { rows: 0, bytes: 0 };
        for (key, mut record) in rows {
            check_bulk_row(last.as_deref(), &key, &record)?;
            stamp_seq(&mut record, seq);
            info.rows += 1;
            info.bytes += (key.len() + record.len()) as u64;
            ingest.put(&Slice::from(key.as_slice()), &Slice::from(record))?;
            if first.is_none() {
                first = Some(key.clone());
            }
            last = Some(key);
        }
        if let (Some(first), Some(last)) = (first, last) {
            self.refuse_overlap(&first, &last)?;
        }
        ingest.finish()?;
        Ok(info)
    }

    /// Memtables stand above all tables: what they hold would hide the loaded rows.
    fn refuse_overlap(&self, first: &[u8], last: &[u8]) -> Result<(), EngineError> {
        let view = self.view.load();
        let from = Version::place(first, Seq::MAX);
        let to = Version::place(last, Seq::ZERO);
        let mut memtables = std::iter::once(&view.active).chain(&view.sealed);
        if memtables.any(|memtable| memtable.versions.range(&from..=&to).next().is_some()) {
            return Err(EngineError::BulkRefused {
                reason: "memtables hold keys of its range",
            });
        }
        Ok(())
    }
}
