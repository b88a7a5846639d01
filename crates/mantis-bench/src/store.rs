//! Stores behind one trait, each opened with comparable memory.

mod bare;
mod disk;
mod fjall_store;
mod mantis;
mod plain;
#[cfg(feature = "rocksdb")]
mod rocks;

use std::fmt;
use std::path::Path;

use anyhow::Result;
use mantis_engine::MemoryBudget;
use mantis_types::Durability;

use crate::keys::Key;

pub(crate) use mantis::{Mantis, encoded};
#[cfg(feature = "rocksdb")]
pub(crate) use rocks::options as rocks_options;

/// What is measured. One put is one commit, of the class that the store was opened with.
pub(crate) trait Store: Send + Sync {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()>;

    /// Bytes of the value, 0 when there is none.
    fn get(&self, key: &Key) -> Result<usize>;

    /// Reads keys and values from `from` on; answers how many there were.
    fn scan(&self, from: &Key, rows: usize) -> Result<usize>;

    /// Moves everything into tables, merged, where there are any.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Brings a new store to where one of some age is, before writes are measured.
    fn warm_up(&self) -> Result<()> {
        Ok(())
    }

    /// Ends it in order.
    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A store under one setting: a column of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// crossbeam's skiplist alone: what a memtable can do at best.
    SkipMap,
    /// Log, commit pipeline and engine.
    Mantis(Durability),
    /// The engine without log and pipeline: number, place, apply, publish.
    Plain,
    /// fjall; true: each put synced.
    Fjall(bool),
    /// RocksDB; true: each put synced.
    Rocks(bool),
    /// Append and fdatasync, into a file whose blocks were written before; keeps nothing.
    RawDisk,
}

impl Contender {
    pub(crate) const INTERVAL: Self = Self::Mantis(Durability::Interval);
    pub(crate) const NONE: Self = Self::Mantis(Durability::None);
    pub(crate) const SYNC: Self = Self::Mantis(Durability::Sync);

    /// Every column that a table may have, in their order.
    pub(crate) const ALL: [Self; 10] = [
        Self::RawDisk,
        Self::SkipMap,
        Self::Plain,
        Self::NONE,
        Self::INTERVAL,
        Self::SYNC,
        Self::Fjall(false),
        Self::Fjall(true),
        Self::Rocks(false),
        Self::Rocks(true),
    ];

    /// Why it cannot be measured here, if so.
    pub(crate) const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Rocks(_) if !cfg!(feature = "rocksdb") => {
                Some("built without RocksDB: `cargo xtask prepare --bench` installs it")
            }
            _ => None,
        }
    }

    /// Whether one more put replaces a value without a moment in which the key is absent.
    pub(crate) const fn replaces_in_place(self) -> bool {
        !matches!(self, Self::SkipMap)
    }

    pub(crate) fn open(self, dir: &Path, memory: &Memory) -> Result<Box<dyn Store>> {
        Ok(match self {
            Self::SkipMap => Box::new(bare::Bare::default()),
            Self::Mantis(durability) => Box::new(Mantis::open(dir, memory, durability)?),
            Self::Plain => Box::new(plain::Plain::open(dir, memory)?),
            Self::Fjall(sync) => Box::new(fjall_store::Fjall::open(dir, memory, sync)?),
            Self::RawDisk => Box::new(disk::RawDisk::open(dir)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocks(sync) => Box::new(rocks::Rocks::open(dir, memory, sync)?),
            #[cfg(not(feature = "rocksdb"))]
            Self::Rocks(_) => anyhow::bail!("{}", self.missing().unwrap_or_default()),
        })
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SkipMap => "skipmap",
            Self::Mantis(Durability::None) => "mantis none",
            Self::Mantis(Durability::Interval) => "mantis interval",
            Self::Mantis(Durability::Sync) => "mantis sync",
            Self::Plain => "plain engine",
            Self::Fjall(false) => "fjall",
            Self::Fjall(true) => "fjall sync",
            Self::Rocks(false) => "rocksdb",
            Self::Rocks(true) => "rocksdb sync",
            Self::RawDisk => "append+fdatasync",
        })
    }
}

