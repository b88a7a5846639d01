//! Marks of single keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use mantis_types::Seq;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const SHARDS: usize = 64;

/// The mark of one key, shared by all who watch it.
#[derive(Debug)]
pub(super) struct Point {
    hash: u64,
    /// The newest commit that has touched it while it was watched.
    touched: AtomicU64,
}

impl Point {
    pub(super) fn touched(&self) -> Seq {
        Seq::new(self.touched.load(SeqCst))
    }
}

/// All watched keys, by 64 bits of their hash: two keys with the same one touch each other, which
/// costs somebody a look more than needed, and happens once in 2^64.
#[derive(Debug)]
pub(super) struct Points {
    seed: u64,
    /// Each guards which of its keys are watched. Leaf locks. Longest hold: a look-up, or the growth
    /// of a table.
    shards: Box<[Mutex<Shard>]>,
    len: AtomicUsize,
}

type Shard = HashMap<u64, Arc<Point>, BuildHasherDefault<IsHash>>;

impl Points {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }

    pub(super) fn any(&self) -> bool {
        self.len() > 0
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(SeqCst)
    }

    /// The mark of a key, made if nobody watches it yet.
    pub(super) fn join(&self, key: &[u8]) -> Arc<Point> {
        let hash = self.hash(key);
        let fresh = || {
            self.len.fetch_add(1, SeqCst);
            Arc::new(Point {
                hash,
                touched: AtomicU64::new(0),
            })
        };
        match self.shard(hash) {
            Some(shard) => Arc::clone(shard.lock().entry(hash).or_insert_with(fresh)),
            None => fresh(),
        }
    }

    /// Gives a mark back; the last one who watches takes it away.
    pub(super) fn leave(&self, point: Arc<Point>) {
        let Some(shard) = self.shard(point.hash) else {
            return;
        };
        let mut shard = shard.lock();
        // New ones are made under the lock only: ours and the table's are all there are.
        let last = Arc::strong_count(&point) == 2;
        if let (true, Entry::Occupied(entry)) = (last, shard.entry(point.hash)) {
            entry.remove();
            self.len.fetch_sub(1, SeqCst);
        }
        // Under the lock as well, or the next one to leave would count it.
        drop(point);
    }

    pub(super) fn touch(&self, key: &[u8], seq: Seq) {
        let hash = self.hash(key);
        if let Some(shard) = self.shard(hash)
            && let Some(point) = shard.lock().get(&hash)
        {
            point.touched.store(seq.get(), SeqCst);
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<Shard>> {
        // The low bits find the place within the table.
        let shard = usize::try_from(hash >> 58).ok()?;
        self.shards.get(shard)
    }
}

/// What is hashed is a hash.
#[derive(Debug, Default)]
pub(super) struct IsHash(u64);

impl Hasher for IsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
