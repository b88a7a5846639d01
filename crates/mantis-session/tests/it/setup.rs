//! A database in a directory of its own.

use std::path::Path;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{Command, Database, DatabaseOptions, Principal, Put, Reply, SessionError};
use mantis_types::Durability;

pub(crate) fn options(dir: &Path) -> DatabaseOptions {
    let mut options = DatabaseOptions::new(Env::real(), dir);
    options.buffer_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.log.segment_bytes = 1 << 20;
    options.min_free_bytes = 0;
    options.limits.value_bytes_max = 1 << 20;
    options.limits.batch_bytes_max = 2 << 20;
    options.limits.chunk_bytes = 64 << 10;
    options
}

pub(crate) fn open(dir: &Path) -> Result<Database, SessionError> {
    Database::open(options(dir))
}

pub(crate) fn put(db: &Database, key: &str, value: impl Into<Bytes>, durability: Durability) {
    let put = Put::new(key.to_owned(), value);
    let command = Command::KvPut { put, durability };
    let reply = db.session(Principal::Owner).execute(command).unwrap();
    assert!(matches!(reply, Reply::KvPut(_)));
}

pub(crate) fn get(db: &Database, key: &str) -> Option<Bytes> {
    let command = Command::KvGet {
        key: key.to_owned().into(),
    };
    match db.session(Principal::Owner).execute(command).unwrap() {
        Reply::KvGet(found) => found.map(|entry| entry.value),
        other => panic!("{other:?}"),
    }
}
