//! Commits: numbered, logged, applied and published in one order for all models.
//!
//! A [`Transaction`] reads at a snapshot and buffers what it changes; its commit is checked against
//! what others have committed since, as its [`Isolation`](mantis_types::Isolation) asks:
//!
//! ```
//! # use std::sync::Arc;
//! # use mantis_engine::{MemoryEngine, MemoryOptions};
//! # use mantis_env::Env;
//! # use mantis_txn::{Begin, DurableHook, Store, TxnError};
//! # use mantis_types::{DatabaseId, EncodedKey, Isolation, Limits, OwnerId, RecordBuilder, Space, ValueKind};
//! # let env = Env::real();
//! # let engine = Arc::new(MemoryEngine::new(&env, MemoryOptions::default()));
//! # let store = Store::open(&env, engine, None, &DurableHook::default(), Limits::default())?;
//! # let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), b"stock")?;
//! # let mut one = Vec::new();
//! # RecordBuilder::new(ValueKind::Bytes).write(b"1", &mut one)?;
//! let mut first = store.begin(Begin::at(Isolation::Serializable))?;
//! let mut second = store.begin(Begin::at(Isolation::Serializable))?;
//! assert_eq!(first.get(key.as_bytes())?, None);
//! assert_eq!(second.get(key.as_bytes())?, None);
//! first.put(key.as_bytes(), &one)?;
//! second.put(key.as_bytes(), &one)?;
//! first.commit()?;
//! assert!(matches!(second.commit(), Err(TxnError::Conflict { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A single batch whose keys are latched needs no transaction:
//!
//! ```text
//! admit -> latch -> read the newest versions -> start -> release the latches -> finish
//! ```
//! `start` gives the batch its Seq, its place in the log and its memtable in one short section;
//! `finish` waits for the durability that was asked and for the visible edge.
//!
//! It is not: aware of models, or of who asks. It never names an engine's type.
#![deny(clippy::indexing_slicing)]

mod conflict;
mod error;
mod feed;
mod latch;
mod locks;
pub mod meta;
#[cfg(test)]
mod model;
mod order;
mod outbox;
mod pipeline;
mod ring;
mod stats;
mod store;
mod sweep;
mod tracking;
mod transaction;
mod txn_id;
mod watch;

pub use error::TxnError;
pub use feed::{Before, Feed, FeedCommit, FeedFrom, FeedStats, Known};
pub use latch::Latched;
pub use locks::{LOCK_WAIT_BOUNDS_US, LockError, LockStats, LockWait};
pub use mantis_engine::Counter;
pub use pipeline::Committed;
pub use stats::{LevelStats, TxnStats};
pub(crate) use store::StoreInner;
pub use store::{DurableHook, Pending, Store, read_u64};
pub use sweep::reclaim_members;
pub use transaction::{Begin, Merge, Transaction, TxnScan};
pub use txn_id::TxnId;
pub use watch::{Watch, WatchSet, WatchStats};
