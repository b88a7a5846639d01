//! Versioned ordered storage: memory engine, LSM engine, row cache.
//!
//! An [`Engine`] makes the records of commits findable. It is given commits that have their number
//! already ([`Engine::place`], [`Engine::apply`]), and answers reads at a [`Snapshot`], which never
//! changes however long it is held. Two engines share one memtable: [`MemoryEngine`] keeps everything
//! in it, [`LsmEngine`] flushes it into immutable sorted tables.
//!
//! ```
//! use mantis_engine::{Direction, Engine, MemoryEngine, MemoryOptions};
//! use mantis_env::Env;
//! use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};
//!
//! let engine = MemoryEngine::new(&Env::real(), MemoryOptions::default());
//! let mut batch = WriteBatchBuilder::default();
//! batch.put_with(b"\x01key", |out| RecordBuilder::new(ValueKind::Bytes).write(b"value", out))?;
//! let batch = batch.finish();
//! let placement = engine.place(Seq::new(1), batch.as_bytes().len() as u64);
//! engine.apply(&placement, Seq::new(1), &batch);
//! engine.horizon().advance(Seq::ZERO);
//! let found = engine.get(&engine.snapshot(), b"\x01key")?.expect("it was just put");
//! assert_eq!(found.view().payload(), b"value");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is not:
//! - durable by itself: what is in memtables comes back from the log above;
//! - transactional: who may write which key when is decided above;
//! - aware of models: keys and records are bytes with a header. Keys of database 0 (first byte 0)
//!   are the engine's own; no read shows them.
//!
//! Limits: a key has 1 to 65,535 bytes; a record is smaller than 4 GiB; Seqs are ascending.
#![deny(clippy::indexing_slicing)]

mod counter;
mod engine;
mod error;
mod horizon;
mod lsm;
mod memory;
mod memtable;
#[cfg(test)]
mod model;
mod options;
mod record;
mod registry;
mod row_cache;
mod scan;
mod status;
mod view;

pub use counter::Counter;
pub use engine::{Direction, Engine, FlushBarrier, KeyRange, LogReach, Placement, Ready};
pub use error::{EngineError, FileKind};
pub use horizon::Horizon;
#[doc(hidden)]
pub use lsm::{Defect, Hooks, Point, Probe};
pub use lsm::{LsmEngine, RepairReport, VerifyReport, repair, verify};
pub use memory::MemoryEngine;
pub use options::{LsmOptions, MemoryBudget, MemoryOptions};
pub use record::{Key, Record};
pub use scan::Scan;
pub use status::{BulkInfo, CheckpointInfo, EngineStatus};
pub use view::Snapshot;
