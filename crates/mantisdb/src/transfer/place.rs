//! How far an import or export has come, kept beside the file until the end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, bail};
use mantis_env::Env;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::write_whole;

/// How much of the file before a place is remembered, to know the file again.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// A place between two lines of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Bytes before it.
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) line: u64,
}

/// The progress file of an import.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportProgress {
    /// Where to go on.
    pub(super) place: Place,
    /// Entries that were stored.
    pub(super) stored: u64,
    /// Lines that were rejected.
    pub(super) rejected: u64,
    /// The server they were stored at.
    pub(super) server: String,
    /// What was put before every key.
    pub(super) prefix: String,
    /// Of the bytes before the place. What comes after it may have been corrected.
    pub(super) fingerprint: u64,
}

/// The progress file of an export.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportProgress {
    /// Where to go on in the store.
    pub(super) cursor: String,
    /// Bytes of the unfinished file that count.
    pub(super) offset: u64,
    /// Entries in them.
    pub(super) written: u64,
    /// The server they come from.
    pub(super) server: String,
    /// Which keys.
    pub(super) prefix: String,
    /// How they are written.
    pub(super) format: String,
}

/// A file of progress.
#[derive(Debug)]
pub(super) struct ProgressFile {
    env: Env,
    path: PathBuf,
}

impl ProgressFile {
    /// At this path; nothing is read or written.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            env: Env::real(),
            path,
        }
    }

    /// What it says; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(super) fn read<T: for<'a> Deserialize<'a>>(&self) -> anyhow::Result<Option<T>> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(self.trouble("cannot be read")),
        };
        let progress = serde_json::from_slice(&text);
        progress
            .map(Some)
            .context(self.trouble("holds no progress: --restart begins anew"))
    }

    /// Replaces what it says, durably.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn write<T: Serialize>(&self, progress: &T) -> anyhow::Result<()> {
        let text = serde_json::to_vec(progress).context("progress is plain JSON")?;
        write_whole(&self.env, &self.path, &text).context(self.trouble("cannot be written"))
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(self.trouble("cannot be removed"))
            }
            _ => Ok(()),
        }
    }

    fn trouble(&self, what: &str) -> String {
        format!("the progress file {} {what}", self.path.display())
    }
}

/// A number for the bytes before `offset`: of the last of them, and how many they are.
///
/// # Errors
/// When the file is shorter, or cannot be read.
pub(super) fn fingerprint(file: &mut File, offset: u64) -> anyhow::Result<u64> {
    if file.metadata()?.len() < offset {
        bail!("the file is shorter than what was imported of it: --restart begins anew");
    }
    let start = offset.saturating_sub(FINGERPRINT_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(offset - start).read_to_end(&mut bytes)?;
    Ok(xxh3_64(&bytes) ^ offset)
}
