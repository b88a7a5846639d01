//! The engine under the least that makes its puts visible: what the commit pipeline comes on top of.

use std::path::Path;

use anyhow::Result;
use mantis_engine::{Engine, LsmEngine, LsmOptions};
use mantis_env::Env;
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};
use parking_lot::Mutex;

use super::mantis::{encoded, scan};
use super::{Memory, Store};
use crate::keys::Key;

/// An engine and the number of its last commit. One writer at a time.
pub(super) struct Plain {
    engine: LsmEngine,
    /// Guards the order of puts. Longest hold: one put.
    last: Mutex<Seq>,
}

impl Plain {
    pub(super) fn open(dir: &Path, memory: &Memory) -> Result<Self> {
        let options = LsmOptions::with_budget(memory.budget());
        let engine = LsmEngine::open(&Env::real(), &dir.join("tables"), options)?;
        let last = Mutex::new(engine.horizon().get());
        Ok(Self { engine, last })
    }
}

impl Store for Plain {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let key = encoded(key)?;
        let mut batch = WriteBatchBuilder::with_capacity(64 + value.len());
        batch.put_with(key.as_bytes(), |out| {
            RecordBuilder::new(ValueKind::Bytes).write(value, out)
        })?;
        let batch = batch.finish();
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes)?;
        let mut last = self.last.lock();
        let seq = last.next();
        let placement = self.engine.place(seq, bytes);
        self.engine.apply(&placement, seq, &batch);
        self.engine.horizon().advance(*last);
        *last = seq;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<usize> {
        let found = self.engine.get_latest(encoded(key)?.as_bytes())?;
        Ok(found.map_or(0, |record| record.view().payload().len()))
    }

    fn scan(&self, from: &Key, rows: usize) -> Result<usize> {
        scan(&self.engine, encoded(from)?.as_bytes(), rows)
    }

    fn settle(&self) -> Result<()> {
        self.engine.flush()?;
        Ok(self.engine.compact()?)
    }

    fn close(&self) -> Result<()> {
        Ok(self.engine.close()?)
    }
}
