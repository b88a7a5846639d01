//! The columns of the tables: a store and the way in which its transactions are made.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use mantis_types::{Durability, Isolation};

use super::fjall_txns::FjallTxns;
use super::mantis_txns::{How, MantisTxns};
use super::store::Store;
use crate::store::{Contender, Memory};

/// A store and its kind of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The same reads and one batch of the same writes, without a transaction.
    Plain,
    Snapshot,
    Serializable,
    /// What is read is watched, and nothing else: as serializable as ours.
    Fjall,
    /// Reads at the transaction's snapshot, writes checked against it.
    Rocks,
    /// Reads by `get_for_update`: they are checked, too.
    RocksForUpdate,
}

impl Column {
    pub(super) const ALL: [Self; 6] = [
        Self::Plain,
        Self::Snapshot,
        Self::Serializable,
        Self::Fjall,
        Self::Rocks,
        Self::RocksForUpdate,
    ];

    /// Why it cannot be measured here, if so.
    pub(super) const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Rocks | Self::RocksForUpdate => Contender::Rocks(false).missing(),
            _ => None,
        }
    }

    /// Whether a transaction is refused when somebody else has changed what it has read.
    #[cfg(test)]
    pub(super) const fn watches_reads(self) -> bool {
        matches!(
            self,
            Self::Serializable | Self::Fjall | Self::RocksForUpdate
        )
    }

    /// Whether it is refused when somebody else has changed what it writes without having read it.
    #[cfg(test)]
    pub(super) const fn watches_writes(self) -> bool {
        !matches!(self, Self::Plain | Self::Fjall)
    }

    /// Opens it; commits of our own are of class `durability`.
    pub(super) fn open(
        self,
        dir: &Path,
        memory: &Memory,
        durability: Durability,
    ) -> Result<Box<dyn Store>> {
        let mantis = |how| MantisTxns::open(dir, memory, how, durability);
        Ok(match self {
            Self::Plain => Box::new(mantis(How::Plain)?),
            Self::Snapshot => Box::new(mantis(How::Txn(Isolation::Snapshot))?),
            Self::Serializable => Box::new(mantis(How::Txn(Isolation::Serializable))?),
            Self::Fjall => Box::new(FjallTxns::open(dir, memory)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocks => Box::new(super::rocks_txns::RocksTxns::open(dir, memory, false)?),
            #[cfg(feature = "rocksdb")]
            Self::RocksForUpdate => {
                Box::new(super::rocks_txns::RocksTxns::open(dir, memory, true)?)
            }
            #[cfg(not(feature = "rocksdb"))]
            Self::Rocks | Self::RocksForUpdate => {
                anyhow::bail!("{}", self.missing().unwrap_or_default())
            }
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "mantis plain",
            Self::Snapshot => "mantis snapshot",
            Self::Serializable => "mantis serializable",
            Self::Fjall => "fjall optimistic",
            Self::Rocks => "rocksdb optimistic",
            Self::RocksForUpdate => "rocksdb for update",
        })
    }
}
