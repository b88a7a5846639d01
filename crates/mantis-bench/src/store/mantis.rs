//! MantisDB as its models use it: log, commit pipeline and engine, without a model above.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mantis_engine::{Direction, Engine, FlushBarrier, LogReach, LsmEngine, LsmOptions};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_txn::{DurableHook, Store as Transactions};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Limits, OwnerId, RecordBuilder, Space, ValueKind,
    WriteBatchBuilder,
};

use super::{Memory, Store};
use crate::keys::Key;
use crate::measure::pause;

/// A store whose puts are commits of one class.
pub(crate) struct Mantis {
    store: Transactions,
    durability: Durability,
}

impl Mantis {
    pub(crate) fn open(dir: &Path, memory: &Memory, durability: Durability) -> Result<Self> {
        let env = Env::real();
        let budget = memory.budget();
        let options = LsmOptions::with_budget(budget);
        let engine = Arc::new(LsmEngine::open(&env, &dir.join("tables"), options)?);
        let hook = DurableHook::default();
        let options = LogOptions {
            first_seq: engine.replay_from(),
            on_durable: Some(hook.callback()),
            buffer_bytes_max: LogOptions::buffer_within(budget.memtables_bytes_max),
            ..LogOptions::default()
        };
        let log = Log::open(&env, &dir.join("log"), options)?.log;
        engine.set_flush_barrier(barrier(&engine, log.clone()));
        let store = Transactions::open(&env, engine, Some(log), &hook, Limits::default())?;
        Ok(Self { store, durability })
    }

    /// The store that commits go to.
    pub(crate) const fn commits(&self) -> &Transactions {
        &self.store
    }

    /// Deletes a key, there or not.
    pub(crate) fn delete(&self, key: &Key) -> Result<()> {
        let key = encoded(key)?;
        let mut batch = WriteBatchBuilder::with_capacity(64);
        batch.delete(key.as_bytes())?;
        self.commit_batch(&key, batch, self.durability)
    }

    fn commit(&self, key: &Key, value: &[u8], durability: Durability) -> Result<()> {
        let key = encoded(key)?;
        let modified_ms = self.store.env().clock().now_ms();
        let mut batch = WriteBatchBuilder::with_capacity(64 + value.len());
        batch.put_with(key.as_bytes(), |out| {
            let record = RecordBuilder::new(ValueKind::Bytes).modified_ms(modified_ms);
            record.write(value, out)
        })?;
        self.commit_batch(&key, batch, durability)
    }

    fn commit_batch(
        &self,
        key: &EncodedKey,
        batch: WriteBatchBuilder,
        durability: Durability,
    ) -> Result<()> {
        self.store.admit(batch.len() as u64)?;
        let latched = self.store.latch(key.as_bytes());
        let pending = self.store.start(&latched, batch.finish(), durability)?;
        drop(latched);
        self.store.finish(pending)?;
        Ok(())
    }

    /// Its log.
    pub(crate) fn log(&self) -> Result<&Log> {
        self.store.log().context("the store was opened with a log")
    }
}

impl Store for Mantis {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.commit(key, value, self.durability)
    }

    fn get(&self, key: &Key) -> Result<usize> {
        let found = self.store.engine().get_latest(encoded(key)?.as_bytes())?;
        Ok(found.map_or(0, |record| record.view().payload().len()))
    }

    fn scan(&self, from: &Key, rows: usize) -> Result<usize> {
        scan(self.store.engine(), encoded(from)?.as_bytes(), rows)
    }

    fn settle(&self) -> Result<()> {
        self.store.engine().flush()?;
        Ok(self.store.engine().compact()?)
    }

    /// A log of some age has its next file written ahead. A young one makes it when half of its
    /// first, small segment is used.
    fn warm_up(&self) -> Result<()> {
        const TRIES: u64 = 1000;
        let filling = vec![1; 16 << 10];
        for number in 0..TRIES {
            if self.log()?.stats().spares > 0 {
                return Ok(self.log()?.rotate()?);
            }
            let key = u128::from(number % 4).to_be_bytes();
            self.commit(&key, &filling, Durability::Interval)?;
            pause(Duration::from_millis(1));
        }
        ensure!(self.log()?.stats().spares > 0, "no file was written ahead");
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(self.store.close()?)
    }
}

/// The key as the key-value model would write it.
pub(crate) fn encoded(key: &Key) -> Result<EncodedKey> {
    Ok(EncodedKey::new(
        DatabaseId::DEFAULT,
        Space::Kv,
        OwnerId::new(1),
        key,
    )?)
}

pub(super) fn scan(engine: &dyn Engine, from: &[u8], rows: usize) -> Result<usize> {
    let range = (Bound::Included(from), Bound::Unbounded);
    let scan = engine.scan(&engine.snapshot(), range, Direction::Forward)?;
    let mut found = 0;
    for row in scan.expecting(rows).take(rows) {
        let (key, record) = row?;
        found += usize::from(key.as_bytes().len() + record.view().payload().len() > 0);
    }
    Ok(found)
}

/// As an opened database has it: the log is on disk before tables are, and may then forget.
fn barrier(engine: &Arc<LsmEngine>, log: Log) -> FlushBarrier {
    let engine = Arc::downgrade(engine);
    Arc::new(move |seq| {
        if let Some(engine) = engine.upgrade() {
            log.release(engine.replay_from());
        }
        match log.sync(seq) {
            Ok(()) => LogReach::OnDisk,
            Err(_) if log.poisoned().is_some() => LogReach::Never,
            Err(_) => LogReach::NotYet,
        }
    })
}
