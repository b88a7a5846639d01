//! One measurement at a time on a machine.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Held while something is measured: other measuring programs wait for it.
#[derive(Debug)]
pub struct Exclusive {
    _locked: File,
}

impl Exclusive {
    /// Waits until nobody else measures. Says so when it has to wait.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn wait() -> Result<Self> {
        let path = path();
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let file = open().with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("waiting for another measurement ({})", path.display());
                file.lock().context("cannot wait for the lock")?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock"),
        }
        Ok(Self { _locked: file })
    }
}

fn path() -> PathBuf {
    std::env::temp_dir().join("mantis-bench.lock")
}
