//! The door of programs that embed the database: `mantisdb::blocking`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use mantis_env::Env;
use mantis_session::DatabaseOptions;
use mantis_txn::LockWait;
use mantis_types::Code;
use mantisdb::blocking::{Database, Transaction};

use super::{Door, Pair, Refusal, Txn, Wish, may_have_happened};

/// Small, so that flushes and compactions happen all the time.
const BUFFER_BYTES: u64 = 1 << 20;
const CACHE_BYTES: u64 = 2 << 20;
const SEGMENT_BYTES: u64 = 256 << 10;
/// As long as a wait of the transaction layer itself.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// An embedded database. Commits have the class of the database: `sync` on disk, `none` in memory.
#[derive(Clone, Debug)]
pub struct Embedded {
    database: Database,
}

impl Embedded {
    /// A database in memory.
    ///
    /// # Errors
    /// When it does not open.
    pub fn in_memory() -> Result<Self> {
        let database = Database::open_in_memory()?;
        Ok(Self { database })
    }

    /// A database in `dir`, made when absent.
    ///
    /// # Errors
    /// When it does not open.
    pub fn on_disk(env: &Env, dir: &Path) -> Result<Self> {
        let database = Database::open_with(small(env, dir))?;
        Ok(Self { database })
    }
}

/// How the doors over a whole database open it on disk.
pub(super) fn small(env: &Env, dir: &Path) -> DatabaseOptions {
    let mut options = DatabaseOptions::new(env.clone(), dir).sized(BUFFER_BYTES, CACHE_BYTES);
    options.log.segment_bytes = SEGMENT_BYTES;
    options.min_free_bytes = 0;
    options
}

impl Door for Embedded {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        let level = wish.isolation;
        let begun = match wish.read_only {
            true => self.database.begin_read_only(level),
            false => self.database.begin(level),
        };
        let mut transaction = begun.map_err(|error| refusal(&error))?;
        let lock_timeout = wish.span.unwrap_or(LOCK_TIMEOUT);
        transaction.set_lock_timeout(lock_timeout);
        Ok(Box::new(EmbeddedTxn {
            transaction,
            lock_timeout,
        }))
    }

    fn close(&self) -> Result<(), Refusal> {
        self.database.close().map_err(|error| refusal(&error))
    }
}

struct EmbeddedTxn {
    transaction: Transaction,
    lock_timeout: Duration,
}

impl EmbeddedTxn {
    /// Locks without waiting; `None` when somebody else holds it.
    fn lock_now(&mut self, key: &[u8]) -> Result<Option<Option<Bytes>>, Refusal> {
        self.transaction.set_lock_timeout(Duration::ZERO);
        let locked = self.transaction.get_for_update(key.to_vec());
        self.transaction.set_lock_timeout(self.lock_timeout);
        match locked {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code() == Code::DeadlineExceeded => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }
}

impl Txn for EmbeddedTxn {
    /// Each call is a statement.
    fn statement(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let value = self.transaction.get(key.to_vec());
        Ok(value.map_err(|error| refusal(&error))?.map(Vec::from))
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        let to = Bytes::copy_from_slice(to);
        let rows = self.transaction.scan(from.to_vec(), Some(to), usize::MAX);
        let rows = rows.map_err(|error| refusal(&error))?.into_iter();
        Ok(rows
            .map(|(key, value)| (key.into(), value.into()))
            .collect())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let put = self.transaction.put(key.to_vec(), value.to_vec());
        put.map_err(|error| refusal(&error))
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let deleted = self.transaction.delete(key.to_vec());
        deleted.map(drop).map_err(|error| refusal(&error))
    }

    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        let value = match wait {
            LockWait::Wait => self
                .transaction
                .get_for_update(key.to_vec())
                .map_err(|error| refusal(&error))?,
            LockWait::NoWait => self
                .lock_now(key)?
                .ok_or_else(|| super::refused(Code::DeadlineExceeded))?,
        };
        Ok(value.map(Vec::from))
    }

    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        Ok(self.lock_now(key)?.is_some())
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Refusal> {
        let opened = self.transaction.savepoint(name);
        opened.map_err(|error| refusal(&error))
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal> {
        let rolled_back = self.transaction.rollback_to(name);
        rolled_back.map_err(|error| refusal(&error))
    }

    fn commit(self: Box<Self>) -> Result<Option<u64>, Refusal> {
        match self.transaction.commit() {
            Ok(committed) => Ok(Some(committed.seq.get())),
            Err(error) => Err(Refusal {
                unknown: may_have_happened(error.code()),
                ..refusal(&error)
            }),
        }
    }

    fn rollback(self: Box<Self>) {
        self.transaction.rollback();
    }
}

fn refusal(error: &mantisdb::Error) -> Refusal {
    Refusal::of(error.code(), error)
}
