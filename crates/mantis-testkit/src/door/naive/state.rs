//! What the lock of the simple store guards: versions, row locks, and who waits for whom.

use std::collections::{BTreeMap, HashMap};

/// What a transaction has changed; `None` is a removal.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What a key has held, oldest first, with the commit.
type Versions = Vec<(u64, Option<Vec<u8>>)>;

/// What became of asking for a row lock.
pub(super) enum Asked {
    Granted,
    Wait,
    /// Waiting would close a circle.
    Circle,
}

/// The whole store.
#[derive(Debug, Default)]
pub(super) struct State {
    last: u64,
    versions: BTreeMap<Vec<u8>, Versions>,
    holders: HashMap<Vec<u8>, u64>,
    waits: HashMap<u64, Vec<u8>>,
    ids: u64,
    /// What transactions have written and not committed, where that can be seen.
    exposed: HashMap<Vec<u8>, (u64, Option<Vec<u8>>)>,
}

impl State {
    pub(super) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// The newest commit.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn read(&self, key: &[u8], at: u64) -> Option<Vec<u8>> {
        let versions = self.versions.get(key)?;
        let seen = versions.iter().rev().find(|(seq, _)| *seq <= at);
        seen.and_then(|(_, value)| value.clone())
    }

    pub(super) fn range(&self, from: &[u8], to: &[u8], at: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let keys = self.versions.range(from.to_vec()..to.to_vec());
        keys.filter_map(|(key, _)| Some((key.clone(), self.read(key, at)?)))
            .collect()
    }

    /// The newest commit of a key; 0 when there is none.
    pub(super) fn newest(&self, key: &[u8]) -> u64 {
        let versions = self.versions.get(key).and_then(|all| all.last());
        versions.map_or(0, |(seq, _)| *seq)
    }

    /// The same of a range.
    pub(super) fn newest_in(&self, from: &[u8], to: &[u8]) -> u64 {
        let keys = self.versions.range(from.to_vec()..to.to_vec());
        keys.map(|(key, _)| self.newest(key)).max().unwrap_or(0)
    }

    pub(super) fn commit(
        &mut self,
        changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> u64 {
        self.last += 1;
        for (key, value) in changes {
            self.versions
                .entry(key)
                .or_default()
                .push((self.last, value));
        }
        self.last
    }

    pub(super) fn try_lock(&mut self, who: u64, key: &[u8]) -> bool {
        *self.holders.entry(key.to_vec()).or_insert(who) == who
    }

    pub(super) fn is_locked_by_another(&self, who: u64, key: &[u8]) -> bool {
        self.holders.get(key).is_some_and(|holder| *holder != who)
    }

    /// Asks for a lock; whoever has to wait asks again.
    pub(super) fn ask(&mut self, who: u64, key: &[u8]) -> Asked {
        if self.try_lock(who, key) {
            self.waits.remove(&who);
            return Asked::Granted;
        }
        let mut at = Some(key);
        while let Some(holder) = at.and_then(|key| self.holders.get(key)) {
            if *holder == who {
                self.waits.remove(&who);
                return Asked::Circle;
            }
            at = self.waits.get(holder).map(Vec::as_slice);
        }
        self.waits.insert(who, key.to_vec());
        Asked::Wait
    }

    pub(super) fn ask_no_more(&mut self, who: u64) {
        self.waits.remove(&who);
    }

    pub(super) fn expose(&mut self, who: u64, key: &[u8], value: Option<Vec<u8>>) {
        self.exposed.insert(key.to_vec(), (who, value));
    }

    #[expect(
        clippy::option_option,
        reason = "nothing exposed, or a removal exposed"
    )]
    pub(super) fn exposed(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.exposed.get(key).map(|(_, value)| value.clone())
    }

    /// Forgets a transaction.
    pub(super) fn end(&mut self, who: u64) {
        self.holders.retain(|_, holder| *holder != who);
        self.waits.remove(&who);
        self.exposed.retain(|_, (owner, _)| *owner != who);
    }
}
