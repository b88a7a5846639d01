//! Everything a client can ask, and everything it can be answered.

use bytes::Bytes;
use mantis_kv::{
    Batch, BatchDone, Condition, DeleteDone, Entry, IncrementDone, List, ListPage, Put, PutDone,
};
use mantis_types::Durability;

/// What a front end asks of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Reads a value.
    KvGet {
        /// The key.
        key: Bytes,
    },
    /// Writes a value.
    KvPut {
        /// Value and conditions.
        put: Put,
        /// What the answer waits for.
        durability: Durability,
    },
    /// Removes a key.
    KvDelete {
        /// The key.
        key: Bytes,
        /// When it may be removed.
        condition: Condition,
        /// What the answer waits for.
        durability: Durability,
    },
    /// Adds to an integer.
    KvIncrement {
        /// The key.
        key: Bytes,
        /// What to add.
        by: i64,
        /// What an absent key counts as; `None` is 0.
        initial: Option<i64>,
        /// What the answer waits for.
        durability: Durability,
    },
    /// Lists keys.
    KvList(List),
    /// Several operations.
    KvBatch(Batch),
}

impl Command {
    /// Whether it may change something.
    #[must_use]
    pub fn writes(&self) -> bool {
        match self {
            Self::KvGet { .. } | Self::KvList(_) => false,
            Self::KvPut { .. } | Self::KvDelete { .. } | Self::KvIncrement { .. } => true,
            Self::KvBatch(batch) => batch
                .ops
                .iter()
                .any(|op| !matches!(op, mantis_kv::BatchOp::Get { .. })),
        }
    }
}

/// The answer to a [`Command`], variant by variant.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// To `KvGet`; `None` when absent or expired.
    KvGet(Option<Entry>),
    /// To `KvPut`.
    KvPut(PutDone),
    /// To `KvDelete`.
    KvDelete(DeleteDone),
    /// To `KvIncrement`.
    KvIncrement(IncrementDone),
    /// To `KvList`.
    KvList(ListPage),
    /// To `KvBatch`.
    KvBatch(BatchDone),
}