/// The memory that every store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes of one memtable.
    pub(crate) memtable_bytes: u64,
    /// Bytes of all memtables.
    pub(crate) memtables_bytes_max: u64,
    /// Bytes of all caches. With us the row cache is a part of it.
    pub(crate) cache_bytes: u64,
    /// Bytes of our row cache.
    pub(crate) row_cache_bytes: u64,
}

impl Memory {
    /// As `--buffer-size` and `--cache-size` of the server divide it.
    pub(crate) const fn from_parts(buffer_bytes: u64, cache_bytes: u64) -> Self {
        Self::of(MemoryBudget::from_parts(buffer_bytes, cache_bytes))
    }

    /// One budget for everything.
    pub(crate) const fn divide(bytes: u64) -> Self {
        Self::of(MemoryBudget::divide(bytes))
    }

    const fn of(budget: MemoryBudget) -> Self {
        Self {
            memtable_bytes: budget.memtable_bytes,
            memtables_bytes_max: budget.memtables_bytes_max,
            cache_bytes: budget.block_cache_bytes + budget.row_cache_bytes,
            row_cache_bytes: budget.row_cache_bytes,
        }
    }

    /// The same with another row cache, at the expense of the block cache.
    pub(crate) fn with_row_cache(self, bytes: u64) -> Self {
        Self {
            row_cache_bytes: bytes.min(self.cache_bytes),
            ..self
        }
    }

    pub(crate) const fn budget(&self) -> MemoryBudget {
        MemoryBudget {
            memtable_bytes: self.memtable_bytes,
            memtables_bytes_max: self.memtables_bytes_max,
            block_cache_bytes: self.cache_bytes - self.row_cache_bytes,
            row_cache_bytes: self.row_cache_bytes,
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "memtable {:.1} MiB, all memtables {:.1} MiB, caches {:.1} MiB (mantis: {:.1} of them row cache)",
            mib(self.memtable_bytes),
            mib(self.memtables_bytes_max),
            mib(self.cache_bytes),
            mib(self.row_cache_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Values, ordered, scattered};

    /// The same calls have the same answers on every store, so that the same work is measured.
    #[test]
    fn every_store_that_keeps_data_answers_alike() {
        let memory = Memory::from_parts(4 << 20, 4 << 20);
        for contender in Contender::ALL {
            if contender == Contender::RawDisk || contender.missing().is_some() {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let store = contender.open(dir.path(), &memory).unwrap();
            store.warm_up().unwrap();
            check(&*store, &contender.to_string());
            store.settle().unwrap();
            check(&*store, &contender.to_string());
            store.close().unwrap();
        }
    }

    fn check(store: &dyn Store, name: &str) {
        let values = Values::new(100);
        (0..200).for_each(|n| store.put(&ordered(n), values.of(n)).unwrap());
        assert_eq!(store.get(&ordered(199)).unwrap(), 100, "{name}");
        assert_eq!(store.get(&scattered(3)).unwrap(), 0, "{name}");
        assert_eq!(store.scan(&ordered(50), 100).unwrap(), 100, "{name}");
        assert_eq!(store.scan(&ordered(150), 100).unwrap(), 50, "{name}");
    }

    #[test]
    fn a_store_that_cannot_be_measured_says_why() {
        let missing = Contender::Rocks(false).missing().is_some();
        assert_eq!(missing, !cfg!(feature = "rocksdb"));
        assert_eq!(Contender::SYNC.missing(), None);
    }

    #[test]
    fn a_row_cache_is_a_part_of_the_caches() {
        let memory = Memory::divide(160 << 20).with_row_cache(10 << 20);
        assert_eq!(memory.cache_bytes, 50 << 20);
        assert_eq!(memory.budget().block_cache_bytes, 40 << 20);
    }
}
