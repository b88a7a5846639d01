//! The only file, with those below it, that names lsm-tree's tree and its doc-hidden items.
//!
//! What is used beyond the documented surface of `=3.1.10`: `current_version` and its levels, runs
//! and tables with `Table::get`, `Table::range`, `Table::scan`, `path`, `metadata`, `checksum`;
//! `maintenance`; the hash of its bloom filters; `metrics`. An upgrade is decided by the conformance
//! suite and by the tests of the contract.
//!
//! The tree is a store of immutable tables and nothing more: it never gets `insert` or `remove`, its
//! own counter of sequence numbers is private to this file and has nothing to do with our Seqs.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_tree::compaction::Leveled;
use lsm_tree::config::{
    BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, HashRatioPolicy,
    PinningPolicy, RestartIntervalPolicy,
};
use lsm_tree::{
    AbstractTree, AnyIngestion, AnyTree, Cache, CompressionType, Config, DescriptorTable,
    KvSeparationOptions, SequenceNumberCounter, Slice, Tree,
};
use mantis_types::Seq;

use super::hooks::{Defect, Hooks};
use crate::view::Tables;
use crate::{EngineError, FileKind, LsmOptions};
use runs::Runs;

mod runs;
mod set;

pub(crate) use set::{TableFile, TableSet};

/// Newer than every number that the tree gives out: tables are always read whole.
const EVERYTHING: u64 = u64::MAX >> 1;
/// Bits of a bloom filter for each key: 1 % false positives.
const BLOOM_BITS: f32 = 10.0;
/// Keys of a data block between two that stand there in full.
const RESTART_INTERVAL: u8 = 4;
/// Bytes of hash index for each entry of a data block: a read by key goes to its restart point
/// without a search. Measured: 10 % less CPU for a get.
const HASH_RATIO: f32 = 1.5;
/// The reserved key of the replay mark: database 0, space Meta, owner 1.
pub(crate) const MARK_KEY: &[u8] = b"\x00\x01\x01replay";

/// A manifest: name and bytes of its file, and of the file that names it.
pub(crate) type ManifestFiles = [(String, Vec<u8>); 2];

/// The immutable tables of one engine.
pub(crate) struct TableStore {
    any: AnyTree,
    tree: Tree,
    dir: PathBuf,
    cache: Arc<Cache>,
    table_bytes: u64,
    hooks: Hooks,
}

