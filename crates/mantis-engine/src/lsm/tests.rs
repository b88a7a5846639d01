//! The ten lines of the contract with lsm-tree: a check of each, and the control that it notices
//! when the line is broken.

mod contract;
mod damage;
mod disk;
mod limits;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mantis_env::Env;
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};

use super::*;

/// How long a check waits for what must happen; only a failing check waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a check waits for what must not happen.
const SHORT: Duration = Duration::from_millis(300);

/// An engine and the pipeline's part of one thread.
struct Db {
    engine: LsmEngine,
    last: Seq,
}

fn small() -> LsmOptions {
    LsmOptions {
        free_bytes_min: 0,
        snapshot_grace: Duration::ZERO,
        ..LsmOptions::with_memory(8 << 20)
    }
}

/// Nothing happens by itself.
fn by_hand() -> LsmOptions {
    LsmOptions {
        background: false,
        ..small()
    }
}

fn broken(defect: Defect) -> LsmOptions {
    with_hooks(by_hand(), Some(defect), None)
}

fn with_hooks(mut options: LsmOptions, defect: Option<Defect>, probe: Option<Probe>) -> LsmOptions {
    options.hooks = Hooks { defect, probe };
    options
}

/// Runs a check as it must hold, then with the defect, which it must notice.
fn holds_and_notices(defect: Defect, check: impl Fn(LsmOptions) -> bool) {
    holds_and_notices_each(&[defect], check);
}

/// Runs a check as it must hold, then with each defect, which it must notice.
fn holds_and_notices_each(defects: &[Defect], check: impl Fn(LsmOptions) -> bool) {
    assert!(check(by_hand()), "the line does not hold");
    for defect in defects {
        let noticed = !check(broken(*defect));
        assert!(noticed, "the check does not notice {defect:?}");
    }
}

/// How long to wait for something that a defect, if there is one, keeps from happening.
fn patience(options: &LsmOptions) -> Duration {
    if options.hooks.defect.is_some() {
        SHORT
    } else {
        PATIENCE
    }
}

/// Whether `happens` comes true within `patience`.
fn comes_true(patience: Duration, mut happens: impl FnMut() -> bool) -> bool {
    let env = Env::real();
    let started = env.clock().monotonic();
    loop {
        if happens() {
            return true;
        }
        if env.clock().monotonic() - started > patience {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Fails at `point` as long as `fails` says so.
fn failing_at(point: Point, fails: impl Fn() -> bool + Send + Sync + 'static) -> Probe {
    Arc::new(move |reached| {
        if reached == point && fails() {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        Ok(())
    })
}

fn key(text: impl AsRef<[u8]>) -> Vec<u8> {
    [b"\x01\x02\x01".as_slice(), text.as_ref()].concat()
}

fn record(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .write(payload.as_ref(), &mut bytes)
        .unwrap();
    bytes
}

impl Db {
    fn open(dir: &Path, options: LsmOptions) -> Self {
        Self::try_open(dir, options).unwrap()
    }

    fn try_open(dir: &Path, options: LsmOptions) -> Result<Self, EngineError> {
        let engine = LsmEngine::open(&Env::real(), dir, options)?;
        let last = engine.horizon().get();
        Ok(Self { engine, last })
    }

    fn commit(&mut self, changes: &[(&[u8], Option<&[u8]>)]) -> Seq {
        let seq = self.apply(changes);
        assert!(self.engine.horizon().advance(seq.prev()));
        seq
    }

    /// A commit that is not published.
    fn apply(&mut self, changes: &[(&[u8], Option<&[u8]>)]) -> Seq {
        let mut batch = WriteBatchBuilder::default();
        for (key, record) in changes {
            match record {
                Some(record) => batch.put(key, record).unwrap(),
                None => batch.delete(key).unwrap(),
            }
        }
        let batch = batch.finish();
        self.last = self.last.next();
        let placement = self.engine.place(self.last, batch.as_bytes().len() as u64);
        self.engine.apply(&placement, self.last, &batch);
        self.last
    }

    fn put(&mut self, text: &str, payload: &str) -> Seq {
        self.commit(&[(&key(text), Some(&record(payload)))])
    }

    fn delete(&mut self, text: &str) -> Seq {
        self.commit(&[(&key(text), None)])
    }

    fn get(&self, text: &str) -> Option<String> {
        self.get_at(&self.engine.snapshot(), text)
    }

    fn get_at(&self, snapshot: &Snapshot, text: &str) -> Option<String> {
        let found = self.engine.get(snapshot, &key(text)).unwrap();
        found.map(|r| String::from_utf8(r.view().payload().to_vec()).unwrap())
    }

    fn scan(&self) -> Vec<String> {
        let scan = self
            .engine
            .scan(&self.engine.snapshot(), ALL, Direction::Forward)
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        scan.map(|row| {
            let (key, record) = row.unwrap();
            format!(
                "{}={}",
                text(&key.as_bytes()[3..]),
                text(record.view().payload())
            )
        })
        .collect()
    }

    fn flush(&self) {
        self.engine.flush().unwrap();
    }

    fn shared(&self) -> &Shared {
        &self.engine.shared
    }
}

/// Whether `work` ends soon. It goes on in its thread if it does not.
fn ends_soon(work: impl FnOnce() + Send + 'static) -> bool {
    let (ended, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        work();
        // Nobody listens any more when the work took too long.
        ended.send(()).ok();
    });
    drop(thread.unwrap());
    wait.recv_timeout(SHORT).is_ok()
}

/// A copy of a store as a crash at this moment would leave it.
fn copy_of(dir: &Path, to: &Path) -> PathBuf {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_of(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    to.to_owned()
}

fn table_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("tables")).unwrap().count()
}

fn manifests(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with('v'))
        .count()
}
