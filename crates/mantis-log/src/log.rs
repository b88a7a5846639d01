//! The log as its users see it.
use crate::{LogError, LogOptions, LogStats, Poison, Prepared, RecoveryReport};
use mantis_env::Env;
use mantis_types::Seq;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
/// A log.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<()>,
}
/// A log that has been opened, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What was found.
    pub recovery: RecoveryReport,
}
/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number.
    pub seq: Seq,
    /// Its body.
    pub body: Vec<u8>,
}
/// Keeps records.
#[derive(Debug)]
pub struct Hold(());
/// Reads records.
#[derive(Debug)]
pub struct LogReader(());
impl Iterator for LogReader {
    type Item = Result<LogRecord, LogError>;
    fn next(&mut self) -> Option<Self::Item> {
        unreachable!()
    }
}
#[expect(missing_docs, clippy::missing_errors_doc, reason = "interim")]
impl LogReader {
    pub fn wait(&mut self, _timeout: Duration) -> bool {
        unreachable!()
    }
}
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    clippy::must_use_candidate,
    reason = "interim"
)]
impl Log {
    pub fn open(_env: &Env, _dir: &Path, _options: LogOptions) -> Result<Opened, LogError> {
        unreachable!()
    }
    pub fn append(&self, _seq: Seq, _body: &Prepared<'_>) -> Result<(), LogError> {
        unreachable!("{:?}", self.inner)
    }
    pub fn admit(&self, _bytes: u64) -> Result<(), LogError> {
        unreachable!()
    }
    pub fn write(&self, _seq: Seq) -> Result<(), LogError> {
        unreachable!()
    }
    pub fn sync(&self, _seq: Seq) -> Result<(), LogError> {
        unreachable!()
    }
    pub fn read(&self, _from: Seq) -> Result<LogReader, LogError> {
        unreachable!()
    }
    pub fn durable_seq(&self) -> Seq {
        unreachable!()
    }
    pub fn written_seq(&self) -> Seq {
        unreachable!()
    }
    pub fn last_seq(&self) -> Seq {
        unreachable!()
    }
    pub fn oldest_seq(&self) -> Seq {
        unreachable!()
    }
    pub fn poisoned(&self) -> Option<Poison> {
        unreachable!()
    }
    pub fn hold(&self, _seq: Seq) -> Hold {
        unreachable!()
    }
    pub fn release(&self, _before: Seq) {
        unreachable!()
    }
    pub fn rotate(&self) -> Result<(), LogError> {
        unreachable!()
    }
    pub fn stats(&self) -> LogStats {
        unreachable!()
    }
    pub fn close(&self) -> Result<(), LogError> {
        unreachable!()
    }
}
