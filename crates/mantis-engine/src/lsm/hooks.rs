//! Fault points of the LSM engine: where a test may look in, or make it fail.
//!
//! They stand in the code that ships, switched by the options and off by default, so that what is
//! tested is what runs.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A rule of the contract with lsm-tree that is broken on purpose: the check of that rule must then
/// notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Defect {
    /// Rule 1: something is written into the tree's own memtable.
    WriteIntoTree,
    /// Rule 1: a flush takes one of our Seqs for the tree.
    FlushTakesSeq,
    /// Rule 2: the tree's counter starts again after opening.
    CounterFromStart,
    /// Rule 3: tables are read through the tree, which takes its locks and knows the newest only.
    ReadThroughTree,
    /// Rule 3: tables are read at a number of the tree instead of whole.
    ReadAtTreeNumber,
    /// Rule 4: a memtable is flushed before all of it is visible.
    FlushInvisible,
    /// Rule 4: the newest sealed memtable is flushed first.
    FlushNewestFirst,
    /// Rule 4: a memtable is flushed although the log does not have all of it.
    FlushBeforeLog,
    /// Rule 4: a flush without data opens an ingestion.
    IngestNothing,
    /// Rule 4: all versions of a key are flushed.
    FlushEveryVersion,
    /// Rule 4: the mark is written after the tables, in a step of its own.
    MarkAfterwards,
    /// Rule 4: deletes are left out of a flush.
    FlushWithoutDeletes,
    /// Rule 5: the view keeps the flushed memtable.
    KeepFlushed,
    /// Rule 5: replay begins at the first commit, whatever the mark says.
    ForgetMark,
    /// Rule 5: replayed records get new Seqs.
    ReplayAtNewSeqs,
    /// Rule 5: the log is cut above the mark.
    ReleaseUnflushed,
    /// Rule 6: compaction keeps old versions.
    KeepTableVersions,
    /// Rule 6: the view keeps the tables that a compaction has merged.
    KeepMerged,
    /// Rule 6: flushes and compactions share a thread.
    OneThread,
    /// Rule 6: several threads may flush at a time.
    ManyFlushers,
    /// Rule 6: old versions of the tree are never let go.
    NoMaintenance,
    /// Rule 7: keys go to the tree unchecked.
    UncheckedKeys,
    /// Rule 8: what failed in the background is not tried again.
    NeverTryAgain,
    /// Rule 8: a memtable is dropped although its flush failed.
    DropUnflushed,
    /// Rule 8: partial files are left where they are.
    KeepPartialFiles,
    /// Rule 8: partial files are removed before the manifest has been written again.
    RemovePartialAtOnce,
    /// Rule 8: partial files are removed although somebody writes tables.
    RemovePartialWhileWriting,
    /// Rule 9: records go to tables without their Seq.
    RecordsWithoutSeq,
    /// Rule 10: values are separated from keys.
    KeyValueSeparation,
    /// The row cache does not hear of writes.
    DeafRowCache,
    /// Startup trusts the manifest.
    TrustManifest,
}

/// Where a probe is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(hidden)]
pub enum Point {
    /// A flush has opened its tables.
    FlushBegun,
    /// All entries are written, the tables are not part of the tree yet.
    FlushWritten,
    /// The tables are part of the tree; the view does not have them yet.
    FlushFinished,
    /// The view has the tables.
    FlushDone,
    /// A compaction is about to begin.
    CompactBegun,
}

/// Called at each point; an error makes that step fail.
#[doc(hidden)]
pub type Probe = Arc<dyn Fn(Point) -> io::Result<()> + Send + Sync>;

/// What a test has switched on. Nothing, normally.
#[derive(Clone, Default)]
#[doc(hidden)]
pub struct Hooks {
    /// The rule that is broken.
    pub defect: Option<Defect>,
    /// Called at each point.
    pub probe: Option<Probe>,
}

impl Hooks {
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    pub(crate) fn reach(&self, point: Point) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe(point))
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("defect", &self.defect)
            .finish_non_exhaustive()
    }
}
