//! The opened database: directory, engine, log, pipeline and models together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mantis_engine::{
    Engine, FlushBarrier, LogReach, LsmEngine, LsmOptions, MemoryBudget, MemoryEngine,
    MemoryOptions,
};
use mantis_env::Env;
use mantis_kv::{KeyCount, Kv};
use mantis_log::{Log, LogOptions};
use mantis_txn::{DurableHook, Store};
use mantis_types::{Access, Limits, Seq};

use crate::checkpoint::{self, Checkpoint};
use crate::registry::{Registry, Transactions};
use crate::{DatabaseOptions, DatabaseStatus, Principal, Session, SessionError, StoreDir};

/// An opened database. Cheap to clone; dropping the last clone without [`Database::close`] is like
/// a kill: nothing that was acknowledged as `sync` or `interval` is lost.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Goes before the store: its transactions end while the store is there.
    transactions: Transactions,
    store: Store,
    kv: Kv,
    opened_at: Duration,
}

impl Database {
    /// Opens the database in a directory, and makes it when there is none. Cost: reading the live
    /// log, which is bounded by twice the memtable budget.
    ///
    /// # Errors
    /// `InUse` when another process has it open; `Corrupt` when log or tables are damaged, with the
    /// place; `LaterFormat`; `BadOption`; `Io`.
    pub fn open(options: DatabaseOptions) -> Result<Self, SessionError> {
        check(&options)?;
        let dir = StoreDir::open(&options.env, &options.dir)?;
        let env = &options.env;
        let engine = Arc::new(LsmEngine::open(env, &dir.tables(), lsm_options(&options))?);
        let hook = DurableHook::default();
        let log_options = LogOptions {
            segment_bytes: options.log.segment_bytes,
            interval: options.log.interval,
            retain_bytes: options.log.retain_bytes,
            retain_age: options.log.retain_age,
            buffer_bytes_max: LogOptions::buffer_within(options.buffer_bytes),
            first_seq: engine.replay_from(),
            create: false,
            on_durable: Some(hook.callback()),
            ..LogOptions::default()
        };
        let opened = Log::open(env, &dir.log(), log_options)?;
        engine.set_flush_barrier(flush_barrier(&engine, opened.log.clone()));
        let store = Store::open(env, engine, Some(opened.log), &hook, options.limits)?;
        if store.keep(Box::new(dir)).is_err() {
            return Err(SessionError::InUse { process: None });
        }
        Self::over(store)
    }

    /// A database that lives in memory and ends with the process; commits are of class `none`.
    ///
    /// # Errors
    /// None are expected.
    pub fn open_in_memory(env: &Env) -> Result<Self, SessionError> {
        let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
        let hook = DurableHook::default();
        let store = Store::open(env, engine, None, &hook, Limits::default())?;
        Self::over(store)
    }

    fn over(store: Store) -> Result<Self, SessionError> {
        let kv = Kv::open(store.clone(), 0)?;
        let opened_at = store.env().clock().monotonic();
        Ok(Self {
            inner: Arc::new(Inner {
                transactions: Transactions::new(store.env(), store.limits()),
                store,
                kv,
                opened_at,
            }),
        })
    }

    /// A session for a principal.
    #[must_use]
    pub fn session(&self, principal: Principal) -> Session {
        Session::new(self.clone(), principal)
    }

    /// What it says about itself. Cost: some hundred atomic loads.
    #[must_use]
    pub fn status(&self) -> DatabaseStatus {
        let store = &self.inner.store;
        let now = store.env().clock().monotonic();
        DatabaseStatus {
            open_for: now.saturating_sub(self.inner.opened_at),
            visible_seq: store.visible_seq(),
            durable_seq: store.log().map(Log::durable_seq),
            read_only: store
                .log()
                .and_then(Log::poisoned)
                .map(|why| why.to_string()),
            kv: self.inner.kv.stats(),
            transactions: store.stats(),
            joinable: self.registry().stats(),
            storage: store.engine().status(),
            log: store.log().map(Log::stats),
        }
    }

