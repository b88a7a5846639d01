//! The memtable: a lock-free skiplist of versions, shared by both engines.
//!
//! A version is keyed by (key ascending, Seq descending), so that the newest version below a
//! snapshot is one seek away.

use std::ops::Bound;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crossbeam_skiplist::{SkipMap, map::Entry};
use crossbeam_utils::CachePadded;
use mantis_types::{Seq, WriteBatch};

mod cursor;
mod version;

pub(crate) use cursor::Cursor;
pub(crate) use version::{Body, Version};

/// What a node takes beside the body on the heap: the version, a reference count, a tower of two
/// pointers on average, and the allocator's own word.
const NODE_BYTES: u64 = (size_of::<Version>() + 8 + 2 * 8 + 8) as u64;

/// A version in the skiplist.
pub(crate) type VersionEntry<'a> = Entry<'a, Version, ()>;

/// What a memtable knows about a key.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// Its record.
    Put(Body),
    /// Deleted.
    Deleted,
    /// Nothing: older memtables or tables decide.
    Unknown,
}

/// The versions of the commits [start, end).
pub(crate) struct Memtable {
    pub(crate) versions: SkipMap<Version, ()>,
    start: Seq,
    /// First Seq that went to the next memtable; `u64::MAX` while this one is active.
    end: AtomicU64,
    /// Bytes of memory, overhead included: placed batches count before they are applied.
    bytes: CachePadded<AtomicU64>,
}

impl Memtable {
    pub(crate) fn new(start: Seq) -> Self {
        Self {
            versions: SkipMap::new(),
            start,
            end: AtomicU64::new(u64::MAX),
            bytes: CachePadded::new(AtomicU64::new(0)),
        }
    }

    pub(crate) const fn start(&self) -> Seq {
        self.start
    }

    /// First Seq that is not in here. Meaningful once it is sealed.
    pub(crate) fn end(&self) -> Seq {
        Seq::new(self.end.load(SeqCst))
    }

    /// The newest Seq that may be in here.
    pub(crate) fn last(&self) -> Seq {
        Seq::new(self.end.load(SeqCst).saturating_sub(1))
    }

    /// Every commit from `end` on goes elsewhere. Called once, before another memtable takes any.
    pub(crate) fn seal(&self, end: Seq) {
        self.end.store(end.get(), SeqCst);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Counts a batch that is about to be applied; answers the bytes with it.
    pub(crate) fn reserve(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Relaxed) + bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Inserts every operation at `seq`; `inserted` is told each new version. The batch's own bytes
    /// were counted by [`Self::reserve`].
    pub(crate) fn apply(
        &self,
        seq: Seq,
        batch: &WriteBatch,
        mut inserted: impl FnMut(&VersionEntry<'_>),
    ) {
        let mut bytes = 0;
        for entry in batch.entries() {
            debug_assert!(
                entry.key().first().is_some_and(|b| *b != 0),
                "a key of the engine's own"
            );
            bytes += Body::heap_bytes(entry.bytes().len()) + NODE_BYTES;
            let version = Version::write(&entry, seq);
            inserted(&self.versions.insert(version, ()));
        }
        let counted = batch.as_bytes().len() as u64;
        // The batch's bytes were an estimate: replace it by what the entries take.
        if bytes >= counted {
            self.bytes.fetch_add(bytes - counted, Relaxed);
        } else {
            self.bytes.fetch_sub(counted - bytes, Relaxed);
        }
    }

    /// Takes a version out (memory engine only), and its bytes with it.
    pub(crate) fn remove(&self, version: &VersionEntry<'_>) -> bool {
        let body = version.key().body();
        let freed = NODE_BYTES + body.map_or(0, |body| Body::heap_bytes(body.len()));
        let removed = version.remove();
        if removed {
            self.bytes.fetch_sub(freed, Relaxed);
        }
        removed
    }

    /// The newest version at or below the Seq of `wanted`.
    #[inline]
    pub(crate) fn get(&self, wanted: &Version) -> Lookup {
        let found = self.versions.lower_bound(Bound::Included(wanted));
        match found.as_ref().map(VersionEntry::key) {
            Some(version) if version.same_key(wanted) => match version.body() {
                Some(body) if !body.is_delete() => Lookup::Put(body.clone()),
                _ => Lookup::Deleted,
            },
            _ => Lookup::Unknown,
        }
    }
}

impl std::fmt::Debug for Memtable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memtable")
            .field("start", &self.start)
            .field("end", &self.end())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
