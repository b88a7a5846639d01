//! The synchronous storage for Rust programs: one database, one session that owns it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Batch, BatchOp, Command, Condition, Database, DatabaseOptions, Entry, EntryScan, Expiry,
    KvStats, Principal, Put, Reply, Session, SessionError,
};
use mantis_types::Durability;

use crate::StorageEntry;

/// How a durable storage is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// What a write has survived when its call returns. Default [`Durability::Sync`]: a power cut.
    pub durability: Durability,
    /// Bytes for cached rows, blocks, filters and indexes. Default 256 MiB.
    pub cache_bytes: u64,
    /// Bytes for writes that are not in tables yet. Default 64 MiB. At the limit writers are slowed
    /// down smoothly.
    pub buffer_bytes: u64,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            cache_bytes: 256 << 20,
            buffer_bytes: 64 << 20,
        }
    }
}

/// Keys and values in one ordered, multi-versioned store. Cheap to clone; all clones are the same
/// store, usable from any thread. Reads take no lock.
///
/// Keys and values are anything that turns into bytes: `&str`, `String`, `Vec<u8>`, `&[u8]` of
/// static lifetime, [`Bytes`].
#[derive(Clone, Debug)]
pub struct LockFreeStorage {
    database: Database,
    session: Session,
    durability: Durability,
}

impl Default for LockFreeStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl LockFreeStorage {
    /// A storage in memory, which ends with the last clone. No write of it is durable.
    ///
    /// # Panics
    /// Never by what a caller does: an empty store in memory does no I/O that could fail.
    #[must_use]
    pub fn new() -> Self {
        let database = Database::open_in_memory(&Env::real());
        let database = database.expect("an empty store in memory does no I/O");
        Self::over(database, Durability::None)
    }

