//! File systems that do something wrong with syncs: the controls of everything about durability, and
//! a single failure where it hurts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mantis_env::{File, Fs, Lock, OpenMode};

/// What the file system does when a file is to be synced.
#[derive(Clone, Debug)]
pub enum Lie {
    /// Nothing, and it says that all is well.
    Skip,
    /// It syncs, and keeps a failure to itself.
    Swallow,
    /// It syncs, but fails once where it was told to.
    Fail(OneFailure),
}

/// Makes the Nth `sync_data` fail, once: the next one would answer well. The log syncs its commits by
/// that call, and what it writes ahead by `sync_all`.
#[derive(Clone, Debug, Default)]
pub struct OneFailure {
    left: Arc<AtomicU64>,
}

impl OneFailure {
    /// The `nth` call from now on fails.
    pub fn arm(&self, nth: u64) {
        self.left.store(nth, Ordering::SeqCst);
    }

    /// Whether this is the call that must fail.
    fn is_now(&self) -> bool {
        let down = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down)
            == Ok(1)
    }

    /// Whether the failure has happened.
    #[must_use]
    pub fn was_met(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// A file system that lies.
#[derive(Debug)]
pub struct LyingFs {
    /// What it stands on.
    pub inner: Arc<dyn Fs>,
    /// How it lies.
    pub lie: Lie,
}

#[derive(Debug)]
struct LyingFile {
    inner: Arc<dyn File>,
    lie: Lie,
}

impl LyingFile {
    fn lie(&self, sync: impl FnOnce(&dyn File) -> io::Result<()>) -> io::Result<()> {
        match &self.lie {
            Lie::Skip => Ok(()),
            Lie::Swallow => sync(&*self.inner).or(Ok(())),
            Lie::Fail(_) => sync(&*self.inner),
        }
    }
}

impl File for LyingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        if matches!(&self.lie, Lie::Fail(failure) if failure.is_now()) {
            return Err(io::Error::other("an injected failure"));
        }
        self.lie(|file| file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.lie(|file| file.sync_all())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

impl Fs for LyingFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let inner = self.inner.open(path, mode)?;
        let lie = self.lie.clone();
        Ok(Arc::new(LyingFile { inner, lie }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.inner.lock_exclusive(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_bytes(path)
    }
}
