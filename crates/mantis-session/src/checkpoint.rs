//! Checkpoints: a whole second data directory at one moment, mostly by hard links.

use std::path::Path;

use mantis_engine::CheckpointInfo;
use mantis_log::{Log, LogOptions, Prepared};
use mantis_txn::Store;
use mantis_types::Seq;

use crate::{SessionError, StoreDir};

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The newest commit in it.
    pub seq: Seq,
    /// Table files, hard links to the database's own.
    pub tables: usize,
    /// Their bytes.
    pub table_bytes: u64,
    /// Commits in its log, newer than its tables.
    pub log_records: u64,
}

/// Makes `dir` a data directory of its own: tables by hard links, then the log's tail.
pub(crate) fn make(store: &Store, dir: &Path) -> Result<Checkpoint, SessionError> {
    let log = store.log().ok_or(SessionError::NotAStore {
        what: "it lives in memory only",
    })?;
    // What comes out of the log below must not be newer than what readers could see here.
    let last = store.visible_seq();
    let hold = log.hold(store.engine().replay_from());
    let target = StoreDir::prepare(store.env(), dir)?;
    let info: CheckpointInfo = store.engine().checkpoint(&target.tables())?;
    let last = last.max(info.replay_from.prev());
    let options = LogOptions {
        first_seq: info.replay_from,
        ..LogOptions::default()
    };
    let copy = Log::open(store.env(), &target.log(), options)?.log;
    let mut log_records = 0;
    for record in log.read(info.replay_from)? {
        let record = record?;
        if record.seq > last {
            break;
        }
        copy.admit(record.body.len() as u64)?;
        copy.append(record.seq, &Prepared::new(&record.body))?;
        copy.write(record.seq)?;
        log_records += 1;
    }
    drop(hold);
    copy.close()?;
    target.finish()?;
    Ok(Checkpoint {
        seq: last,
        tables: info.tables,
        table_bytes: info.bytes,
        log_records,
    })
}
