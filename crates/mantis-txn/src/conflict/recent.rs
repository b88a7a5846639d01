//! The last keys that were written, in commit order: what a check inside the sequencer looks at.

use std::collections::VecDeque;

use mantis_types::Seq;

/// Keys that are remembered.
const KEYS: usize = 4096;

/// The newest entries of the conflict index. It belongs to the sequencer.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<(Seq, u64)>,
    /// The newest commit of which something has been forgotten.
    forgotten: Seq,
}

impl Recent {
    /// Forgets everything, and stands behind `seq`.
    pub(crate) fn restart(&mut self, seq: Seq) {
        self.entries.clear();
        self.forgotten = seq;
    }

    pub(crate) fn push(&mut self, seq: Seq, hash: u64) {
        if self.entries.len() == KEYS
            && let Some((seq, _)) = self.entries.pop_front()
        {
            self.forgotten = seq;
        }
        self.entries.push_back((seq, hash));
    }

    /// Whether everything after `seq` is here.
    pub(crate) fn reaches_back_to(&self, seq: Seq) -> bool {
        self.forgotten <= seq
    }

    /// What was written after `seq`, newest first.
    pub(crate) fn after(&self, seq: Seq) -> impl Iterator<Item = (Seq, u64)> {
        let newest_first = self.entries.iter().rev().copied();
        newest_first.take_while(move |entry| entry.0 > seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_reaches_back() {
        let mut recent = Recent::default();
        for n in 1..=KEYS as u64 {
            recent.push(Seq::new(n), n);
        }
        assert!(recent.reaches_back_to(Seq::ZERO));
        recent.push(Seq::new(KEYS as u64 + 1), 0);
        assert!(!recent.reaches_back_to(Seq::ZERO));
        assert!(recent.reaches_back_to(Seq::new(1)));
        let last: Vec<_> = recent.after(Seq::new(KEYS as u64 - 1)).collect();
        assert_eq!(
            last,
            [
                (Seq::new(KEYS as u64 + 1), 0),
                (Seq::new(KEYS as u64), KEYS as u64)
            ]
        );
        recent.restart(Seq::new(9));
        assert!(!recent.reaches_back_to(Seq::new(8)));
        assert_eq!(recent.after(Seq::new(9)).count(), 0);
    }
}