    /// How many live keys there are; `None` for more than `Limits::count_scan_max`. Cost: a scan.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn count_keys(&self) -> Result<Option<u64>, SessionError> {
        Ok(self.inner.kv.count(Access::grant())?)
    }

    /// The same for statistics: exact up to 10,000 keys, else as of a moment ago. Cost: at most a
    /// scan of so many, and of all of them once in a while.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn count_keys_recent(&self) -> Result<KeyCount, SessionError> {
        Ok(self.inner.kv.count_recent(Access::grant())?)
    }

    /// The round trip of a read, for those who look after the server: counted nowhere. May read
    /// tables.
    ///
    /// # Errors
    /// As a read.
    pub fn probe(&self) -> Result<(), SessionError> {
        Ok(self.inner.kv.probe(Access::grant())?)
    }

    /// As [`Self::probe`], but only if memory has the answer; never blocks.
    pub fn probe_ready(&self) -> Option<Result<(), SessionError>> {
        let probed = self.inner.kv.probe_ready(Access::grant())?;
        Some(probed.map_err(SessionError::from))
    }

    /// The newest commit that readers see.
    #[must_use]
    pub fn visible_seq(&self) -> Seq {
        self.inner.store.visible_seq()
    }

    /// Waits until `seq` is visible; false when `timeout` passed first. Blocks.
    ///
    /// # Errors
    /// `ReadOnly` when the log failed.
    pub fn wait_visible(&self, seq: Seq, timeout: Duration) -> Result<bool, SessionError> {
        Ok(self.inner.store.wait_visible(seq, timeout)?)
    }

    /// Writes the memtables to tables. Blocks.
    ///
    /// # Errors
    /// `DiskFull`, `Corrupt`.
    pub fn flush(&self) -> Result<(), SessionError> {
        Ok(self.inner.store.engine().flush()?)
    }

    /// Merges all tables. Blocks for as long as that takes.
    ///
    /// # Errors
    /// `DiskFull`, `Corrupt`.
    pub fn compact(&self) -> Result<(), SessionError> {
        Ok(self.inner.store.engine().compact()?)
    }

    /// Makes `dir` a data directory of its own that holds everything visible now: tables by hard
    /// links, the log's tail by copy. Writers go on. Must be on the same disk.
    ///
    /// # Errors
    /// `DiskFull`, `NotAStore` when there is a store already or this database lives in memory, `Io`.
    pub fn checkpoint(&self, dir: &Path) -> Result<Checkpoint, SessionError> {
        checkpoint::make(&self.inner.store, dir)
    }

    /// One round of the sweep at once: deletes what has expired and reclaims what was emptied;
    /// answers how many keys it looked at, 0 when nothing is left to do.
    ///
    /// # Errors
    /// As a commit.
    pub fn sweep(&self) -> Result<usize, SessionError> {
        Ok(self.inner.store.sweep()?)
    }

    /// The limits it was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.inner.store.limits()
    }

    /// The environment it runs in.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.inner.store.env()
    }

    /// Clean shutdown: refuses further commits, waits for those under way, writes and syncs
    /// everything. A second call does nothing. Blocks.
    ///
    /// # Errors
    /// What engine and log answer; nothing that was acknowledged is lost by it.
    pub fn close(&self) -> Result<(), SessionError> {
        Ok(self.inner.store.close()?)
    }

    /// Changes how long a joinable transaction may be unused, and how long one that begins from now
    /// on may be open, before it is rolled back. Default: 30 s and 300 s.
    pub fn set_transaction_timeouts(&self, idle: Duration, life: Duration) {
        self.registry().set_timeouts(idle, life);
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.inner.transactions.registry
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn kv(&self) -> &Kv {
        &self.inner.kv
    }
}

/// Before a flush the log must have everything that goes into tables; and what the flush before it
/// has written, the log may forget.
fn flush_barrier(engine: &Arc<LsmEngine>, log: Log) -> FlushBarrier {
    let engine = Arc::downgrade(engine);
    Arc::new(move |seq| {
        if let Some(engine) = engine.upgrade() {
            log.release(engine.replay_from());
        }
        match log.sync(seq) {
            Ok(()) => LogReach::OnDisk,
            Err(_) if log.poisoned().is_some() => LogReach::Never,
            Err(_) => LogReach::NotYet,
        }
    })
}

fn check(options: &DatabaseOptions) -> Result<(), SessionError> {
    let limits = &options.limits;
    let bad = |option, why| Err(SessionError::BadOption { option, why });
    if options.buffer_bytes < 1 << 20 {
        return bad("buffer_size", "at least 1 MiB is needed");
    }
    if limits.value_bytes_max > options.buffer_bytes / 2 {
        return bad("limits.max_value_size", "at most half of buffer_size");
    }
    if limits.chunk_bytes == 0 {
        return bad("limits.chunk_bytes", "at least 1 byte");
    }
    if limits.batch_bytes_max > options.buffer_bytes / 4 * 3 {
        return bad(
            "limits.batch_bytes_max",
            "at most three quarters of buffer_size",
        );
    }
    if limits.batch_bytes_max < limits.value_bytes_max {
        return bad("limits.batch_bytes_max", "at least limits.max_value_size");
    }
    Ok(())
}

fn lsm_options(options: &DatabaseOptions) -> LsmOptions {
    let memory = MemoryBudget::from_parts(options.buffer_bytes, options.cache_bytes);
    LsmOptions {
        free_bytes_min: options.min_free_bytes,
        ..LsmOptions::with_budget(memory)
    }
}
