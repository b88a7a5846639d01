//! What the sequencer guards: the next number, and what is noted about the commits it gives out.

use mantis_types::Seq;

use crate::conflict::Recent;

/// The order of commits, as its next commit finds it.
#[derive(Debug)]
pub(crate) struct Order {
    /// The next commit's number.
    pub(crate) next: Seq,
    /// Whether commits enter the conflict index.
    pub(crate) points: bool,
    /// Whether they enter their keys in order, too.
    pub(crate) ranges: bool,
    /// Whether commits are kept for observers.
    pub(crate) observed: bool,
    /// The last keys that were entered.
    pub(crate) recent: Recent,
}

impl Order {
    /// The order behind commit `last`.
    pub(crate) fn behind(last: Seq) -> Self {
        Self {
            next: last.next(),
            points: false,
            ranges: false,
            observed: false,
            recent: Recent::default(),
        }
    }
}
