//! Key latches: who may read a key's newest version and write the next one.
//!
//! A latch is held from the read of the old version until the new one is in the memtable, never
//! over an fsync: so increments of one key follow each other at memory speed and share one group
//! commit. Order: latches in ascending stripe order, then the sequencer, then the log's own lock.

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::xxh3_64;

/// Number of stripes; two keys share one by chance, which costs waiting but is never wrong.
const STRIPES: usize = 1024;

/// The latches of one store.
pub(crate) struct Latches {
    /// Each guards the newest applied version of the keys that hash to it. Longest hold: one read,
    /// one sequencer section and the memtable inserts of one batch.
    stripes: Box<[CachePadded<Mutex<()>>]>,
}

/// Proof that the latches of some keys are held; dropping it releases them.
///
/// It is bound to its thread. Taking a second one while the first is held can block for ever.
#[must_use = "the latches are released when this is dropped"]
pub struct Latched<'a> {
    held: Held<'a>,
}

enum Held<'a> {
    One(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'a, ()>),
    Many(#[expect(dead_code, reason = "held for their drop")] Vec<MutexGuard<'a, ()>>),
}

impl std::fmt::Debug for Latched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.held {
            Held::One(_) => "Latched(one stripe)",
            Held::Many(_) => "Latched(several stripes)",
        })
    }
}

impl Latches {
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES)
                .map(|_| CachePadded::new(Mutex::new(())))
                .collect(),
        }
    }

    /// Latches one key.
    pub(crate) fn one(&self, key: &[u8]) -> Latched<'_> {
        let Some(stripe) = self.stripes.get(stripe_of(key)) else {
            return Latched {
                held: Held::Many(Vec::new()),
            };
        };
        Latched {
            held: Held::One(stripe.lock()),
        }
    }

    /// Latches several keys, in an order that cannot deadlock.
    pub(crate) fn many<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Latched<'_> {
        let mut wanted: Vec<usize> = keys.map(stripe_of).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let guards = wanted
            .into_iter()
            .filter_map(|i| Some(self.stripes.get(i)?.lock()));
        Latched {
            held: Held::Many(guards.collect()),
        }
    }

    /// Latches every key: waits for all writers, and keeps new ones out.
    pub(crate) fn all(&self) -> Latched<'_> {
        Latched {
            held: Held::Many(self.stripes.iter().map(|s| s.lock()).collect()),
        }
    }
}

fn stripe_of(key: &[u8]) -> usize {
    let low = xxh3_64(key) & (STRIPES as u64 - 1);
    usize::try_from(low).expect("masked to the number of stripes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_and_colliding_keys_do_not_block_their_own_holder() {
        let latches = Latches::new();
        let keys: Vec<Vec<u8>> = (0..5_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let twice = keys.iter().chain(keys.iter()).map(Vec::as_slice);
        drop(latches.many(twice));
        drop(latches.all());
        drop(latches.one(b"a"));
    }

    #[test]
    fn a_latched_key_is_not_latched_again() {
        let latches = Latches::new();
        let held = latches.one(b"a");
        assert!(latches.stripes[stripe_of(b"a")].try_lock().is_none());
        drop(held);
        assert!(latches.stripes[stripe_of(b"a")].try_lock().is_some());
    }
}
