//! A commit pipeline of the simplest kind: one thread, a log in memory.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mantis_engine::{Direction, Engine, Record, Snapshot};
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatch, WriteBatchBuilder};

use super::Factory;

/// A key of the suite: database 1, then the text.
#[must_use]
pub fn key(text: impl AsRef<[u8]>) -> Vec<u8> {
    [b"\x01\x02\x01".as_slice(), text.as_ref()].concat()
}

/// A record with this payload; its Seq is 0 until it is applied.
///
/// # Panics
/// Never: it has no attributes that could be too long.
#[must_use]
pub fn record(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .write(payload.as_ref(), &mut bytes)
        .expect("a record without attributes fits");
    bytes
}

/// The payload as text.
#[must_use]
pub fn text_of(record: &Record) -> String {
    String::from_utf8_lossy(record.view().payload()).into_owned()
}

/// What a commit does to keys.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// An engine with the pipeline's part played by the test.
#[derive(Debug)]
pub struct Driver {
    factory: Factory,
    dir: PathBuf,
    engine: Arc<dyn Engine>,
    /// Every commit since the beginning: the log.
    log: Vec<WriteBatch>,
    /// Goes away with the driver.
    temporary: Option<tempfile::TempDir>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.temporary.is_some() && !std::thread::panicking() {
            self.engine.close().expect("an engine closes");
        }
    }
}

impl Driver {
    /// A driver over a new engine in `dir`.
    #[must_use]
    pub fn new(factory: &Factory, dir: &Path) -> Self {
        let dir = dir.join("engine");
        let engine = (factory.open)(&dir);
        Self {
            factory: *factory,
            dir,
            engine,
            log: Vec::new(),
            temporary: None,
        }
    }

    /// A driver over a new engine in a directory that goes away with it; then the engine must close.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn temporary(factory: &Factory) -> Self {
        let dir = tempfile::tempdir().expect("the system has a place for temporary files");
        let mut driver = Self::new(factory, dir.path());
        driver.temporary = Some(dir);
        driver
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The newest commit.
    #[must_use]
    pub fn last(&self) -> Seq {
        Seq::new(self.log.len() as u64)
    }

    /// One commit, published at once.
    ///
    /// # Panics
    /// When the engine refuses it.
    pub fn commit(&mut self, changes: &[Change<'_>]) -> Seq {
        let batch = batch_of(changes);
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes).expect("the engine takes a commit");
        self.engine.check(&batch).expect("its keys are fine");
        let seq = self.last().next();
        let placement = self.engine.place(seq, bytes);
        self.engine.apply(&placement, seq, &batch);
        drop(placement);
        assert!(
            self.engine.horizon().advance(seq.prev()),
            "nobody else publishes"
        );
        self.log.push(batch);
        seq
    }

    /// Puts one record with this payload.
    pub fn put(&mut self, key: &[u8], payload: impl AsRef<[u8]>) -> Seq {
        self.commit(&[(key, Some(&record(payload)))])
    }

    /// Deletes one key.
    pub fn delete(&mut self, key: &[u8]) -> Seq {
        self.commit(&[(key, None)])
    }

    /// The payload of `key` at the snapshot, as text.
    ///
    /// # Panics
    /// When the engine fails.
    #[must_use]
    pub fn get_at(&self, snapshot: &Snapshot, key: &[u8]) -> Option<String> {
        let found = self.engine.get(snapshot, key).expect("a read works");
        found.as_ref().map(text_of)
    }

    /// The payload of `key` now, as text.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<String> {
        self.get_at(&self.engine.snapshot(), key)
    }

    /// All keys and payloads of a range.
    ///
    /// # Panics
    /// When the engine fails.
    #[must_use]
    pub fn scan_at(
        &self,
        snapshot: &Snapshot,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
    ) -> Vec<(Vec<u8>, String)> {
        let scan = self
            .engine
            .scan(snapshot, range, direction)
            .expect("a scan begins");
        let rows = scan.map(|row| {
            let (key, record) = row.expect("a scan goes on");
            (key.as_bytes().to_vec(), text_of(&record))
        });
        rows.collect()
    }

    /// Everything there is now, ascending.
    #[must_use]
    pub fn all(&self) -> Vec<(Vec<u8>, String)> {
        let range = (Bound::Unbounded, Bound::Unbounded);
        self.scan_at(&self.engine.snapshot(), range, Direction::Forward)
    }

    /// Publishes an empty commit for a bulk load, and answers its Seq.
    pub(super) fn number_for_load(&mut self) -> Seq {
        self.commit(&[])
    }

    /// Whether flushed data comes back without the log.
    pub(super) const fn is_durable(&self) -> bool {
        self.factory.durable
    }

    /// Lets the last commit of the log put all of these rows: for what came past the log into an
    /// engine that keeps nothing on disk.
    pub(super) fn remember_all(&mut self, rows: &[(Vec<u8>, String)]) {
        let records: Vec<_> = rows
            .iter()
            .map(|(key, value)| (key, record(value)))
            .collect();
        let changes: Vec<Change<'_>> = records
            .iter()
            .map(|(key, record)| (key.as_slice(), Some(record.as_slice())))
            .collect();
        self.log.pop();
        self.log.push(batch_of(&changes));
    }

    /// Flushes, so that reads go to tables where there are any.
    ///
    /// # Panics
    /// When the engine fails.
    pub fn flush(&self) {
        self.engine.flush().expect("a flush works");
    }

    /// Lets the engine go without closing it, as a crash does, and replays the log into a new one.
    ///
    /// # Panics
    /// When the engine does not open, or refuses the replay.
    pub fn reopen(&mut self) {
        let nothing: Arc<dyn Engine> = (self.factory.open)(&self.dir.with_extension("void"));
        drop(std::mem::replace(&mut self.engine, nothing));
        self.engine = (self.factory.open)(&self.dir);
        self.replay();
    }

    /// Replays the log from where the engine needs it.
    ///
    /// # Panics
    /// When the engine refuses the replay.
    pub fn replay(&self) {
        let from = self.engine.replay_from();
        assert!(
            from <= self.last().next(),
            "the mark {from} is beyond the log"
        );
        for (index, batch) in self.log.iter().enumerate() {
            let seq = Seq::new(index as u64 + 1);
            if seq >= from {
                self.engine.recover(seq, batch).expect("a replay works");
            }
        }
        assert_eq!(self.engine.horizon().get(), self.last());
    }
}

/// The batch of these changes.
pub(super) fn batch_of(changes: &[Change<'_>]) -> WriteBatch {
    let mut batch = WriteBatchBuilder::default();
    for (key, record) in changes {
        let added = match record {
            Some(record) => batch.put(key, record),
            None => batch.delete(key),
        };
        added.expect("keys and records of the suite fit");
    }
    batch.finish()
}
