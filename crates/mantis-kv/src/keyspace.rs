//! A numbered keyspace and its generations: emptying it is one small commit.

use std::sync::Arc;

use arc_swap::ArcSwap;
use mantis_txn::meta::{self, KEYSPACES};
use mantis_txn::{Store, read_u64};
use mantis_types::{CodecError, DatabaseId, EncodedKey, OwnerId, Seq, Space, encode_ordered};

use crate::KvError;

/// Generations that are remembered for readers of older snapshots. A snapshot lives for one call,
/// so that more than a few in one call's time would need as many clears.
const REMEMBERED: usize = 64;

/// Where the keys of one keyspace stand.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) number: u32,
    /// From which Seq on which generation holds, ascending; never empty.
    generations: ArcSwap<Vec<(Seq, OwnerId)>>,
}

impl Keyspace {
    pub(crate) fn load(store: &Store, number: u32) -> Result<Self, KvError> {
        let key = Self::record_key(number)?;
        let engine = store.engine();
        let stored = engine.get(&engine.snapshot(), key.as_bytes())?;
        let generation = match &stored {
            Some(record) => read_u64(record).ok_or(CodecError::Truncated)?,
            None => Self::first_generation(number).get(),
        };
        let generations = vec![(Seq::ZERO, OwnerId::new(generation))];
        Ok(Self {
            number,
            generations: ArcSwap::from_pointee(generations),
        })
    }

    /// The generation of a keyspace that was never emptied.
    pub(crate) const fn first_generation(number: u32) -> OwnerId {
        OwnerId::new(number as u64 + 1)
    }

    pub(crate) fn record_key(number: u32) -> Result<EncodedKey, CodecError> {
        let mut user_key = Vec::new();
        encode_ordered(u64::from(number), &mut user_key);
        meta::meta_key(DatabaseId::DEFAULT, KEYSPACES, &user_key)
    }

    /// The generation that a reader of this snapshot sees.
    pub(crate) fn at(&self, snapshot: Seq) -> OwnerId {
        let generations = self.generations.load();
        let known = generations
            .iter()
            .rev()
            .find(|(since, _)| *since <= snapshot);
        known
            .or_else(|| generations.first())
            .map_or(OwnerId::new(0), |(_, id)| *id)
    }

    /// The same for a reader whose snapshot may be old; `None` when its generation has been forgotten.
    pub(crate) fn remembered(&self, snapshot: Seq) -> Option<OwnerId> {
        let generations = self.generations.load();
        let mut newest_first = generations.iter().rev();
        let known = newest_first.find(|(since, _)| *since <= snapshot);
        known.map(|(_, id)| *id)
    }

    /// The newest generation; `None` while readers do not see it yet, because the commit that made it
    /// is under way.
    pub(crate) fn settled(&self, visible: Seq) -> Option<OwnerId> {
        let generations = self.generations.load();
        let newest = generations.last().filter(|(since, _)| *since <= visible);
        newest.map(|(_, id)| *id)
    }

    /// The generation that writers use.
    pub(crate) fn newest(&self) -> OwnerId {
        self.at(Seq::MAX)
    }

    /// From `since` on keys stand under `id`. The caller holds all latches.
    pub(crate) fn push(&self, since: Seq, id: OwnerId) {
        self.generations.rcu(|old| {
            let skip = (old.len() + 1).saturating_sub(REMEMBERED);
            let kept = old.iter().skip(skip).copied();
            Arc::new(kept.chain([(since, id)]).collect::<Vec<_>>())
        });
    }

    /// Takes back what was pushed for a commit that did not happen.
    pub(crate) fn pop(&self, since: Seq) {
        self.generations.rcu(|old| {
            Arc::new(
                old.iter()
                    .filter(|g| g.0 != since)
                    .copied()
                    .collect::<Vec<_>>(),
            )
        });
    }

    pub(crate) fn key(generation: OwnerId, user_key: &[u8]) -> Result<EncodedKey, CodecError> {
        EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, generation, user_key)
    }
}
