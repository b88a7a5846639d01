//! File systems that do something wrong with syncs: the controls of everything about durability, and
//! a single failure where it hurts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mantis_env::{File, Fs, Lock, OpenMode};

/// What the file system does when a file is to be synced.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    /// Nothing, and it says that all is well.
    Skip,
    /// It syncs, and keeps a failure to itself.
    Swallow,
    /// It syncs, but fails once where it was told to.
    Fail(OneFailure),
}

/// Makes the Nth sync of a log segment fail, once: the next one would answer well.
#[derive(Clone, Debug)]
pub(crate) struct OneFailure {
    left: Arc<AtomicU64>,
}

impl OneFailure {
    pub(crate) fn at(nth: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(nth)),
        }
    }

    /// Whether this is the call that must fail.
    fn is_now(&self) -> bool {
        let down = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down)
            == Ok(1)
    }

    pub(crate) fn was_met(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

#[derive(Debug)]
pub(crate) struct LyingFs {
    pub(crate) inner: Arc<dyn Fs>,
    pub(crate) lie: Lie,
}

#[derive(Debug)]
struct LyingFile {
    inner: Arc<dyn File>,
    lie: Lie,
    is_segment: bool,
}

impl LyingFile {
    fn lie(&self, sync: impl FnOnce(&dyn File) -> io::Result<()>) -> io::Result<()> {
        match &self.lie {
            Lie::Skip => Ok(()),
            Lie::Swallow => sync(&*self.inner).or(Ok(())),
            Lie::Fail(failure) if self.is_segment && failure.is_now() => {
                Err(io::Error::other("an injected failure"))
            }
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
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        let lie = self.lie.clone();
        Ok(Arc::new(LyingFile {
            inner,
            lie,
            is_segment,
        }))
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
