//! Which snapshots are held, so that nothing they see is dropped.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use mantis_types::Seq;
use parking_lot::Mutex;

/// Parts of the registry; threads spread over them, so that taking snapshots does not queue.
const SHARDS: usize = 32;
/// A slot that nobody uses.
const FREE: u64 = u64::MAX;

/// The Seqs of all held snapshots.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Each guards a part of the slots; no other lock is taken inside. Longest hold: one insertion,
    /// or a look over the part's slots.
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

#[derive(Debug, Default)]
struct Shard {
    seqs: Vec<u64>,
    free: Vec<usize>,
}

/// Where a snapshot is registered.
#[derive(Debug)]
pub(crate) struct Slot {
    shard: usize,
    index: usize,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Registers a snapshot at the Seq that `choose` answers. The Seq is chosen under the same lock
    /// that [`Self::oldest`] takes: a snapshot that it does not see yet is not older than the
    /// horizon it was given.
    pub(crate) fn enter(&self, choose: impl FnOnce() -> Seq) -> (Seq, Slot) {
        self.enter_at(home_shard(), choose)
    }

    /// Registers a snapshot once more. In the same part: a look over all parts, one after the other,
    /// would else miss both when it has passed the new one's part and comes to the old one's after
    /// that was given back.
    pub(crate) fn enter_beside(&self, slot: &Slot, seq: Seq) -> Slot {
        self.enter_at(slot.shard, || seq).1
    }

    fn enter_at(&self, shard: usize, choose: impl FnOnce() -> Seq) -> (Seq, Slot) {
        let Some(part) = self.shards.get(shard) else {
            unreachable!("shards are numbered below SHARDS");
        };
        let mut part = part.lock();
        let seq = choose();
        let index = part.free.pop().unwrap_or_else(|| {
            part.seqs.push(FREE);
            part.seqs.len() - 1
        });
        if let Some(place) = part.seqs.get_mut(index) {
            *place = seq.get();
        }
        (seq, Slot { shard, index })
    }

    pub(crate) fn leave(&self, slot: &Slot) {
        if let Some(part) = self.shards.get(slot.shard) {
            let mut part = part.lock();
            if let Some(place) = part.seqs.get_mut(slot.index) {
                *place = FREE;
            }
            part.free.push(slot.index);
        }
    }

    /// The oldest Seq that a held snapshot reads at. A snapshot that is being taken meanwhile reads
    /// at the horizon's value before this call, or later.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        let oldest = self.shards.iter().filter_map(|part| {
            part.lock()
                .seqs
                .iter()
                .copied()
                .filter(|seq| *seq != FREE)
                .min()
        });
        oldest.min().map(Seq::new)
    }

    /// The Seqs of all held snapshots, ascending. What [`Self::oldest`] says about those being taken
    /// holds here, too.
    pub(crate) fn held(&self) -> Vec<u64> {
        let mut held = Vec::new();
        for part in &self.shards {
            held.extend(part.lock().seqs.iter().copied().filter(|seq| *seq != FREE));
        }
        held.sort_unstable();
        held.dedup();
        held
    }

    pub(crate) fn len(&self) -> usize {
        let held = self.shards.iter().map(|part| {
            let part = part.lock();
            part.seqs.len() - part.free.len()
        });
        held.sum()
    }
}

/// The part that this thread uses.
pub(crate) fn home_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    HOME.with(|home| {
        if home.get() == usize::MAX {
            home.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
        }
        home.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_beside_stands_in_the_same_part() {
        let registry = Registry::new();
        let (seq, slot) = registry.enter(|| Seq::new(5));
        std::thread::scope(|scope| {
            let beside = || registry.enter_beside(&slot, seq);
            let beside = scope.spawn(beside).join().unwrap();
            assert_eq!(beside.shard, slot.shard);
            registry.leave(&slot);
            assert_eq!(registry.held(), [5]);
            registry.leave(&beside);
        });
        assert_eq!((registry.oldest(), registry.len()), (None, 0));
    }

    #[test]
    fn the_oldest_held_seq_is_known_until_it_is_given_back() {
        let registry = Registry::new();
        assert_eq!(registry.oldest(), None);
        let (_, seven) = registry.enter(|| Seq::new(7));
        let (_, three) = registry.enter(|| Seq::new(3));
        assert_eq!((registry.oldest(), registry.len()), (Some(Seq::new(3)), 2));
        registry.leave(&three);
        assert_eq!((registry.oldest(), registry.len()), (Some(Seq::new(7)), 1));
        let (_, again) = registry.enter(|| Seq::new(9));
        registry.leave(&seven);
        assert_eq!((registry.oldest(), registry.len()), (Some(Seq::new(9)), 1));
        registry.leave(&again);
        assert_eq!((registry.oldest(), registry.len()), (None, 0));
    }
}
