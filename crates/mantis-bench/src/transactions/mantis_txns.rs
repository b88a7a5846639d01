//! MantisDB's transactions, and the same work without one.

use std::path::Path;

use anyhow::Result;
use mantis_txn::{Begin, Store as Commits, Transaction, TxnError};
use mantis_types::{Durability, Isolation, RecordBuilder, ValueKind, WriteBatchBuilder};

use super::store::{Outcome, Transactional, Txn};
use crate::keys::Key;
use crate::store::{Mantis, Memory, Store, encoded};

/// How reads and writes are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Not at all: newest versions are read, and one batch is written.
    Plain,
    Txn(Isolation),
}

/// A store, and how it is used.
pub(crate) struct MantisTxns {
    mantis: Mantis,
    how: How,
    durability: Durability,
}

impl MantisTxns {
    pub(crate) fn open(
        dir: &Path,
        memory: &Memory,
        how: How,
        durability: Durability,
    ) -> Result<Self> {
        // What is loaded need not be synced commit by commit.
        let mantis = Mantis::open(dir, memory, Durability::Interval)?;
        Ok(Self {
            mantis,
            how,
            durability,
        })
    }

    /// The store below.
    pub(crate) const fn mantis(&self) -> &Mantis {
        &self.mantis
    }
}

impl Transactional for MantisTxns {
    type Txn<'a> = MantisTxn<'a>;

    fn begin(&self) -> Result<MantisTxn<'_>> {
        let (store, durability) = (self.mantis.commits(), self.durability);
        Ok(match self.how {
            How::Plain => MantisTxn::Plain {
                store,
                durability,
                batch: WriteBatchBuilder::with_capacity(256),
                modified_ms: store.env().clock().now_ms(),
            },
            How::Txn(isolation) => MantisTxn::Txn {
                txn: store.begin(Begin {
                    isolation,
                    durability,
                    ..Begin::default()
                })?,
                record: Vec::new(),
            },
        })
    }

    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.mantis.put(key, value)
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        let key = encoded(key)?;
        let found = self.mantis.commits().engine().get_latest(key.as_bytes())?;
        Ok(found.map(|record| record.view().payload().to_vec()))
    }

    fn settle(&self) -> Result<()> {
        self.mantis.settle()
    }
}

/// Both ways.
#[expect(
    clippy::large_enum_variant,
    reason = "an allocation more would be measured, too"
)]
pub(crate) enum MantisTxn<'a> {
    Plain {
        store: &'a Commits,
        durability: Durability,
        batch: WriteBatchBuilder,
        modified_ms: u64,
    },
    Txn {
        txn: Transaction,
        /// The bytes of the last record, for its buffer.
        record: Vec<u8>,
    },
}

impl Txn for MantisTxn<'_> {
    fn get(&mut self, key: &Key) -> Result<usize> {
        let key = encoded(key)?;
        let found = match self {
            Self::Plain { store, .. } => store.engine().get_latest(key.as_bytes())?,
            Self::Txn { txn, .. } => txn.get(key.as_bytes())?,
        };
        Ok(found.map_or(0, |record| record.view().payload().len()))
    }

    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        let key = encoded(key)?;
        let builder = RecordBuilder::new(ValueKind::Bytes);
        match self {
            Self::Plain {
                batch, modified_ms, ..
            } => batch.put_with(key.as_bytes(), |out| {
                builder.modified_ms(*modified_ms).write(value, out)
            })?,
            Self::Txn { txn, record } => {
                record.clear();
                builder.modified_ms(txn.now_ms()).write(value, record)?;
                txn.put(key.as_bytes(), record)?;
            }
        }
        Ok(())
    }

    fn commit(self) -> Result<Outcome> {
        match self {
            Self::Plain {
                store,
                durability,
                batch,
                ..
            } => {
                if batch.is_empty() {
                    return Ok(Outcome::Committed);
                }
                store.admit(batch.len() as u64)?;
                let batch = batch.finish();
                let keys = batch.entries().map(|entry| entry.key());
                let latched = store.latch_free(&keys, None)?;
                let pending = store.start(&latched, batch, durability)?;
                drop(latched);
                store.finish(pending)?;
            }
            Self::Txn { txn, .. } => match txn.commit() {
                Ok(_) => {}
                Err(TxnError::Conflict { .. }) => return Ok(Outcome::Conflict),
                Err(error) => return Err(error.into()),
            },
        }
        Ok(Outcome::Committed)
    }
}
