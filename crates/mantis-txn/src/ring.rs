//! Publication in Seq order: a ring of finished commits, and the edge up to which all are visible.
//!
//! A commit that has been applied marks its slot; whoever marks, or moves the durable mark, then
//! pushes the edge over every slot that may be published. All orders are SeqCst: with Release and
//! Acquire the last commit can stay unpublished until the next one (ENGINE design notes).

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mantis_types::Seq;

/// Commits that may be applied but not yet visible at the same time.
pub(crate) const SLOTS: u64 = 1 << 16;

/// The finished commits above the visible edge.
#[derive(Debug)]
pub(crate) struct Ring {
    /// `seq << 1 | must_be_durable`, each at `seq % SLOTS`.
    slots: Box<[AtomicU64]>,
}

/// What keeps the edge where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The next commit has not been applied yet, or does not exist.
    NotFinished,
    /// The next commit is applied, but promised only once it is on disk.
    NotDurable(Seq),
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Marks `seq` as applied.
    pub(crate) fn finish(&self, seq: Seq, must_be_durable: bool) {
        if let Some(slot) = self.slot(seq) {
            slot.store(seq.get() << 1 | u64::from(must_be_durable), SeqCst);
        }
    }

    /// Whether the commit after `visible` may be published, given what is durable.
    pub(crate) fn next_publishable(&self, visible: Seq, durable: Seq) -> Result<Seq, Blocked> {
        let next = visible.next();
        let mark = self.slot(next).map_or(0, |s| s.load(SeqCst));
        if mark >> 1 != next.get() {
            return Err(Blocked::NotFinished);
        }
        if mark & 1 == 1 && durable < next {
            return Err(Blocked::NotDurable(next));
        }
        Ok(next)
    }

    fn slot(&self, seq: Seq) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(seq.get() % SLOTS).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_stops_at_gaps_and_at_what_is_not_durable() {
        let ring = Ring::new();
        let at = |n| Seq::new(n);
        assert_eq!(
            ring.next_publishable(at(0), at(9)),
            Err(Blocked::NotFinished)
        );
        ring.finish(at(2), false);
        assert_eq!(
            ring.next_publishable(at(0), at(9)),
            Err(Blocked::NotFinished)
        );
        ring.finish(at(1), true);
        assert_eq!(
            ring.next_publishable(at(0), at(0)),
            Err(Blocked::NotDurable(at(1)))
        );
        assert_eq!(ring.next_publishable(at(0), at(1)), Ok(at(1)));
        assert_eq!(ring.next_publishable(at(1), at(1)), Ok(at(2)));
        assert_eq!(
            ring.next_publishable(at(2), at(9)),
            Err(Blocked::NotFinished)
        );
    }

    #[test]
    fn a_slot_of_an_earlier_round_does_not_count() {
        let ring = Ring::new();
        ring.finish(Seq::new(1), false);
        let visible = Seq::new(SLOTS);
        assert_eq!(
            ring.next_publishable(visible, Seq::MAX),
            Err(Blocked::NotFinished)
        );
    }
}
