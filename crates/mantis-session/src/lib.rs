//! The facade that every front end calls: one opened [`Database`], cheap [`Session`]s on it, and
//! [`Session::execute`] from a [`Command`] to a [`Reply`].
//!
//! Access control stands here, below all front ends: models demand an `Access` that only this crate
//! makes.
//!
//! It is not: a front end, nor a place for business rules of one model.

mod changes;
mod checkpoint;
mod command;
mod database;
mod error;
mod once;
mod options;
mod registry;
mod session;
mod status;
mod storedir;
mod transaction;

pub use changes::{ChangeFeed, ChangeSet, FeedBounds};
pub use checkpoint::Checkpoint;
pub use command::{Command, Reply};
pub use database::Database;
pub use error::SessionError;
pub use mantis_kv::{
    Batch, BatchDone, BatchOp, Change, ChangeFilter, Committed, Condition, DeleteDone, Entry,
    EntryScan, Expiry, IncrementDone, KeyCount, KvError, KvStats, List, ListItem, ListPage, Old,
    OpDone, Put, PutDone, UNCOMMITTED, Written,
};
pub use mantis_txn::{
    Begin, FeedFrom, FeedStats, LOCK_WAIT_BOUNDS_US, LevelStats, LockStats, LockWait, TxnId,
    TxnStats, WatchStats,
};
pub use once::{Once, Receipt};
pub use options::{DatabaseOptions, LogSettings};
pub use registry::{
    Claim, Ended, RegistryStats, TransactionKey, TransactionState, TransactionStatus,
};
pub use session::{Principal, Session};
pub use status::DatabaseStatus;
pub use storedir::{FORMAT_VERSION, NewStore, StoreDir};
pub use transaction::Transaction;
