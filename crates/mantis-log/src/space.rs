//! Room on the disk: files written ahead for later segments, and the reserve for a full disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use mantis_env::{File, Fs, OpenMode};
use parking_lot::Mutex;

use crate::layout::HEADER_BLOCK;
use crate::segment::{self, Name, make_zeroed};
use crate::{LogError, LogOptions};

/// Files that wait for a segment at most.
pub(crate) const SPARES_MAX: usize = 2;
/// A segment that must be made while somebody waits has this size at most.
const SMALL_BYTES: u64 = 1 << 20;
/// Part of the free space that one file written ahead may take: an eighth.
const SHARE_OF_FREE: u64 = 8;

/// A file written ahead, or that of a released segment.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
}

/// Length of a segment that must be made while somebody waits.
pub(crate) fn small_bytes(segment_bytes: u64) -> u64 {
    segment_bytes.clamp(2 * HEADER_BLOCK, SMALL_BYTES)
}

pub(crate) fn reserve_path(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

#[derive(Debug)]
pub(crate) struct Space {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    segment_bytes: u64,
    min_free_bytes: u64,
    reserve_bytes: u64,
    /// Guards the files that wait. After the buffer's lock; held for some instructions.
    spares: Mutex<Vec<Spare>>,
    spares_bytes: AtomicU64,
    /// Number of the next spare's name.
    next_name: AtomicU64,
    /// Somebody was told that the disk is full, and nobody since that it is not.
    full: AtomicBool,
    reserve_there: AtomicBool,
}

impl Space {
    pub(crate) fn new(fs: &Arc<dyn Fs>, dir: &Path, options: &LogOptions) -> Self {
        Self {
            fs: Arc::clone(fs),
            dir: dir.to_owned(),
            segment_bytes: options.segment_bytes,
            min_free_bytes: options.min_free_bytes,
            reserve_bytes: options.reserve_bytes,
            spares: Mutex::new(Vec::new()),
            spares_bytes: AtomicU64::new(0),
            next_name: AtomicU64::new(1),
            full: AtomicBool::new(false),
            reserve_there: AtomicBool::new(false),
        }
    }

    /// Takes over what an earlier process has left: spares, and the reserve if it is whole.
    pub(crate) fn adopt(&self, paths: &[PathBuf]) -> Result<(), LogError> {
        for path in paths {
            let Name::Spare(number) = Name::of(path) else {
                continue;
            };
            self.next_name.fetch_max(number + 1, SeqCst);
            let open = LogError::io("open a file written ahead");
            let file = self.fs.open(path, OpenMode::ReadWrite).map_err(&open)?;
            let bytes = file.len().map_err(&open)?;
            if bytes == self.segment_bytes && self.count() < SPARES_MAX {
                self.push(Spare {
                    path: path.clone(),
                    file,
                    bytes,
                });
            } else {
                self.fs
                    .remove_file(path)
                    .map_err(LogError::io("remove a spare file"))?;
            }
        }
        match self
            .fs
            .open(&reserve_path(&self.dir), OpenMode::Read)
            .and_then(|file| file.len())
        {
            Ok(bytes) => self
                .reserve_there
                .store(bytes >= self.reserve_bytes, SeqCst),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LogError::io("look at the reserve")(error)),
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.spares.lock().len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.spares_bytes.load(SeqCst)
    }

    /// A file for a segment that needs at least so many bytes: its length, and the file if one
    /// waits that is large enough.
    pub(crate) fn take(&self, needed: u64) -> (u64, Option<Spare>) {
        let mut spares = self.spares.lock();
        let fits = spares.iter().position(|spare| spare.bytes >= needed);
        match fits.map(|index| spares.swap_remove(index)) {
            Some(spare) => {
                self.spares_bytes.fetch_sub(spare.bytes, SeqCst);
                (spare.bytes, Some(spare))
            }
            None => (self.small_bytes().max(needed.next_multiple_of(512)), None),
        }
    }

    pub(crate) fn push(&self, spare: Spare) {
        self.spares_bytes.fetch_add(spare.bytes, SeqCst);
        self.spares.lock().push(spare);
    }

    pub(crate) fn small_bytes(&self) -> u64 {
        small_bytes(self.segment_bytes)
    }

    /// How large the next file written ahead may be; nothing while the disk is nearly full.
    pub(crate) fn next_bytes(&self) -> Result<Option<u64>, LogError> {
        let spare = self.free()?.saturating_sub(self.min_free_bytes);
        let bytes = self.segment_bytes.min(spare / SHARE_OF_FREE / 512 * 512);
        Ok((bytes >= self.small_bytes()).then_some(bytes))
    }

    /// Whether `bytes` more may be promised beyond the room at hand.
    pub(crate) fn has_free(&self, bytes: u64) -> Result<bool, LogError> {
        let needed = self.min_free_bytes + self.small_bytes();
        let has = self.free()? >= needed.saturating_add(bytes);
        self.full.store(!has, SeqCst);
        Ok(has)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(SeqCst)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, SeqCst);
    }

    pub(crate) fn spare_name(&self) -> PathBuf {
        segment::spare_path(&self.dir, self.next_name.fetch_add(1, SeqCst))
    }

    /// Whether the reserve is to be made anew, and there is space for it.
    pub(crate) fn wants_reserve(&self) -> Result<bool, LogError> {
        let wanted = self.reserve_bytes > 0 && !self.reserve_there.load(SeqCst);
        Ok(wanted && self.free()? >= self.min_free_bytes.saturating_add(self.reserve_bytes))
    }

    pub(crate) fn make_reserve(&self) -> Result<(), LogError> {
        make_zeroed(&*self.fs, &reserve_path(&self.dir), self.reserve_bytes)?;
        self.reserve_there.store(true, SeqCst);
        Ok(())
    }

    /// Gives the reserve's space back; false when there was none.
    pub(crate) fn free_reserve(&self) -> Result<bool, LogError> {
        if !self.reserve_there.swap(false, SeqCst) {
            return Ok(false);
        }
        self.fs
            .remove_file(&reserve_path(&self.dir))
            .map_err(LogError::io("free the reserve"))?;
        Ok(true)
    }

    fn free(&self) -> Result<u64, LogError> {
        self.fs
            .free_bytes(&self.dir)
            .map_err(LogError::io("ask for free space"))
    }
}
