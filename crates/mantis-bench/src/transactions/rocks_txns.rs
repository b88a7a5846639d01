//! RocksDB's optimistic transactions, with the settings of the other rows.

use std::path::Path;

use anyhow::Result;
use rocksdb::{
    CompactOptions, ErrorKind, OptimisticTransactionDB, OptimisticTransactionOptions, Transaction,
    WriteOptions,
};

use super::store::{Outcome, Transactional, Txn};
use crate::keys::Key;
use crate::store::{Memory, rocks_options};

/// One database.
pub(super) struct RocksTxns {
    db: OptimisticTransactionDB,
    write: WriteOptions,
    transaction: OptimisticTransactionOptions,
    for_update: bool,
}

impl RocksTxns {
    pub(super) fn open(dir: &Path, memory: &Memory, for_update: bool) -> Result<Self> {
        let db = OptimisticTransactionDB::open(&rocks_options(memory)?, dir)?;
        let mut transaction = OptimisticTransactionOptions::default();
        transaction.set_snapshot(true);
        Ok(Self {
            db,
            write: WriteOptions::default(),
            transaction,
            for_update,
        })
    }
}

impl Transactional for RocksTxns {
    type Txn<'a> = RocksTxn<'a>;

    fn begin(&self) -> Result<RocksTxn<'_>> {
        Ok(RocksTxn {
            txn: self.db.transaction_opt(&self.write, &self.transaction),
            for_update: self.for_update,
        })
    }

    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.db.put(key, value)?)
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get(key)?)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        let everything = CompactOptions::default();
        self.db
            .compact_range_opt(None::<&[u8]>, None::<&[u8]>, &everything);
        Ok(())
    }
}

pub(super) struct RocksTxn<'a> {
    txn: Transaction<'a, OptimisticTransactionDB>,
    for_update: bool,
}

impl Txn for RocksTxn<'_> {
    fn get(&mut self, key: &Key) -> Result<usize> {
        // A handle to the snapshot of the transaction, not a new one.
        let length = if self.for_update {
            let found = self.txn.get_pinned_for_update(key, true)?;
            found.map_or(0, |value| value.len())
        } else {
            let snapshot = self.txn.snapshot();
            let found = snapshot.get_pinned(key)?;
            found.map_or(0, |value| value.len())
        };
        Ok(length)
    }

    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.txn.put(key, value)?)
    }

    fn commit(self) -> Result<Outcome> {
        match self.txn.commit() {
            Ok(()) => Ok(Outcome::Committed),
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain) => {
                Ok(Outcome::Conflict)
            }
            Err(error) => Err(error.into()),
        }
    }
}