impl TableStore {
    /// Opens or creates the tables in `dir` and removes files that no version names.
    pub(crate) fn open(dir: &Path, options: &LsmOptions) -> Result<Self, EngineError> {
        let hooks = options.hooks.clone();
        // Sequence numbers of the tree are physical: they order versions of tables, nothing else.
        let counter = SequenceNumberCounter::new(1);
        let visible = SequenceNumberCounter::default();
        let cache = Arc::new(Cache::with_capacity_bytes(options.memory.block_cache_bytes));
        let filters = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(BLOOM_BITS));
        let separation = hooks
            .has(Defect::KeyValueSeparation)
            .then(KvSeparationOptions::default);
        let any = Config::new(dir, counter.clone(), visible)
            .use_cache(Arc::clone(&cache))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(options.open_files_max))))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
            .filter_policy(FilterPolicy::all(filters))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
            .data_block_hash_ratio_policy(HashRatioPolicy::all(HASH_RATIO))
            // Pinned blocks would stand outside the budget: they go through the cache instead.
            .filter_block_pinning_policy(PinningPolicy::disabled())
            .index_block_pinning_policy(PinningPolicy::disabled())
            .with_kv_separation(separation)
            .open()
            .map_err(|error| damage("opening the tables", error))?;
        let AnyTree::Standard(tree) = any.clone() else {
            return Err(EngineError::Unsupported("a tree with separated values"));
        };
        if !hooks.has(Defect::CounterFromStart) {
            // Otherwise new tables would be older than the old ones.
            counter.fetch_max(
                tree.get_highest_persisted_seqno()
                    .map_or(1, |seqno| seqno + 1),
            );
        }
        let table_bytes = options.table_bytes;
        Ok(Self {
            any,
            tree,
            dir: dir.to_owned(),
            cache,
            table_bytes,
            hooks,
        })
    }

    /// The tables of this moment, to be held and read for as long as one likes.
    pub(crate) fn current(&self) -> Result<TableSet, EngineError> {
        if self.hooks.has(Defect::ReadThroughTree) {
            return Ok(TableSet::through_tree(self.tree.clone()));
        }
        let version = self.tree.current_version();
        let levels = version.iter_levels().enumerate();
        let files = levels.flat_map(|(level, runs)| {
            let tables = runs.iter().flat_map(|run| run.iter());
            tables.map(move |table| TableFile::of(level, table))
        });
        let runs = version.iter_levels().flat_map(|level| level.iter());
        let runs = runs.map(|run| run.iter().cloned().collect());
        Ok(TableSet::new(
            version.id(),
            files.collect(),
            Runs::new(runs.collect(), self.newest()),
        ))
    }

    /// Begins a run of new tables above all others. Something must be written into it: an empty one
    /// leaves an empty file behind.
    pub(crate) fn ingest(&self) -> Result<Ingest<'_>, EngineError> {
        let writer = self
            .any
            .ingestion()
            .map_err(|error| damage("creating a table", error))?;
        let checked = !self.hooks.has(Defect::UncheckedKeys);
        Ok(Ingest {
            writer,
            checked,
            last: None,
        })
    }

    /// Ids of tables from here on have not been given out yet.
    pub(crate) fn next_table_id(&self) -> u64 {
        self.any.next_table_id()
    }

    /// One round of levelled compaction; whether it changed anything.
    pub(crate) fn compact_once(&self) -> Result<bool, EngineError> {
        let before = self.state();
        let strategy = Leveled::default().with_table_target_size(self.table_bytes);
        let done = self.tree.compact(Arc::new(strategy), self.threshold());
        self.changed_since(&before, done)
    }

    /// Merges everything into one run; whether it changed anything.
    pub(crate) fn compact_all(&self) -> Result<bool, EngineError> {
        let before = self.state();
        let done = self.tree.major_compact(self.table_bytes, self.threshold());
        self.changed_since(&before, done)
    }

    /// Number of the version, and ids of its tables.
    fn state(&self) -> (u64, BTreeSet<u64>) {
        let version = self.tree.current_version();
        (
            version.id(),
            version.iter_tables().map(|table| table.id()).collect(),
        )
    }

    fn changed_since(
        &self,
        before: &(u64, BTreeSet<u64>),
        done: lsm_tree::Result<()>,
    ) -> Result<bool, EngineError> {
        let after = self.state();
        match done {
            // A flush that came between counts as well: one round too many does no harm.
            Ok(()) => Ok(before.0 != after.0),
            // Only a compaction takes tables out: the new ones are installed, and only old
            // manifests could not be tidied up. The next maintenance removes them.
            Err(_) if !before.1.is_subset(&after.1) => Ok(true),
            Err(error) => Err(damage("merging tables", error)),
        }
    }

    /// The tree's number at which tables are read.
    fn newest(&self) -> u64 {
        if self.hooks.has(Defect::ReadAtTreeNumber) {
            1
        } else {
            EVERYTHING
        }
    }

    /// Versions inside tables are never needed: old snapshots hold old tables.
    fn threshold(&self) -> u64 {
        if self.hooks.has(Defect::KeepTableVersions) {
            0
        } else {
            EVERYTHING
        }
    }

    /// Lets go of the tree's own history of versions, and of their manifests on disk.
    pub(crate) fn maintain(&self) -> Result<(), EngineError> {
        let mut history = self.tree.get_version_history_lock();
        let done = history.maintenance(&self.dir, EVERYTHING);
        done.map_err(|error| damage("removing old manifests", error))
    }

    /// The first Seq that the tables do not hold, as the newest flush wrote it.
    pub(crate) fn replay_mark(&self, tables: &TableSet) -> Result<Seq, EngineError> {
        let Some(mark) = tables.get(MARK_KEY)? else {
            return Ok(Seq::new(1));
        };
        let mark = <[u8; 8]>::try_from(&mark[..]).map_err(|_| EngineError::Corrupt {
            file: FileKind::Table,
            source: None,
        })?;
        Ok(Seq::new(u64::from_le_bytes(mark)))
    }

    /// Reads the manifest of `tables` while nothing can replace it: name and bytes of its file and
    /// of the file that names it. `None` when the tables have moved on meanwhile.
    pub(crate) fn manifest_of(
        &self,
        tables: &TableSet,
    ) -> Result<Option<ManifestFiles>, EngineError> {
        let history = self.tree.get_version_history_lock();
        let read = |name: &str| {
            std::fs::read(self.dir.join(name))
                .map_err(|error| EngineError::io("reading the manifest", error))
        };
        let current = read(super::manifest::CURRENT)?;
        let name = format!("v{}", tables.version_id);
        let matches = super::manifest::version_of(&current) == Some(tables.version_id);
        let files = matches.then(|| Ok([(name.clone(), read(&name)?), named_current(current)]));
        drop(history);
        files.transpose()
    }

    pub(crate) fn figures(&self) -> TreeFigures {
        let metrics = self.tree.metrics();
        TreeFigures {
            level0_runs: self.tree.l0_run_count(),
            disk_bytes: self.tree.disk_space(),
            tables: self.tree.table_count(),
            entries: self.tree.approximate_len() as u64,
            block_hits: metrics.block_load_cached_count() as u64,
            block_misses: metrics.block_load_io_count() as u64,
            filter_skips: metrics.io_skipped_by_filter() as u64,
            cache_bytes: self.cache.size(),
        }
    }

    pub(crate) fn level0_runs(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Whether the tree's own memtables are empty, as the contract wants them for ever.
    #[cfg(test)]
    pub(crate) fn own_memtables_are_empty(&self) -> bool {
        self.tree.active_memtable().is_empty() && self.tree.sealed_memtable_count() == 0
    }

    /// Old versions that the tree still remembers.
    #[cfg(test)]
    pub(crate) fn history_len(&self) -> usize {
        self.tree.version_free_list_len()
    }

    /// What rule 1 of the contract forbids.
    pub(crate) fn write_by_hand(&self, key: &[u8]) {
        self.tree.insert(key, b"by hand", 1);
    }

    /// Keeps the lock that `finish` holds, for as long as `while_held` runs (tests).
    #[cfg(test)]
    pub(crate) fn with_version_lock(&self, while_held: impl FnOnce()) {
        let history = self.tree.get_version_history_lock();
        while_held();
        drop(history);
    }
}

