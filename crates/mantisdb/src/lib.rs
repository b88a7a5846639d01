//! MantisDB inside a Rust program: the same store that the server serves, without the server.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use mantisdb::LockFreeStorage;
//! let storage = LockFreeStorage::new();                    // in memory; LockFreeStorage::open(dir)? is durable
//! storage.put("user:1", b"v1".to_vec())?;
//! storage.batch_put(vec![("user:2", b"v2".to_vec()), ("user:3", b"v3".to_vec())])?;   // one atomic batch
//! assert_eq!(storage.get("user:1")?.as_deref(), Some(&b"v1"[..]));
//! let users = storage.scan_prefix("user:").collect::<Result<Vec<_>, _>>()?;           // byte order, one snapshot
//! storage.delete("user:1")?;
//! # assert_eq!(users.len(), 3);
//! # assert_eq!(storage.get("user:1")?, None);
//! # Ok(())
//! # }
//! ```
//!
//! [`LockFreeStorage`] is synchronous and needs no runtime. [`Database`] adds transactions and the
//! commit feed, for asynchronous programs; [`blocking::Database`] is the same for threads. For
//! conditions, content types and tags take a [`Session`] of one.
//!
//! It is not: a client of a running server (one process at a time has a data directory open), nor
//! a home of tables and documents.
//!
//! Its limits are those of [`Limits`]: by default keys of 32 KiB, values of 32 MiB, batches of
//! 10,000 operations and 40 MiB.

pub mod blocking;
mod database;
mod entry;
mod storage;
mod transaction;

pub use database::{CommitFeed, Database};

pub use entry::StorageEntry;
pub use mantis_env::Env;
pub use mantis_session::{
    Batch, BatchDone, BatchOp, Change, ChangeFilter, ChangeSet, Command, Committed, Condition,
    DatabaseOptions, DatabaseStatus, DeleteDone, Entry, Expiry, IncrementDone, KeyCount,
    KvStats as StorageStats, List, ListItem, ListPage, LogSettings, OpDone, Principal, Put,
    PutDone, Reply, Session, SessionError as StorageError, SessionError as Error, TxnId, Written,
};
pub use mantis_types::{Code, Durability, ErrorKind, Isolation as IsolationLevel, Limits, Seq};
pub use storage::{LockFreeStorage, ScanPrefix, StorageOptions};
pub use transaction::Transaction;
