//! Verifying and repairing the tables of a store that nobody has open.

use std::io;
use std::path::{Path, PathBuf};

use lsm_tree::Slice;
use mantis_env::Env;
use mantis_types::{RecordView, Seq};
use tempfile::TempDir;
use xxhash_rust::xxh3::Xxh3;

use super::ALL;
use super::manifest;
use super::tree::{Ingest, TableFile, TableStore, damage};
use crate::view::Tables;
use crate::{Direction, EngineError, FileKind, LsmOptions, MemoryBudget};

/// Memory of the engine that verifies.
const VERIFY_BYTES: u64 = 16 << 20;
/// Bytes that are read at once for a file's checksum.
const READ_BYTES: usize = 1 << 18;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Tables that were read.
    pub tables: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Entries in them, deletes included.
    pub entries: u64,
    /// The log is needed from this commit on.
    pub replay_from: Seq,
    /// One line for each damage, naming the file's number; empty when all is well.
    pub damages: Vec<String>,
}

/// What [`repair`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Tables that were taken over whole.
    pub tables_whole: usize,
    /// Tables of which only a part, or nothing, could be read.
    pub tables_damaged: usize,
    /// Entries that were taken over.
    pub entries: u64,
    /// Entries that the damaged tables should have had besides. Older versions of their keys, or
    /// keys deleted in them, may have come back.
    pub entries_lost: u64,
    /// The log is needed from this commit on; if the mark was lost, from the first commit.
    pub replay_from: Seq,
    /// Where the damaged tables are kept.
    pub kept_aside: PathBuf,
}

/// Walks every table in `dir` and every block of it: the checksum of each whole file, each block and
/// each record header. Nobody may have the engine open. Changes nothing: an opening would remove
/// files that no manifest names. Cost: reading everything twice.
///
/// # Errors
/// `Corrupt` when the tables cannot even be opened, `Io`; damages of single tables are in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, EngineError> {
    let mut report = VerifyReport::default();
    if !manifest::check(dir)? {
        report.replay_from = Seq::new(1);
        return Ok(report);
    }
    let mirror = mirror(dir).map_err(|error| EngineError::io("looking at the tables", error))?;
    let store = open(mirror.path())?;
    let tables = store.current()?;
    for file in &tables.files {
        report.tables += 1;
        report.bytes += file.bytes;
        match check_table(file) {
            Ok(entries) => report.entries += entries,
            Err(error) => report
                .damages
                .push(format!("table {}: {}", file.id, chain(&error))),
        }
    }
    match store.replay_mark(&tables) {
        Ok(mark) => report.replay_from = mark,
        Err(error) => report
            .damages
            .push(format!("replay mark: {}", chain(&error))),
    }
    if report.damages.is_empty() {
        // Through the indexes as readers go, in key order.
        for row in tables.rows(ALL.0, ALL.1, Direction::Forward) {
            if let Err(error) = row {
                report.damages.push(format!("index: {}", chain(&error)));
                break;
            }
        }
    }
    Ok(report)
}

/// A directory that goes with its handle, with the manifest of `dir` and links to its tables: what an
/// opening removes there, it removes from nobody.
fn mirror(dir: &Path) -> io::Result<TempDir> {
    let dir = dir.canonicalize()?;
    let mirror = tempfile::tempdir()?;
    for entry in std::fs::read_dir(&dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), mirror.path().join(entry.file_name()))?;
        }
    }
    let tables = mirror.path().join(manifest::TABLES);
    std::fs::create_dir(&tables)?;
    let files = match std::fs::read_dir(dir.join(manifest::TABLES)) {
        Ok(files) => files,
        // That tables are missing is found by whoever opens the mirror.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(mirror),
        Err(error) => return Err(error),
    };
    for entry in files {
        let entry = entry?;
        std::os::unix::fs::symlink(entry.path(), tables.join(entry.file_name()))?;
    }
    Ok(mirror)
}

fn open(dir: &Path) -> Result<TableStore, EngineError> {
    TableStore::open(
        dir,
        &LsmOptions::with_budget(MemoryBudget::divide(VERIFY_BYTES)),
    )
}

/// Reads a whole table; answers its entries.
fn check_table(file: &TableFile) -> Result<u64, EngineError> {
    check_file(file)?;
    let mut entries = 0;
    for entry in file.scan()? {
        let (key, record) = entry.map_err(|error| damage("reading a table", error))?;
        check_entry(&key, record.as_ref())?;
        entries += 1;
    }
    if entries != file.entries {
        return Err(EngineError::Corrupt {
            file: FileKind::Table,
            source: None,
        });
    }
    Ok(entries)
}