fn named_current(bytes: Vec<u8>) -> (String, Vec<u8>) {
    (super::manifest::CURRENT.to_owned(), bytes)
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStore")
            .field("tables", &self.tree.table_count())
            .finish()
    }
}

/// Figures of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeFigures {
    pub(crate) level0_runs: usize,
    pub(crate) disk_bytes: u64,
    pub(crate) tables: usize,
    pub(crate) entries: u64,
    pub(crate) block_hits: u64,
    pub(crate) block_misses: u64,
    pub(crate) filter_skips: u64,
    pub(crate) cache_bytes: u64,
}

/// A run of tables that is being written. The tree panics on keys that are empty, too long, doubled
/// or out of order: they are refused here.
pub(crate) struct Ingest<'s> {
    writer: AnyIngestion<'s>,
    checked: bool,
    last: Option<Slice>,
}

impl Ingest<'_> {
    pub(crate) fn put(&mut self, key: &Slice, value: &Slice) -> Result<(), EngineError> {
        self.check(key)?;
        let done = self.writer.write(key.clone(), value.clone());
        done.map_err(|error| damage("writing a table", error))
    }

    pub(crate) fn delete(&mut self, key: &Slice) -> Result<(), EngineError> {
        self.check(key)?;
        let done = self.writer.write_tombstone(key.clone());
        done.map_err(|error| damage("writing a table", error))
    }

    /// Makes the tables durable and part of the tree, all together. After an error they may be part
    /// of it on disk all the same.
    pub(crate) fn finish(self) -> Result<(), EngineError> {
        if self.last.is_none() {
            return Err(EngineError::Internal(
                "a run of tables without an entry".to_owned(),
            ));
        }
        self.writer
            .finish()
            .map_err(|error| damage("finishing a table", error))
    }

    fn check(&mut self, key: &Slice) -> Result<(), EngineError> {
        if !self.checked {
            self.last = Some(key.clone());
            return Ok(());
        }
        EngineError::check_key(key)?;
        if self.last.as_ref().is_some_and(|last| last >= key) {
            return Err(EngineError::Internal(
                "keys of a table are out of order".to_owned(),
            ));
        }
        self.last = Some(key.clone());
        Ok(())
    }
}

/// Whether the system's answer means that a file is not what it was: it is shorter, or gone.
const fn is_damage(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | NotFound | UnexpectedEof)
}

/// What an error of the tree means to us.
pub(crate) fn damage(action: &'static str, error: lsm_tree::Error) -> EngineError {
    match error {
        lsm_tree::Error::Io(source) if is_damage(source.kind()) => EngineError::Corrupt {
            file: FileKind::Table,
            source: Some(Box::new(source)),
        },
        lsm_tree::Error::Io(source) => EngineError::io(action, source),
        other => EngineError::Corrupt {
            file: FileKind::Table,
            source: Some(Box::new(other)),
        },
    }
}
