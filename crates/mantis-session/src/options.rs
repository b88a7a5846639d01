//! How a database is opened.

use std::path::PathBuf;
use std::time::Duration;

use mantis_env::Env;
use mantis_types::Limits;

/// Options of [`crate::Database::open`]; each field says what it caps, its unit and its default.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Clock, randomness, files and tasks.
    pub env: Env,
    /// The data directory; made when absent.
    pub dir: PathBuf,
    /// Bytes for memtables before they are written to tables. Default 64 MiB. At the limit writers
    /// are slowed down smoothly.
    pub buffer_bytes: u64,
    /// Bytes for row cache, block cache, filters and indexes. Default 256 MiB. At the limit the
    /// least useful entries go.
    pub cache_bytes: u64,
    /// The commit log's own settings.
    pub log: LogSettings,
    /// Free bytes of the disk below which writes are refused as `disk_full`. Default 64 MiB.
    pub min_free_bytes: u64,
    /// Limits of requests and commits.
    pub limits: Limits,
}

/// Settings of the commit log.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Size of a log segment in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Longest time that a commit of class `interval` or `none` stays off the disk. Default 100 ms.
    pub interval: Duration,
    /// Bytes of the log that are kept for those who follow the commits, beyond what the next start
    /// needs. Default 0.
    pub retain_bytes: u64,
    /// The age at which what is kept for them goes all the same. Default a day.
    pub retain_age: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            interval: Duration::from_millis(100),
            retain_bytes: 0,
            retain_age: Duration::from_secs(86_400),
        }
    }
}

impl DatabaseOptions {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(env: Env, dir: impl Into<PathBuf>) -> Self {
        Self {
            env,
            dir: dir.into(),
            buffer_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            log: LogSettings::default(),
            min_free_bytes: 64 << 20,
            limits: Limits::default(),
        }
    }

    /// The same with other memory budgets. Limits that a smaller buffer cannot hold shrink with it:
    /// a value to half of it, a commit to three quarters.
    #[must_use]
    pub fn sized(mut self, buffer_bytes: u64, cache_bytes: u64) -> Self {
        let limits = &mut self.limits;
        limits.value_bytes_max = limits.value_bytes_max.min(buffer_bytes / 2);
        limits.batch_bytes_max = limits.batch_bytes_max.min(buffer_bytes / 4 * 3);
        Self {
            buffer_bytes,
            cache_bytes,
            ..self
        }
    }
}
