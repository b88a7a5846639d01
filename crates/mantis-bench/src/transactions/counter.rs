//! One counter, many writers: additions that commute beside reading, adding and trying again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use mantis_engine::Record;
use mantis_kv::Kv;
use mantis_txn::{Begin, Merge, Store as Commits, TxnError};
use mantis_types::{Access, Durability, RecordBuilder, ValueKind};
use tempfile::TempDir;

use super::Bench;
use super::durable::{Syncs, ready_to_sync};
use crate::keys::{Key, ordered};
use crate::measure::{Commits as Met, Figure, Load};
use crate::report::Row;
use crate::store::{Mantis, Memory, encoded};

/// How one is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// An increment of the key-value model: read, add and start under the key's latch.
    Increment,
    /// An addition inside a transaction, decided at its commit.
    Merge,
    /// Read, add and write in a transaction of level snapshot; once more after a conflict.
    ReadModifyWrite,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Increment, Self::Merge, Self::ReadModifyWrite];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Increment => "mantis increment",
            Self::Merge => "mantis merge",
            Self::ReadModifyWrite => "mantis read-modify-write",
        })
    }
}

impl Bench<'_> {
    /// Every way in a store of its own; then the counter must be what was added.
    pub(super) fn counter(&self, writers: u64, row: &mut Row) -> Result<()> {
        let span = Duration::from_secs_f64(self.options.seconds);
        for _ in 0..self.options.rounds {
            let wanted = |way: &Way| self.options.wants_store(&way.to_string());
            for way in Way::ALL.into_iter().filter(wanted) {
                let name = way.to_string();
                let dir = TempDir::new_in(self.place.path())?;
                let counter = Counter::open(&dir, &self.memory, way)?;
                ready_to_sync(&counter.mantis)?;
                let figure = counter.measure(writers, span);
                row.note(
                    &name,
                    figure.with_context(|| format!("{}: {name}", row.id))?,
                );
            }
        }
        Ok(())
    }
}

/// A store and its only counter.
struct Counter {
    mantis: Mantis,
    kv: Kv,
    way: Way,
    key: Key,
    one_more: Arc<dyn Merge>,
}

impl Counter {
    fn open(dir: &TempDir, memory: &Memory, way: Way) -> Result<Self> {
        let mantis = Mantis::open(dir.path(), memory, Durability::Sync)?;
        let counter = Self {
            kv: Kv::open(mantis.commits().clone(), 0)?,
            way,
            key: ordered(1 << 40),
            one_more: Arc::new(OneMore),
            mantis,
        };
        // It is there before: the first commits of all writers are like the later ones.
        counter.set_to_zero()?;
        Ok(counter)
    }

    fn commits(&self) -> &Commits {
        self.mantis.commits()
    }

    fn set_to_zero(&self) -> Result<()> {
        match self.way {
            Way::Increment => {
                let key = Bytes::copy_from_slice(&self.key);
                let by_none = self
                    .kv
                    .increment(Access::grant(), key, 0, None, Durability::Sync);
                ensure!(by_none?.value == 0, "a new counter is zero");
            }
            Way::Merge | Way::ReadModifyWrite => {
                let mut txn = self.commits().begin(Begin::default())?;
                let mut record = Vec::new();
                write_count(0, txn.now_ms(), &mut record)?;
                txn.put(encoded(&self.key)?.as_bytes(), &record)?;
                txn.commit()?;
            }
        }
        Ok(())
    }

    fn measure(&self, writers: u64, span: Duration) -> Result<Figure> {
        let conflicts = AtomicU64::new(0);
        let before = Syncs::of(&self.mantis)?;
        let mut figure = Load::timed(writers, span).run(|_, _| {
            let refused = self.add_one()?;
            if refused > 0 {
                conflicts.fetch_add(refused, Relaxed);
            }
            Ok(())
        })?;
        figure.commits = Some(Met {
            conflicts: conflicts.into_inner(),
            per_sync: Syncs::of(&self.mantis)?.since(&before),
        });
        let (held, added) = (self.value()?, figure.operations);
        ensure!(held == added, "{added} were added, the counter is {held}");
        Ok(figure)
    }