    /// Opens the storage in a directory, and makes it when there is none. Every write is on disk
    /// when its call returns. Cost: reading the live log, bounded by twice the write buffer. Blocks.
    ///
    /// # Errors
    /// `starting` when another process has it open; `corrupt` when log or tables are damaged;
    /// `disk_full`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// # use mantisdb::LockFreeStorage;
    /// let storage = LockFreeStorage::open(dir)?;
    /// storage.put("k", "v")?;
    /// storage.close()?;
    /// # drop(storage);
    /// assert_eq!(LockFreeStorage::open(dir)?.get("k")?.as_deref(), Some(&b"v"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, SessionError> {
        Self::open_with(dir, &StorageOptions::default())
    }

    /// As [`Self::open`], with options.
    ///
    /// # Errors
    /// As [`Self::open`]; `invalid_value` for options that cannot be.
    pub fn open_with(
        dir: impl AsRef<Path>,
        options: &StorageOptions,
    ) -> Result<Self, SessionError> {
        let database = Database::open(
            DatabaseOptions::new(Env::real(), dir.as_ref())
                .sized(options.buffer_bytes, options.cache_bytes),
        )?;
        Ok(Self::over(database, options.durability))
    }

    pub(crate) fn over(database: Database, durability: Durability) -> Self {
        let session = database.session(Principal::Owner);
        Self {
            database,
            session,
            durability,
        }
    }

    /// This storage with another class for the writes of this clone.
    #[must_use]
    pub const fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Stores a value for ever. Blocks: on back-pressure, and with [`Durability::Sync`] on one
    /// fsync, which it shares with other writers.
    ///
    /// # Errors
    /// `too_large`, `disk_full`, `read_only` after a failed fsync.
    pub fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<(), SessionError> {
        self.put_one(Put::new(key, value))
    }

    /// Stores a value that expires after `ttl`; at least a millisecond, rounded up.
    ///
    /// # Errors
    /// As [`Self::put`]; `invalid_value` for no time at all, or more than `Limits::ttl_seconds_max`.
    pub fn put_with_ttl(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<(), SessionError> {
        let ms = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.put_one(Put {
            expiry: Expiry::AfterMs(ms),
            ..Put::new(key, value)
        })
    }

    fn put_one(&self, put: Put) -> Result<(), SessionError> {
        let durability = self.durability;
        self.session
            .execute(Command::KvPut { put, durability })
            .map(drop)
    }

    /// The value, or `None` when the key is absent or expired. From memory without a copy; may read
    /// a table.
    ///
    /// # Errors
    /// `wrong_type` for a key that holds a collection, `corrupt`.
    pub fn get(&self, key: impl Into<Bytes>) -> Result<Option<Bytes>, SessionError> {
        Ok(self.read(key.into())?.map(|entry| entry.value))
    }

    fn read(&self, key: Bytes) -> Result<Option<Entry>, SessionError> {
        match self.session.execute(Command::KvGet { key })? {
            Reply::KvGet(found) => Ok(found),
            other => unreachable!("a get is answered by a get, not {other:?}"),
        }
    }

    /// Removes a key; answers whether it was there. Blocks as [`Self::put`].
    ///
    /// # Errors
    /// `disk_full`, `read_only` after a failed fsync.
    pub fn delete(&self, key: impl Into<Bytes>) -> Result<bool, SessionError> {
        let (key, condition, durability) = (key.into(), Condition::Always, self.durability);
        match self.session.execute(Command::KvDelete {
            key,
            condition,
            durability,
        })? {
            Reply::KvDelete(done) => Ok(done.committed.is_some()),
            other => unreachable!("a delete is answered by a delete, not {other:?}"),
        }
    }

    /// Stores all pairs in one commit, or none of them. Blocks as [`Self::put`].
    ///
    /// # Errors
    /// As [`Self::put`]; nothing was stored then.
    pub fn batch_put<K, V>(&self, pairs: Vec<(K, V)>) -> Result<(), SessionError>
    where
        K: Into<Bytes>,
        V: Into<Bytes>,
    {
        let ops = pairs
            .into_iter()
            .map(|(key, value)| BatchOp::Set(Put::new(key, value)));
        let batch = Batch {
            ops: ops.collect(),
            atomic: true,
            durability: self.durability,
        };
        self.session.execute(Command::KvBatch(batch)).map(drop)
    }

    /// The pairs whose keys begin with `prefix`, in byte order, from the snapshot of this moment,
    /// however long it takes. Memory: one batch of rows; the snapshot is held until the iterator is
    /// dropped.
    pub fn scan_prefix(&self, prefix: impl Into<Bytes>) -> ScanPrefix {
        match self.session.scan(&prefix.into()) {
            Ok(scan) => ScanPrefix(Rows::Entries(Box::new(scan))),
            Err(error) => ScanPrefix(Rows::Refused(Some(error))),
        }
    }

    /// The newest version of a key that is still kept and not deleted.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn entry(&self, key: impl Into<Bytes>) -> Result<Option<StorageEntry>, SessionError> {
        Ok(self.read(key.into())?.map(version_of))
    }

    /// The newest versions of all keys with a prefix, in byte order, from one snapshot.
    ///
    /// # Errors
    /// `corrupt`; `too_large` for a prefix that no key can have.
    pub fn entries(&self, prefix: impl Into<Bytes>) -> Result<Vec<StorageEntry>, SessionError> {
        let scan = self.session.scan(&prefix.into())?;
        scan.map(|entry| Ok(version_of(entry?))).collect()
    }

    /// The newest commit that readers see: a `snapshot_ts` for [`StorageEntry::visible_to`].
    #[must_use]
    pub fn visible_seq(&self) -> u64 {
        self.database.visible_seq().get()
    }

    /// Counts since the storage was opened, over all clones.
    #[must_use]
    pub fn stats(&self) -> KvStats {
        self.database.status().kv
    }

    /// The database below, for everything else.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Refuses further writes, and writes and syncs everything. Without it nothing is lost that was
    /// stored as `sync` or `interval`. Blocks.
    ///
    /// # Errors
    /// What log and tables answer.
    pub fn close(&self) -> Result<(), SessionError> {
        self.database.close()
    }
}

fn version_of(entry: Entry) -> StorageEntry {
    StorageEntry {
        key: entry.key,
        value: entry.value,
        created_at: entry.version.get(),
        deleted_at: None,
    }
}

/// Pairs of key and value, see [`LockFreeStorage::scan_prefix`].
#[derive(Debug)]
pub struct ScanPrefix(Rows);

#[derive(Debug)]
enum Rows {
    Entries(Box<EntryScan>),
    /// It could not begin; said once.
    Refused(Option<SessionError>),
}

impl Iterator for ScanPrefix {
    type Item = Result<(Bytes, Bytes), SessionError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rows::Entries(scan) => {
                let next = scan.next()?;
                Some(
                    next.map(|entry| (entry.key, entry.value))
                        .map_err(SessionError::from),
                )
            }
            Rows::Refused(error) => error.take().map(Err),
        }
    }
}
