//! The door of the transaction layer itself, over either engine.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use mantis_engine::{
    Direction, Engine, FlushBarrier, LogReach, LsmEngine, LsmOptions, MemoryBudget, MemoryEngine,
    MemoryOptions, Record,
};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_txn::{Begin, DurableHook, LockWait, Store, Transaction, TxnError};
use mantis_types::{
    Code, DatabaseId, EncodedKey, Limits, OwnerId, RecordBuilder, Space, ValueKind,
};

use super::{Door, Pair, Refusal, Txn, Wish, may_have_happened, refused};

/// Everything that is written through this door belongs to this owner.
const OWNER: OwnerId = OwnerId::new(9);
/// Small, so that flushes and compactions happen all the time.
const BUFFER_BYTES: u64 = 256 << 10;
const CACHE_BYTES: u64 = 2 << 20;
const SEGMENT_BYTES: u64 = 256 << 10;

/// Over what a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Memory alone.
    Memory,
    /// Memory behind a log.
    Logged,
    /// Tables and a log.
    Disk,
}

impl StoreKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Logged, Self::Disk];

    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Logged => "memory and log",
            Self::Disk => "tables and log",
        }
    }

    /// Opens it in `dir`.
    ///
    /// # Errors
    /// When it does not open.
    pub fn open(self, env: &Env, dir: &Path) -> Result<StoreDoor> {
        match self {
            Self::Memory => StoreDoor::in_memory(env),
            Self::Logged => StoreDoor::logged(env, dir),
            Self::Disk => StoreDoor::on_disk(env, dir),
        }
    }
}

/// A store of the transaction layer.
#[derive(Clone, Debug)]
pub struct StoreDoor {
    store: Store,
}

impl StoreDoor {
    /// A store in memory, without a log.
    ///
    /// # Errors
    /// When it does not open.
    pub fn in_memory(env: &Env) -> Result<Self> {
        let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
        Self::over(env, engine, None, &DurableHook::default())
    }

    /// A memory engine behind a log in `dir`, which must be there.
    ///
    /// # Errors
    /// When it does not open.
    pub fn logged(env: &Env, dir: &Path) -> Result<Self> {
        let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
        let hook = DurableHook::default();
        let log = Log::open(env, dir, log_options(&hook))?.log;
        Self::over(env, engine, Some(log), &hook)
    }

    /// Tables and a log in `dir`, made when absent.
    ///
    /// # Errors
    /// When it does not open.
    pub fn on_disk(env: &Env, dir: &Path) -> Result<Self> {
        for below in ["", "tables", "log"] {
            env.fs().create_dir(&dir.join(below))?;
        }
        let memory = MemoryBudget::from_parts(BUFFER_BYTES, CACHE_BYTES);
        let options = LsmOptions {
            free_bytes_min: 0,
            ..LsmOptions::with_budget(memory)
        };
        let engine = Arc::new(LsmEngine::open(env, &dir.join("tables"), options)?);
        let hook = DurableHook::default();
        let options = LogOptions {
            first_seq: engine.replay_from(),
            ..log_options(&hook)
        };
        let log = Log::open(env, &dir.join("log"), options)?.log;
        engine.set_flush_barrier(flush_barrier(&engine, log.clone()));
        Self::over(env, engine, Some(log), &hook)
    }

    fn over(
        env: &Env,
        engine: Arc<dyn Engine>,
        log: Option<Log>,
        hook: &DurableHook,
    ) -> Result<Self> {
        let limits = Limits {
            value_bytes_max: BUFFER_BYTES / 2,
            batch_bytes_max: BUFFER_BYTES / 4 * 3,
            ..Limits::default()
        };
        let store = Store::open(env, engine, log, hook, limits)?;
        Ok(Self { store })
    }

    /// The store itself.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
}

fn log_options(hook: &DurableHook) -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        on_durable: Some(hook.callback()),
        reserve_bytes: 0,
        min_free_bytes: 0,
        ..LogOptions::default()
    }
}

/// Before a flush the log must have everything that goes into tables.
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

impl Door for StoreDoor {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        let now = self.store.env().clock().monotonic();
        let begin = Begin {
            isolation: wish.isolation,
            read_only: wish.read_only,
            durability: wish.durability,
            deadline: wish.span.map(|span| now + span),
            ..Begin::default()
        };
        let transaction = self.store.begin(begin).map_err(|error| refusal(&error))?;
        Ok(Box::new(StoreTxn(transaction)))
    }

    fn close(&self) -> Result<(), Refusal> {
        self.store.close().map_err(|error| refusal(&error))
    }
}

struct StoreTxn(Transaction);

impl Txn for StoreTxn {
    fn statement(&mut self) -> Result<(), Refusal> {
        self.0.statement().map_err(|error| refusal(&error))
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let record = self.0.get(&encoded(key)?);
        Ok(record.map_err(|error| refusal(&error))?.map(payload))
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        let (from, to) = (encoded(from)?, encoded(to)?);
        let bounds = (Bound::Included(&*from), Bound::Excluded(&*to));
        let rows = self.0.scan(bounds.0, bounds.1, Direction::Forward);
        let rows = rows.map_err(|error| refusal(&error))?;
        rows.map(|row| {
            let (key, record) = row.map_err(|error| refusal(&error))?;
            Ok((user_key(key.as_bytes())?, payload(record)))
        })
        .collect()
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let mut record = Vec::new();
        let written = RecordBuilder::new(ValueKind::Bytes).write(value, &mut record);
        written.map_err(|error| Refusal::new("codec", error))?;
        let put = self.0.put(&encoded(key)?, &record);
        put.map_err(|error| refusal(&error))
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        self.0
            .delete(&encoded(key)?)
            .map_err(|error| refusal(&error))
    }

    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        let record = self.0.get_for_update(&encoded(key)?, wait);
        Ok(record.map_err(|error| refusal(&error))?.map(payload))
    }

    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.0
            .try_lock(&encoded(key)?)
            .map_err(|error| refusal(&error))
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Refusal> {
        self.0.savepoint(name).map_err(|error| refusal(&error))
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal> {
        self.0.rollback_to(name).map_err(|error| refusal(&error))
    }

    fn commit(self: Box<Self>) -> Result<Option<u64>, Refusal> {
        match self.0.commit() {
            Ok(committed) => Ok(Some(committed.seq.get())),
            Err(error) => Err(Refusal {
                unknown: may_have_happened(error.code()),
                ..refusal(&error)
            }),
        }
    }

    fn rollback(self: Box<Self>) {
        self.0.rollback();
    }
}

fn refusal(error: &TxnError) -> Refusal {
    Refusal::of(error.code(), error)
}

fn encoded(key: &[u8]) -> Result<Vec<u8>, Refusal> {
    let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Row, OWNER, key);
    key.map(EncodedKey::into_bytes)
        .map_err(|_| refused(Code::TooLarge))
}

fn user_key(encoded: &[u8]) -> Result<Vec<u8>, Refusal> {
    let prefix = EncodedKey::prefix(DatabaseId::DEFAULT, Space::Row, OWNER, 0);
    let key = encoded.strip_prefix(prefix.as_bytes());
    key.map(<[u8]>::to_vec)
        .ok_or_else(|| refused(Code::Corrupt))
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over an option")]
fn payload(record: Record) -> Vec<u8> {
    record.view().payload().to_vec()
}
