//! A set of tables as views own it, and its files one by one.

use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;

use lsm_tree::{AbstractTree, InternalValue, Slice, Table, Tree};

use super::runs::Runs;
use super::{EVERYTHING, damage};
use crate::view::{TableRows, Tables};
use crate::{Direction, EngineError};

/// An entry of a table: key, record or `None` for a delete.
pub(crate) type TableEntry = (Slice, Option<Slice>);
/// All entries of one table file, read past the caches.
pub(crate) type TableScan = Box<dyn Iterator<Item = lsm_tree::Result<TableEntry>> + Send>;

/// One table file of a set.
pub(crate) struct TableFile {
    pub(crate) id: u64,
    /// 0 for what flushes write; compactions write below.
    pub(crate) level: usize,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// xxh3 (128 bits) of the whole file, as the manifest has it.
    pub(crate) checksum: u128,
    table: Table,
}

impl TableFile {
    pub(super) fn of(level: usize, table: &Table) -> Self {
        Self {
            id: table.id(),
            level,
            path: PathBuf::clone(&table.path),
            bytes: table.metadata.file_size,
            entries: table.metadata.item_count,
            checksum: table.checksum().into_u128(),
            table: table.clone(),
        }
    }

    /// Reads every entry from the file, past the caches.
    pub(crate) fn scan(&self) -> Result<TableScan, EngineError> {
        let entries = self
            .table
            .scan()
            .map_err(|error| damage("reading a table", error))?;
        Ok(Box::new(entries.map(entry_of)))
    }
}

fn entry_of(entry: lsm_tree::Result<InternalValue>) -> lsm_tree::Result<TableEntry> {
    let entry = entry?;
    let deleted = entry.is_tombstone();
    Ok((entry.key.user_key, (!deleted).then_some(entry.value)))
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile")
            .field("id", &self.id)
            .field("bytes", &self.bytes)
            .finish()
    }
}

/// The tables of one moment. While it is held, its files stay on disk.
pub(crate) struct TableSet {
    pub(crate) version_id: u64,
    pub(crate) files: Vec<TableFile>,
    reads: Reads,
}

enum Reads {
    Own(Runs),
    /// What rule 3 of the contract forbids: the tree's own reads, which wait for its locks.
    ThroughTree(Tree),
}

impl TableSet {
    pub(super) const fn new(version_id: u64, files: Vec<TableFile>, runs: Runs) -> Self {
        Self {
            version_id,
            files,
            reads: Reads::Own(runs),
        }
    }

    pub(super) const fn through_tree(tree: Tree) -> Self {
        Self {
            version_id: 0,
            files: Vec::new(),
            reads: Reads::ThroughTree(tree),
        }
    }

    /// Table ids by run, newest run first.
    pub(crate) fn runs(&self) -> Vec<Vec<u64>> {
        match &self.reads {
            Reads::Own(runs) => runs.ids(),
            Reads::ThroughTree(_) => Vec::new(),
        }
    }
}

impl Tables for TableSet {
    fn get(&self, key: &[u8]) -> Result<Option<Slice>, EngineError> {
        let found = match &self.reads {
            Reads::Own(runs) => runs.get(key),
            Reads::ThroughTree(tree) => tree.get(key, EVERYTHING),
        };
        found.map_err(|error| damage("reading a table", error))
    }

    fn rows(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, direction: Direction) -> TableRows {
        let range = (from.map(Slice::from), to.map(Slice::from));
        match &self.reads {
            Reads::Own(runs) => runs.rows(range, direction),
            Reads::ThroughTree(tree) => {
                let entries = tree.create_range::<Slice, _>(&range, EVERYTHING, None);
                let entries = entries.map(|e| e.map_err(|error| damage("reading a table", error)));
                match direction {
                    Direction::Forward => Box::new(entries),
                    Direction::Backward => Box::new(entries.rev()),
                }
            }
        }
    }

    fn files(&self) -> Vec<(u64, u64)> {
        self.files
            .iter()
            .map(|file| (file.id, file.bytes))
            .collect()
    }
}

impl fmt::Debug for TableSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSet")
            .field("version", &self.version_id)
            .field("tables", &self.files.len())
            .finish()
    }
}
