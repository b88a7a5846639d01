//! The key-value model: any bytes as key and value, versions, expiry, conditions, counters, lists.
//!
//! Every call demands an [`mantis_types::Access`], which only the session makes. Writes read the
//! newest version under the key's latch, so that conditions and increments are exact, and are
//! answered at the durability that was asked. Values over `Limits::chunk_bytes` are stored as chunks
//! below an id of their own, so that replacing or deleting them costs O(1) at commit.
//!
//! It is not: a place for hashes, lists and sets (they come with their protocol), nor a cache.
#![deny(clippy::indexing_slicing)]

mod addition;
mod answer;
mod changes;
mod chunks;
mod commit;
mod counting;
mod error;
mod keyspace;
mod kv;
mod list;
mod request;
mod scan;
mod source;
mod transaction;
mod unit;

pub use answer::{
    BatchDone, DeleteDone, Entry, IncrementDone, ListItem, ListPage, OpDone, PutDone, UNCOMMITTED,
};
pub use changes::{Change, ChangeFilter, Old, Written};
pub use counting::KeyCount;
pub use error::KvError;
pub use kv::{Kv, KvStats};
pub use mantis_txn::Committed;
pub use request::{Batch, BatchOp, Condition, Expiry, List, Put, Terms};
pub use scan::EntryScan;
