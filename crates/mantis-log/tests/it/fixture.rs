//! Small logs, and short ways to fill, read and copy them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mantis_env::{Env, OpenMode};
use mantis_log::{Log, LogError, LogOptions, Opened, Prepared, RecoveryReport};
use mantis_types::Seq;

pub(crate) fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 8192,
        buffer_bytes_max: 4096,
        reserve_bytes: 16384,
        min_free_bytes: 0,
        ..LogOptions::default()
    }
}

pub(crate) fn dir() -> &'static Path {
    Path::new("/store/log")
}

pub(crate) fn open(env: &Env, options: LogOptions) -> Result<Opened, LogError> {
    Log::open(env, dir(), options)
}

/// A body that tells its Seq, of a length that varies.
pub(crate) fn body(seq: u64) -> Vec<u8> {
    let len = usize::try_from(seq * 7 % 60).unwrap();
    let mut body = seq.to_le_bytes().to_vec();
    body.resize(8 + len, u8::try_from(seq % 251).unwrap());
    body
}

pub(crate) fn append(log: &Log, seq: u64) -> Result<(), LogError> {
    log.append(Seq::new(seq), &Prepared::new(&body(seq)))
}

/// Appends and syncs `from..=to`, one after the other.
pub(crate) fn put(log: &Log, from: u64, to: u64) {
    for seq in from..=to {
        log.admit(64).unwrap();
        append(log, seq).unwrap();
        log.sync(Seq::new(seq)).unwrap();
    }
}

/// Reads everything there is and checks each body; answers the last Seq.
pub(crate) fn check_all(log: &Log) -> u64 {
    let oldest = log.oldest_seq();
    let mut next = oldest.get();
    for record in log.read(oldest).unwrap() {
        let record = record.unwrap();
        assert_eq!(record.seq.get(), next);
        assert_eq!(record.body, body(next), "body of {next}");
        next += 1;
    }
    assert_eq!(next - 1, log.written_seq().get());
    next - 1
}

/// Every file of a directory with its bytes.
pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

pub(crate) fn save(env: &Env) -> Files {
    let read = |path: PathBuf| {
        let file = env.fs().open(&path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        (path, bytes)
    };
    env.fs()
        .read_dir(dir())
        .unwrap()
        .into_iter()
        .map(read)
        .collect()
}

/// A machine on whose disk stand these files.
pub(crate) fn machine(files: &Files) -> Env {
    let env = Env::simulated(77);
    env.fs().create_dir(dir()).unwrap();
    for (path, bytes) in files {
        let file = env.fs().open(path, OpenMode::CreateNew).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync_all().unwrap();
    }
    env.fs().sync_dir(dir()).unwrap();
    env
}

/// What an opening of these files gives: the records, or the error.
pub(crate) fn outcome(
    files: &Files,
    options: LogOptions,
) -> Result<(Vec<Vec<u8>>, RecoveryReport), LogError> {
    let env = machine(files);
    let opened = open(&env, options)?;
    let records = opened.log.read(opened.log.oldest_seq())?;
    let bodies = records
        .map(|record| Ok(record?.body))
        .collect::<Result<_, LogError>>()?;
    Ok((bodies, opened.recovery))
}

/// The files of a small log of several segments, with `count` synced records; cleanly closed, or
/// killed.
pub(crate) fn specimen(count: u64, closed: bool) -> Files {
    let env = Env::simulated(9);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, count);
    if closed {
        log.close().unwrap();
    }
    env.simulation().unwrap().kill();
    drop(log);
    save(&env)
}

pub(crate) fn segments(files: &Files) -> Vec<usize> {
    let is = |path: &Path| path.extension().is_some_and(|end| end == "seg");
    (0..files.len())
        .filter(|index| is(&files[*index].0))
        .collect()
}

pub(crate) fn file_index(files: &Files, name: &str) -> usize {
    files
        .iter()
        .position(|(path, _)| path.ends_with(name))
        .unwrap()
}

pub(crate) fn with_fs(env: &Env, plan: &mantis_env::FaultPlan) -> Env {
    let fs = mantis_env::FaultyFs::new(Arc::clone(env.fs()), plan.clone());
    env.with_fs(Arc::new(fs))
}
