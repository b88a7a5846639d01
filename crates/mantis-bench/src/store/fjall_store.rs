//! fjall as it comes, with the memory of the others. It has no bound over all memtables that works.

use std::path::Path;

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Memory, Store};
use crate::keys::Key;

/// One keyspace of a database of its own.
pub(super) struct Fjall {
    keyspace: Keyspace,
    database: Database,
    sync: bool,
}

impl Fjall {
    pub(super) fn open(dir: &Path, memory: &Memory, sync: bool) -> Result<Self> {
        let database = Database::builder(dir)
            .cache_size(memory.cache_bytes)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(memory.memtable_bytes);
        let keyspace = database.keyspace("bench", options)?;
        Ok(Self {
            keyspace,
            database,
            sync,
        })
    }
}

impl Store for Fjall {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        if self.sync {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<usize> {
        Ok(self.keyspace.get(key)?.map_or(0, |value| value.len()))
    }

    fn scan(&self, from: &Key, rows: usize) -> Result<usize> {
        let mut found = 0;
        for row in self.keyspace.range::<&[u8], _>(&from[..]..).take(rows) {
            let (key, value) = row.into_inner()?;
            found += usize::from(key.len() + value.len() > 0);
        }
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        Ok(self.keyspace.major_compact()?)
    }
}
