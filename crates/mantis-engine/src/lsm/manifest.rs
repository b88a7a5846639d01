//! The manifest's checksum: lsm-tree writes one and never looks at it, so it is checked here.

use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::{EngineError, FileKind};

/// The file that names the manifest: its number, checksum and kind of checksum.
pub(crate) const CURRENT: &str = "current";
/// Folder of the table files.
pub(crate) const TABLES: &str = "tables";
const CURRENT_LEN: usize = 8 + 16 + 1;
/// The kind of checksum that is known: xxh3, 128 bits.
const XXH3: u8 = 0;

/// The number of the manifest that `current` names.
pub(crate) fn version_of(current: &[u8]) -> Option<u64> {
    current
        .first_chunk::<8>()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

/// Checks the manifest of the tables in `dir`, before lsm-tree believes it; false when there are no
/// tables yet. Cost: reading one small file.
pub(crate) fn check(dir: &Path) -> Result<bool, EngineError> {
    let Some(current) = read(dir, CURRENT)? else {
        // A store without manifest is new, or its creation was cut short: then it has no tables.
        return if has_tables(dir)? {
            Err(damaged("it is missing"))
        } else {
            Ok(false)
        };
    };
    if current.len() != CURRENT_LEN || current.last() != Some(&XXH3) {
        return Err(damaged("its name is not well formed"));
    }
    let version = version_of(&current).ok_or_else(|| damaged("its name is cut off"))?;
    let expected = current
        .get(8..24)
        .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let expected = expected.map(u128::from_le_bytes);
    let bytes = read(dir, &format!("v{version}"))?.ok_or_else(|| damaged("it is missing"))?;
    if Some(xxh3_128(&bytes)) == expected {
        Ok(true)
    } else {
        Err(damaged("its checksum does not fit"))
    }
}

fn has_tables(dir: &Path) -> Result<bool, EngineError> {
    match std::fs::read_dir(dir.join(TABLES)) {
        Ok(mut names) => Ok(names.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(EngineError::io("looking for tables", error)),
    }
}

fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
    match std::fs::read(dir.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EngineError::io("reading the manifest", error)),
    }
}

fn damaged(what: &'static str) -> EngineError {
    EngineError::Corrupt {
        file: FileKind::Manifest,
        source: Some(what.into()),
    }
}

/// Removes what a crash in the middle of writing the manifest leaves: its temporary files.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), EngineError> {
    let names = match std::fs::read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(EngineError::io("looking for leftovers", error)),
    };
    for entry in names {
        let entry = entry.map_err(|error| EngineError::io("looking for leftovers", error))?;
        if entry.file_name().to_string_lossy().starts_with(".tmp") {
            std::fs::remove_file(entry.path())
                .map_err(|error| EngineError::io("removing leftovers", error))?;
        }
    }
    Ok(())
}
