//! The row cache: newest committed records by key, for reads that would otherwise go to tables.
//!
//! A cached record must be exactly what a table read would answer. Every write announces itself
//! twice before it is published: it raises the stripe of its key to its Seq, then removes the key.
//! A reader that fills the cache notes the stripe first, inserts its row as not yet valid, and
//! validates it only if the stripe is still what it was. So a valid row has no newer write: such a
//! write would have raised the stripe before the validation, or removed the row after it. While no
//! row was ever kept, there is nothing to remove.
//!
//! A bulk load changes tables without such writes. It begins a new generation of the cache: rows of
//! the old one go, and only views that hold the load's tables read and fill from then on.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use lsm_tree::Slice;
use mantis_types::Seq;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use triomphe::ThinArc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::Record;
use crate::counter::Counter;

/// Stripes that writes announce themselves in; keys are spread over them by hash.
const STRIPES: usize = 1 << 16;
/// What a row takes beside key and record: handles, counters, the cache's own entry and hash slot.
const ROW_BYTES: u64 = 200;
/// Records above this share of the cache are not kept.
const LARGEST_SHARE: u64 = 256;

/// A record, and whether it has been found to be the newest: one allocation, which readers share.
#[derive(Clone)]
pub(crate) struct Row(ThinArc<RowHeader, u8>);

struct RowHeader {
    valid: AtomicBool,
    seq: Seq,
}

impl Row {
    /// Out of its block: a row must not hold four kilobytes of neighbours.
    fn of(record: &Record) -> Self {
        let header = RowHeader {
            valid: AtomicBool::new(false),
            seq: record.seq(),
        };
        Self(ThinArc::from_header_and_slice(header, record.as_bytes()))
    }

    fn header(&self) -> &RowHeader {
        &self.0.header.header
    }

    pub(crate) fn record(&self) -> &[u8] {
        &self.0.slice
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row(seq {})", self.header().seq)
    }
}

type Rows = Cache<Slice, Row, RowWeight, KeyHash, DefaultLifecycle<Slice, Row>>;

/// Newest committed records by key.
#[derive(Debug)]
pub(crate) struct RowCache {
    rows: Option<Rows>,
    /// Newest Seq written to any key of the stripe.
    stripes: Box<[AtomicU64]>,
    /// Whether a row was ever kept: until then writes have nothing to remove.
    used: AtomicBool,
    /// Bulk loads so far.
    loads: AtomicU64,
    seed: u64,
    record_bytes_max: u64,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
}

/// What a reader noted before it read tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    stripe: u64,
    loads: u64,
}

impl RowCache {
    /// A cache of `bytes` bytes; 0 for none. `seed` keeps others from choosing colliding keys.
    pub(crate) fn new(bytes: u64, seed: u64) -> Self {
        let stripes_bytes = (STRIPES * size_of::<AtomicU64>()) as u64;
        let bytes = bytes.saturating_sub(stripes_bytes);
        let items = usize::try_from(bytes / (ROW_BYTES + 100)).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items.max(1))
            .weight_capacity(bytes.max(1))
            .build()
            .expect("both capacities are given");
        let rows = (bytes > 0).then(|| {
            let lifecycle = DefaultLifecycle::default();
            Cache::with_options(options, RowWeight, KeyHash { seed }, lifecycle)
        });
        let stripes = if rows.is_some() { STRIPES } else { 0 };
        Self {
            rows,
            stripes: (0..stripes).map(|_| AtomicU64::new(0)).collect(),
            used: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            seed,
            record_bytes_max: bytes / LARGEST_SHARE,
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// The newest record of `key`, if it is known and a snapshot at `seq`, of a view with so many
    /// bulk loads, sees it.
    #[inline]
    pub(crate) fn get(&self, loads: u64, seq: Seq, key: &[u8]) -> Option<Record> {
        let row = self.rows.as_ref()?.get(key)?;
        let header = row.header();
        let seen = header.valid.load(SeqCst) && header.seq <= seq;
        if !seen || self.loads.load(SeqCst) != loads {
            return None;
        }
        self.hits.add(1);
        Some(Record::of_row(row))
    }

    /// To be called before the tables of a view with so many bulk loads are read for
    /// [`Self::fill`].
    pub(crate) fn note(&self, loads: u64, key: &[u8]) -> Option<Noted> {
        Some(Noted {
            stripe: self.stripe(key)?.load(SeqCst),
            loads,
        })
    }

    /// Keeps the record that a read at `seq` found in tables, if no later write is known.
    pub(crate) fn fill(&self, noted: Noted, seq: Seq, key: &[u8], record: &Record) {
        let (Some(rows), Some(stripe)) = (&self.rows, self.stripe(key)) else {
            return;
        };
        let bytes = (key.len() + record.as_bytes().len()) as u64;
        if noted.stripe > seq.get() || bytes > self.record_bytes_max {
            return;
        }
        let row = Row::of(record);
        // Before the row: a write that does not see this raises its stripe before we look at it.
        self.used.store(true, SeqCst);
        rows.insert(Slice::from(key), row.clone());
        if stripe.load(SeqCst) == noted.stripe && self.loads.load(SeqCst) == noted.loads {
            row.header().valid.store(true, SeqCst);
        } else {
            rows.remove_if(key, |kept| std::ptr::eq(kept.record(), row.record()));
        }
    }

    /// Announces a write of `key` at `seq`; before that commit is published.
    #[inline]
    pub(crate) fn announce(&self, seq: Seq, key: &[u8]) {
        if let (Some(rows), Some(stripe)) = (&self.rows, self.stripe(key)) {
            stripe.fetch_max(seq.get(), SeqCst);
            if self.used.load(SeqCst) {
                rows.remove(key);
            }
        }
    }

    /// Forgets everything and answers the number of the generation that begins: for a view that is
    /// about to get the tables of a bulk load.
    pub(crate) fn begin_generation(&self) -> u64 {
        let loads = self.loads.fetch_add(1, SeqCst) + 1;
        if let Some(rows) = &self.rows {
            rows.clear();
        }
        loads
    }

    pub(crate) fn bytes(&self) -> u64 {
        let stripes = (self.stripes.len() * size_of::<AtomicU64>()) as u64;
        stripes + self.rows.as_ref().map_or(0, Cache::weight)
    }

    fn stripe(&self, key: &[u8]) -> Option<&AtomicU64> {
        let hash = xxh3_64_with_seed(key, self.seed);
        let index = hash.checked_rem(self.stripes.len() as u64)?;
        self.stripes.get(usize::try_from(index).ok()?)
    }
}

#[derive(Clone, Debug)]
struct RowWeight;

impl Weighter<Slice, Row> for RowWeight {
    fn weight(&self, key: &Slice, row: &Row) -> u64 {
        ROW_BYTES + (key.len() + row.record().len()) as u64
    }
}

/// xxh3 over the key's bytes, with a seed of this process.
#[derive(Clone, Debug)]
struct KeyHash {
    seed: u64,
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.seed)
    }
}

#[derive(Debug)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length of a key says nothing that its bytes do not.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
