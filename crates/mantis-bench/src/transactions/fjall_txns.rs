//! fjall's optimistic transactions: what is read inside the write transaction is watched. What is
//! written without having been read is not.

use std::path::Path;

use anyhow::Result;
use fjall::{
    KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, OptimisticWriteTx, Readable,
};

use super::store::{Outcome, Transactional, Txn};
use crate::keys::Key;
use crate::store::Memory;

/// One keyspace of a database of its own.
pub(super) struct FjallTxns {
    keyspace: OptimisticTxKeyspace,
    database: OptimisticTxDatabase,
}

impl FjallTxns {
    pub(super) fn open(dir: &Path, memory: &Memory) -> Result<Self> {
        let database = OptimisticTxDatabase::builder(dir)
            .cache_size(memory.cache_bytes)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(memory.memtable_bytes);
        let keyspace = database.keyspace("bench", options)?;
        Ok(Self { keyspace, database })
    }
}

impl Transactional for FjallTxns {
    type Txn<'a> = FjallTxn<'a>;

    fn begin(&self) -> Result<FjallTxn<'_>> {
        Ok(FjallTxn {
            keyspace: &self.keyspace,
            txn: self.database.write_tx()?,
        })
    }

    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.keyspace.insert(key, value)?)
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.keyspace.get(key)?.map(|value| value.to_vec()))
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.inner().rotate_memtable_and_wait()?;
        Ok(self.keyspace.inner().major_compact()?)
    }
}

pub(super) struct FjallTxn<'a> {
    keyspace: &'a OptimisticTxKeyspace,
    txn: OptimisticWriteTx,
}

impl Txn for FjallTxn<'_> {
    fn get(&mut self, key: &Key) -> Result<usize> {
        let found = self.txn.get(self.keyspace, key)?;
        Ok(found.map_or(0, |value| value.len()))
    }

    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.txn.insert(self.keyspace, key, value);
        Ok(())
    }

    fn commit(self) -> Result<Outcome> {
        Ok(match self.txn.commit()? {
            Ok(()) => Outcome::Committed,
            Err(_) => Outcome::Conflict,
        })
    }
}
