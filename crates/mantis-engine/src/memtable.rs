//! The memtable: a lock-free skiplist of versions, shared by both engines.
//!
//! A version is keyed by (key ascending, Seq descending), so that the newest version below a
//! snapshot is one seek away. The first 24 bytes of the key stand inside the node as three words:
//! a comparison seldom follows a pointer.

use std::cmp::Ordering as Order;
use std::ops::Bound;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use byteview::ByteView;
use crossbeam_skiplist::{SkipMap, map::Entry};
use crossbeam_utils::CachePadded;
use lsm_tree::Slice;
use mantis_types::{Seq, WriteBatch, stamp_seq};

mod cursor;

pub(crate) use cursor::Cursor;

/// Key bytes inside the node.
const HEAD_WORDS: usize = 3;
const HEAD_BYTES: usize = HEAD_WORDS * 8;
/// What a node takes beside the bytes on the heap: key and value handles, reference count, a tower
/// of two pointers on average, and the allocator's own word.
const NODE_BYTES: u64 = (size_of::<VersionKey>() + size_of::<Slice>() + 8 + 2 * 8 + 8) as u64;
/// Handles hold this many bytes themselves; longer ones have an allocation with a counter.
const INLINE_BYTES: usize = 20;
/// Counter and allocator's word of a heap allocation.
const HEAP_BYTES: u64 = 16;
/// Fixed length of a record's header, up to and including its Seq.
const STAMPED_BYTES: usize = 12;

/// One version of one key.
#[derive(Clone, Debug)]
pub(crate) struct VersionKey {
    head: [u64; HEAD_WORDS],
    key: Slice,
    seq: u64,
}

impl VersionKey {
    #[inline]
    pub(crate) fn new(key: &[u8], seq: Seq) -> Self {
        Self {
            head: head_of(key),
            key: Slice::from(key),
            seq: seq.get(),
        }
    }

    pub(crate) fn key(&self) -> &Slice {
        &self.key
    }

    pub(crate) const fn seq(&self) -> Seq {
        Seq::new(self.seq)
    }

    /// The end of this key's versions.
    pub(crate) fn oldest(&self) -> Self {
        Self {
            seq: 0,
            ..self.clone()
        }
    }

    #[inline]
    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.cmp_key(other) == Order::Equal
    }

    #[inline]
    fn cmp_key(&self, other: &Self) -> Order {
        let [a0, a1, a2] = self.head;
        let [b0, b1, b2] = other.head;
        if a0 != b0 {
            return a0.cmp(&b0);
        }
        if a1 != b1 {
            return a1.cmp(&b1);
        }
        if a2 != b2 {
            return a2.cmp(&b2);
        }
        // Heads are padded with zeros: where one key ends inside its head, the shorter one is less.
        if self.key.len() <= HEAD_BYTES || other.key.len() <= HEAD_BYTES {
            return self.key.len().cmp(&other.key.len());
        }
        self.key[..].cmp(&other.key[..])
    }
}

#[inline]
fn head_of(key: &[u8]) -> [u64; HEAD_WORDS] {
    let mut bytes = [0; HEAD_BYTES];
    for (place, byte) in bytes.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut head = [0; HEAD_WORDS];
    for (word, chunk) in head.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*chunk);
    }
    head
}

impl PartialEq for VersionKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for VersionKey {}

impl PartialOrd for VersionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for VersionKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Order {
        self.cmp_key(other).then_with(|| other.seq.cmp(&self.seq))
    }
}

/// A version in the skiplist. An empty value is a delete: a record is never empty.
pub(crate) type VersionEntry<'a> = Entry<'a, VersionKey, Slice>;

/// What a memtable knows about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Record bytes.
    Put(Slice),
    /// Deleted.
    Deleted,
    /// Nothing: older memtables or tables decide.
    Unknown,
}

/// The versions of the commits [start, end).
pub(crate) struct Memtable {
    pub(crate) versions: SkipMap<VersionKey, Slice>,
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
        for (key, record) in batch.ops() {
            debug_assert!(
                key.first().is_some_and(|b| *b != 0),
                "a key of the engine's own"
            );
            let value = record.map_or_else(Slice::default, |r| stamped(r, seq));
            bytes += heap_bytes(key.len()) + heap_bytes(value.len()) + NODE_BYTES;
            let version = VersionKey::new(key, seq);
            inserted(&self.versions.insert(version, value));
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
        let freed =
            heap_bytes(version.key().key.len()) + heap_bytes(version.value().len()) + NODE_BYTES;
        let removed = version.remove();
        if removed {
            self.bytes.fetch_sub(freed, Relaxed);
        }
        removed
    }

    /// The newest version at or below the Seq of `wanted`.
    #[inline]
    pub(crate) fn get(&self, wanted: &VersionKey) -> Lookup {
        match self.versions.lower_bound(Bound::Included(wanted)) {
            Some(entry) if entry.key().same_key(wanted) => {
                if entry.value().is_empty() {
                    Lookup::Deleted
                } else {
                    Lookup::Put(entry.value().clone())
                }
            }
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

/// Bytes on the heap behind a handle of `len` bytes.
const fn heap_bytes(len: usize) -> u64 {
    if len <= INLINE_BYTES {
        0
    } else {
        (len as u64).next_multiple_of(16) + HEAP_BYTES
    }
}

/// The record with its Seq, in one allocation and without clearing memory first.
fn stamped(record: &[u8], seq: Seq) -> Slice {
    let Some((header, rest)) = record.split_first_chunk::<STAMPED_BYTES>() else {
        // Not a record; reading it answers `BadRecord`. It must not look like a delete.
        let bytes = if record.is_empty() { &[0][..] } else { record };
        return Slice::from(bytes);
    };
    let mut header = *header;
    stamp_seq(&mut header, seq);
    Slice::from(ByteView::fused(&header, rest))
}
