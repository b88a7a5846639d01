//! What the database says about itself; every number is measured where the thing happens.

use std::time::Duration;

use mantis_engine::EngineStatus;
use mantis_kv::KvStats;
use mantis_log::LogStats;
use mantis_txn::TxnStats;
use mantis_types::Seq;

use crate::RegistryStats;

/// The state of a database at one moment.
#[derive(Clone, Debug)]
pub struct DatabaseStatus {
    /// Time since it was opened.
    pub open_for: Duration,
    /// The newest commit that readers see.
    pub visible_seq: Seq,
    /// The newest commit that survives a power cut; `None` for a database in memory.
    pub durable_seq: Option<Seq>,
    /// Why no more writes are taken, if so: after a failed write or fsync of the log.
    pub read_only: Option<String>,
    /// Key-value counters.
    pub kv: KvStats,
    /// Commits, expiries, reclaimed keys.
    pub transactions: TxnStats,
    /// Transactions that requests may join.
    pub joinable: RegistryStats,
    /// The engine: tables, memtables, caches, flushes, compactions.
    pub storage: EngineStatus,
    /// The commit log; `None` for a database in memory.
    pub log: Option<LogStats>,
}