    /// Adds one; answers how often that was refused.
    fn add_one(&self) -> Result<u64> {
        match self.way {
            Way::Increment => {
                let key = Bytes::copy_from_slice(&self.key);
                let added = self
                    .kv
                    .increment(Access::grant(), key, 1, None, Durability::Sync);
                added?;
                Ok(0)
            }
            Way::Merge => {
                let mut txn = self.commits().begin(Begin::default())?;
                txn.merge(encoded(&self.key)?.as_bytes(), Arc::clone(&self.one_more))?;
                txn.commit()?;
                Ok(0)
            }
            Way::ReadModifyWrite => self.add_one_by_reading(),
        }
    }

    fn add_one_by_reading(&self) -> Result<u64> {
        let key = encoded(&self.key)?;
        let mut refused = 0;
        loop {
            let mut txn = self.commits().begin(Begin::default())?;
            let found = txn.get(key.as_bytes())?;
            let mut record = Vec::new();
            write_count(count_of(found.as_ref())? + 1, txn.now_ms(), &mut record)?;
            txn.put(key.as_bytes(), &record)?;
            match txn.commit() {
                Ok(_) => return Ok(refused),
                Err(TxnError::Conflict { .. }) => refused += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn value(&self) -> Result<u64> {
        if self.way == Way::Increment {
            let key = Bytes::copy_from_slice(&self.key);
            let entry = self.kv.get(Access::grant(), key)?;
            let entry = entry.context("the counter is gone")?;
            return Ok(std::str::from_utf8(&entry.value)?.parse()?);
        }
        let engine = self.commits().engine();
        count_of(engine.get_latest(encoded(&self.key)?.as_bytes())?.as_ref())
    }
}

/// Adds one to a counter of eight bytes.
struct OneMore;

impl Merge for OneMore {
    fn apply(
        &self,
        newest: Option<&Record>,
        now_ms: u64,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let mut record = Vec::with_capacity(64);
        write_count(count_of(newest)? + 1, now_ms, &mut record)?;
        Ok(record)
    }

    fn bytes_max(&self) -> u64 {
        64
    }
}

fn write_count(count: u64, modified_ms: u64, out: &mut Vec<u8>) -> Result<()> {
    let builder = RecordBuilder::new(ValueKind::Bytes).modified_ms(modified_ms);
    Ok(builder.write(&count.to_le_bytes(), out)?)
}

fn count_of(record: Option<&Record>) -> Result<u64> {
    let record = record.context("the counter is gone")?;
    Ok(u64::from_le_bytes(record.view().payload().try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_adds_what_it_has_answered() {
        let memory = Memory::from_parts(8 << 20, 4 << 20);
        for way in Way::ALL {
            let dir = tempfile::tempdir().unwrap();
            let counter = Counter::open(&dir, &memory, way).unwrap();
            let figure = counter.measure(4, Duration::from_millis(60)).unwrap();
            assert!(figure.operations > 0, "{way}");
            assert_eq!(counter.value().unwrap(), figure.operations);
            // The control: one more than was told of.
            counter.add_one().unwrap();
            let again = counter.measure(1, Duration::from_millis(5)).unwrap_err();
            assert!(again.to_string().contains("were added"), "{way}: {again}");
        }
    }

    #[test]
    fn only_reading_and_writing_meets_conflicts() {
        let memory = Memory::from_parts(8 << 20, 4 << 20);
        for way in Way::ALL {
            let dir = tempfile::tempdir().unwrap();
            let counter = Counter::open(&dir, &memory, way).unwrap();
            let figure = counter.measure(8, Duration::from_millis(100)).unwrap();
            let conflicts = figure.commits.unwrap().conflicts;
            assert_eq!(conflicts > 0, way == Way::ReadModifyWrite, "{way}");
        }
    }
}
