//! Commits: numbered, logged, applied and published in one order for all models.
//!
//! ```text
//! admit -> latch -> read the newest versions -> start -> release the latches -> finish
//! ```
//! `start` gives the batch its Seq, its place in the log and its memtable in one short section;
//! `finish` waits for the durability that was asked and for the visible edge.
//!
//! It is not yet: interactive transactions and isolation levels; every commit here is one batch
//! whose keys were latched. It never names an engine's type.
#![deny(clippy::indexing_slicing)]

mod error;
mod latch;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the lock table comes before the transactions that use it"
    )
)]
mod locks;
pub mod meta;
mod pipeline;
mod ring;
mod stats;
mod store;
mod sweep;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "numbers for the transactions that use the lock table"
    )
)]
mod txn_id;

pub use error::TxnError;
pub use latch::Latched;
pub use locks::{LockError, LockStats, LockWait};
pub use mantis_engine::Counter;
pub use pipeline::Committed;
pub use stats::TxnStats;
pub(crate) use store::StoreInner;
pub use store::{DurableHook, Pending, Store, read_u64};
pub use sweep::reclaim_members;
pub use txn_id::TxnId;