fn check_entry(key: &Slice, record: Option<&Slice>) -> Result<(), EngineError> {
    match record {
        Some(record) if key.first() != Some(&0) => RecordView::parse(record)
            .map(drop)
            .map_err(EngineError::BadRecord),
        _ => Ok(()),
    }
}

/// The checksum of the whole file: it covers filters and indexes, which a scan does not read.
fn check_file(file: &TableFile) -> Result<(), EngineError> {
    use std::io::Read;

    let failed = |error| EngineError::io("reading a table", error);
    let mut input = std::fs::File::open(&file.path).map_err(failed)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let len = input.read(&mut buffer).map_err(failed)?;
        if len == 0 {
            break;
        }
        hash.update(buffer.get(..len).unwrap_or_default());
    }
    if hash.digest128() == file.checksum {
        Ok(())
    } else {
        let source = Some("the checksum of the file does not fit".into());
        Err(EngineError::Corrupt {
            file: FileKind::Table,
            source,
        })
    }
}

/// The error with its causes, for a human.
fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Builds the tables in `dir` anew out of what can be read of them, and keeps the old ones beside
/// it. Nobody may have the engine open. What could not be read is lost, see [`RepairReport`]: a
/// checkpoint, if there is one, is better.
///
/// # Errors
/// `Corrupt` when manifest or a table's own description is damaged: then nothing is changed.
pub fn repair(env: &Env, dir: &Path) -> Result<RepairReport, EngineError> {
    manifest::check(dir)?;
    let rebuilt = beside(dir, "rebuilt");
    let aside = beside(dir, "damaged");
    let fs = env.fs();
    let failed = |error| EngineError::io("rebuilding tables", error);
    for path in [&rebuilt, &aside] {
        if fs.exists(path).map_err(failed)? {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(EngineError::Io {
                action: "rebuilding tables",
                source,
            });
        }
    }
    // The old tables are kept as they are: an opening in place would remove some.
    let mirror = mirror(dir).map_err(failed)?;
    fs.create_dir(&rebuilt).map_err(failed)?;
    let copied = open(mirror.path()).and_then(|from| copy_readable(&from, &open(&rebuilt)?));
    let mut report = match copied {
        Ok(report) => report,
        Err(error) => {
            fs.remove_dir_all(&rebuilt).map_err(failed)?;
            return Err(error);
        }
    };
    fs.rename_durable(dir, &aside).map_err(failed)?;
    fs.rename_durable(&rebuilt, dir).map_err(failed)?;
    report.kept_aside = aside;
    Ok(report)
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    dir.with_file_name(name)
}

/// Writes each run of `from` as a run of `to`, the oldest first.
fn copy_readable(from: &TableStore, to: &TableStore) -> Result<RepairReport, EngineError> {
    let tables = from.current()?;
    let mut report = RepairReport::default();
    for run in tables.runs().iter().rev() {
        let mut target = None;
        for file in tables.files.iter().filter(|file| run.contains(&file.id)) {
            let copied = copy_table(file, to, &mut target)?;
            report.entries += copied;
            report.entries_lost += file.entries.saturating_sub(copied);
            if copied == file.entries {
                report.tables_whole += 1;
            } else {
                report.tables_damaged += 1;
            }
        }
        if let Some(target) = target {
            target.finish()?;
        }
    }
    report.replay_from = to.replay_mark(&to.current()?)?;
    Ok(report)
}

/// Copies entries up to the first that cannot be read; answers how many. The target is opened with
/// the first of them: one without any would leave an empty file.
fn copy_table<'s>(
    file: &TableFile,
    to: &'s TableStore,
    target: &mut Option<Ingest<'s>>,
) -> Result<u64, EngineError> {
    let mut copied = 0;
    for entry in file.scan()? {
        let Ok((key, record)) = entry else { break };
        if check_entry(&key, record.as_ref()).is_err() {
            break;
        }
        let target = match target {
            Some(target) => target,
            None => target.insert(to.ingest()?),
        };
        match &record {
            Some(record) => target.put(&key, record)?,
            None => target.delete(&key)?,
        }
        copied += 1;
    }
    Ok(copied)
}
