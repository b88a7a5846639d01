//! The conflict index: who has written what since the oldest live transaction began.
//!
//! While a read-write transaction lives, every commit enters the hashes of its keys here, and while
//! a serializable one lives its keys, too, so that ranges can be asked for. It happens inside the
//! sequencer, so that the index knows every commit up to the newest one that has a number. Two keys
//! with one hash make a transaction conflict for nothing, which is harmless and, at 64 bits, rare.
//!
//! Cost: nothing while no transaction lives; then one hash and one entry of about 40 bytes for each
//! key that is written. A check costs what the transaction has read and written: a look for each key,
//! a binary search in the sorted lists of recent writes for each range.

mod checks;
mod live;
mod ranges;
mod recent;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::CachePadded;
use mantis_types::{Limits, Seq, WriteBatch};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::TxnError;

pub(crate) use checks::{Checks, Point};
pub(crate) use live::{Live, Ticket};
pub(crate) use ranges::{Ranges, Span, Spans};
pub(crate) use recent::Recent;

/// Parts of the index of keys, each with a lock of its own.
const SHARDS: usize = 256;
/// Entries from which on a part looks for what it may forget.
const PRUNE_MIN: usize = 256;

/// Keys and ranges that recent commits have written.
pub(crate) struct ConflictIndex {
    /// Keeps others from choosing colliding keys.
    seed: u64,
    /// Each guards the newest Seqs of the keys that hash to it. Taken inside the sequencer, and
    /// nothing inside it; longest hold: one pass over the part.
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    shard_keys_max: usize,
    ranges: Ranges,
    /// Commits up to this one may be missing: a transaction that began before cannot be checked.
    floor: AtomicU64,
    /// The newest commit that has been entered.
    entered: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    newest: HashMap<u64, u64, BuildHasherDefault<AsItIs>>,
    prune_at: usize,
}

impl ConflictIndex {
    pub(crate) fn new(seed: u64, limits: &Limits) -> Self {
        Self {
            seed,
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            shard_keys_max: (limits.conflict_keys_max / SHARDS).max(PRUNE_MIN),
            ranges: Ranges::new(limits.conflict_keys_max),
            floor: AtomicU64::new(0),
            entered: AtomicU64::new(0),
        }
    }

    /// What stands for a key.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    /// Notes what commit `seq` writes; inside the sequencer. `oldest` is the oldest commit that a
    /// live transaction may still ask about.
    pub(crate) fn enter(
        &self,
        seq: Seq,
        batch: &WriteBatch,
        recent: &mut Recent,
        oldest: Seq,
        with_ranges: bool,
    ) {
        for entry in batch.entries() {
            let hash = self.hash(entry.key());
            self.enter_point(hash, seq, oldest);
            recent.push(seq, hash);
            if with_ranges {
                self.ranges.push(seq, entry.key(), oldest);
            }
        }
        self.entered.store(seq.get(), SeqCst);
    }

    /// From here on the keys of every commit are entered; those up to `seq` were not.
    pub(crate) fn begin_points(&self, seq: Seq) {
        self.entered.fetch_max(seq.get(), SeqCst);
        self.floor.fetch_max(seq.get(), SeqCst);
    }

    /// The same for ranges.
    pub(crate) fn begin_ranges(&self, seq: Seq) {
        self.ranges.begin(seq);
    }

    /// Forgets the order of keys: nobody asks about ranges any more.
    pub(crate) fn clear_ranges(&self) {
        self.ranges.clear();
    }

    /// Forgets everything: nobody asks any more.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
        self.ranges.clear();
    }

    /// The newest commit that wrote the key; `None` when no recent one did.
    pub(crate) fn newest(&self, hash: u64) -> Option<Seq> {
        let shard = self.shard(hash)?.lock();
        shard.newest.get(&hash).copied().map(Seq::new)
    }

    /// Up to which commit a check that begins now knows everything.
    pub(crate) fn entered(&self) -> Seq {
        Seq::new(self.entered.load(SeqCst))
    }

    /// Whether nothing that was asked for has been written since; everything up to
    /// [`Self::entered`] is taken into account. To be called outside the sequencer.
    ///
    /// # Errors
    /// `Conflict` with the commit that stands in the way, `SnapshotTooOld`.
    pub(crate) fn check(&self, checks: &Checks<'_>) -> Result<(), TxnError> {
        for point in checks.points() {
            let newest = self.newest(point.hash);
            if let Some(seq) = newest.filter(|seq| *seq > point.as_of) {
                return Err(TxnError::Conflict { with: seq });
            }
        }
        if let Some(seq) = self.ranges.first_hit(checks.spans(), checks.since()) {
            return Err(TxnError::Conflict { with: seq });
        }
        // Last: what was forgotten meanwhile has raised it.
        if checks.as_of_min() < self.floor().max(self.ranges.floor_for(checks.spans())) {
            return Err(TxnError::TooOld);
        }
        Ok(())
    }

    /// What [`Self::check`] could not see: commits after `checked`. Inside the sequencer; cost: the
    /// keys of those commits.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn check_since(
        &self,
        checks: &Checks<'_>,
        checked: Seq,
        recent: &Recent,
    ) -> Result<(), TxnError> {
        if self.entered() <= checked {
            return Ok(());
        }
        if !recent.reaches_back_to(checked) {
            return self.check(checks);
        }
        for (seq, hash) in recent.after(checked) {
            if checks.has_point(hash) {
                return Err(TxnError::Conflict { with: seq });
            }
        }
        match self.ranges.newest_hit(checks.spans(), checked) {
            Some(seq) => Err(TxnError::Conflict { with: seq }),
            None => Ok(()),
        }
    }

    /// Keys that are remembered.
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|s| s.lock().newest.len()).sum()
    }

    fn floor(&self) -> Seq {
        Seq::new(self.floor.load(SeqCst))
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<Shard>> {
        // The map inside uses the lowest and the highest bits.
        let part = usize::try_from((hash >> 24) % (SHARDS as u64)).ok()?;
        self.shards.get(part).map(|shard| &**shard)
    }

    fn enter_point(&self, hash: u64, seq: Seq, oldest: Seq) {
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let mut shard = shard.lock();
        shard.newest.insert(hash, seq.get());
        if shard.newest.len() > shard.prune_at.max(PRUNE_MIN) {
            let forgotten = shard.prune(oldest, self.shard_keys_max);
            self.floor.fetch_max(forgotten.get(), SeqCst);
        }
    }
}

impl Shard {
    /// Drops what nobody asks about, and if that is not enough the older half; answers the newest
    /// commit that is missing now.
    fn prune(&mut self, oldest: Seq, keys_max: usize) -> Seq {
        self.newest.retain(|_, seq| *seq > oldest.get());
        let mut forgotten = Seq::ZERO;
        if self.newest.len() >= keys_max {
            let mut seqs: Vec<u64> = self.newest.values().copied().collect();
            let half = seqs.len() / 2;
            let (_, middle, _) = seqs.select_nth_unstable(half);
            let cut = *middle;
            self.newest.retain(|_, seq| *seq > cut);
            forgotten = Seq::new(cut);
        }
        // Twice what is left: each entry is looked at about once.
        self.prune_at = (self.newest.len() * 2).min(keys_max);
        forgotten
    }
}

impl std::fmt::Debug for ConflictIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConflictIndex")
            .field("entered", &self.entered())
            .field("floor", &self.floor())
            .finish_non_exhaustive()
    }
}

/// The keys of the maps are hashes already.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
