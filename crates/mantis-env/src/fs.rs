//! Files: the traits that everything reads and writes through.

mod real;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use real::RealFs;

/// How a file is opened. Files are made for their owner only (0600).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// Must exist; reading only.
    Read,
    /// Must exist; reading and writing.
    ReadWrite,
    /// Made when absent; reading and writing.
    Create,
    /// Must not exist; reading and writing.
    CreateNew,
}

/// A file system. A new, renamed or removed name is durable only after [`Fs::sync_dir`] of its
/// directory; what is in a file only after a sync of the file.
pub trait Fs: Debug + Send + Sync {
    /// Makes a directory (0700) and those above it that are missing, durably. Fine when it exists.
    ///
    /// # Errors
    /// Those of the system.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` and `AlreadyExists` as the mode says; those of the system.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// The full paths of what stands in a directory, sorted.
    ///
    /// # Errors
    /// `NotFound`; those of the system.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// `NotFound`; those of the system.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    ///
    /// # Errors
    /// `NotFound`; those of the system.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames, replacing a file of that name; atomic, but not durable: see
    /// [`Fs::rename_durable`].
    ///
    /// # Errors
    /// `NotFound`; those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: one fsync.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `AlreadyExists`; those of the system.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Whether something stands there.
    ///
    /// # Errors
    /// Those of the system; that nothing stands there is no error.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Locks a file, made when absent, against every other process and every other open of this
    /// one, and writes the process id into it as text. Never waits.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else holds it; those of the system.
    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Bytes that an ordinary user may still write on the disk that holds `path`.
    ///
    /// # Errors
    /// Those of the system.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Renames such that a power cut leaves either the old or the new state, and the new one after
    /// this has answered: syncs what is renamed, renames, syncs the directories of both names.
    ///
    /// # Errors
    /// Those of the system. After a failed sync the rename may or may not have survived.
    fn rename_durable(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.open(from, OpenMode::Read) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.sync_dir(from)?,
            Err(error) => return Err(error),
        }
        self.rename(from, to)?;
        self.sync_dir(parent_of(to))?;
        if parent_of(from) != parent_of(to) {
            self.sync_dir(parent_of(from))?;
        }
        Ok(())
    }
}

/// The directory that a name stands in.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// An open file. All calls may be made from any thread.
#[expect(
    clippy::len_without_is_empty,
    reason = "an empty file is not a special thing here"
)]
pub trait File: Debug + Send + Sync {
    /// Fills the buffer from `offset` on; answers how much there was, less only at the file's end.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of the bytes at `offset`. After an error some of them may have been written.
    ///
    /// # Errors
    /// Those of the system; `WriteZero` when the system takes only a part.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes content and length durable (fdatasync).
    ///
    /// # Errors
    /// Those of the system. After one the kernel may have dropped what was not on disk: it is not
    /// safe to go on as if a second try could help.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content and all metadata durable (fsync).
    ///
    /// # Errors
    /// As [`File::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Cuts the file or extends it with zeros.
    ///
    /// # Errors
    /// Those of the system.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;
}

/// A lock on a file: held until it is dropped, or the process dies.
pub trait Lock: Debug + Send + Sync {}
