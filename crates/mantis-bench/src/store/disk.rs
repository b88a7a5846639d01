//! The disk alone: what one sync for each write costs on it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Result;

use super::Store;
use crate::keys::Key;

/// Bytes that are written before, so that no sync has to allocate any.
const FILE_BYTES: u64 = 64 << 20;
/// What a log writes beside key and value, about.
const FRAME_BYTES: usize = 56;

/// Writes one record after the other and syncs each; begins anew at the end of the file.
pub(super) struct RawDisk {
    file: File,
    end: AtomicU64,
}

impl RawDisk {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let file = File::create(dir.join("raw"))?;
        let block = vec![1; 1 << 20];
        for at in (0..FILE_BYTES).step_by(block.len()) {
            file.write_all_at(&block, at)?;
        }
        file.sync_all()?;
        Ok(Self {
            file,
            end: AtomicU64::new(0),
        })
    }
}

impl Store for RawDisk {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let mut record = vec![7; FRAME_BYTES];
        record.extend_from_slice(key);
        record.extend_from_slice(value);
        let bytes = record.len() as u64;
        let at = self.end.fetch_add(bytes, Relaxed) % (FILE_BYTES - bytes);
        self.file.write_all_at(&record, at)?;
        Ok(self.file.sync_data()?)
    }

    fn get(&self, _key: &Key) -> Result<usize> {
        anyhow::bail!("the bare disk keeps no keys")
    }

    fn scan(&self, _from: &Key, _rows: usize) -> Result<usize> {
        anyhow::bail!("the bare disk keeps no keys")
    }
}
