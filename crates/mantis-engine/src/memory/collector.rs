//! Drops the versions that no snapshot of a memory engine sees any more.

use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;

use mantis_types::Seq;
use parking_lot::Mutex;

use super::Shared;
use crate::memtable::{VersionEntry, VersionKey};

/// Versions that one step looks at.
const STEP_VERSIONS: usize = 4096;

/// Walks over the memtable, again and again from where it stopped.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Guards the walk: one collector at a time. Longest hold: one step, or a whole walk when a
    /// writer has to make room. No other lock is taken inside but the registry's.
    walk: Mutex<Walk>,
}

#[derive(Debug, Default)]
struct Walk {
    /// The last key that was looked at.
    after: Option<VersionKey>,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Self {
            walk: Mutex::new(Walk::default()),
        }
    }

    /// Whether a walk has begun and not come to its end.
    pub(crate) fn under_way(&self) -> bool {
        self.walk.lock().after.is_some()
    }

    /// One step; true when the walk has come to the end.
    pub(crate) fn step(&self, shared: &Shared) -> bool {
        self.walk.lock().step(shared)
    }

    /// Walks once over everything.
    pub(crate) fn run_to_end(&self, shared: &Shared) {
        let mut walk = self.walk.lock();
        walk.after = None;
        while !walk.step(shared) {}
    }
}

impl Walk {
    fn step(&mut self, shared: &Shared) -> bool {
        let floor = shared.floor();
        let versions = &shared.memtable.versions;
        let mut at = match &self.after {
            // What is counted from here on is found by the next walk.
            None => {
                shared.garbage.store(0, Relaxed);
                versions.front()
            }
            Some(key) => versions.lower_bound(Bound::Excluded(key)),
        };
        let mut seen = 0;
        while let Some(newest) = at {
            if seen >= STEP_VERSIONS {
                return false;
            }
            self.after = Some(newest.key().oldest());
            let key = newest.key().clone();
            seen += collect_key(shared, newest, floor);
            at = versions.lower_bound(Bound::Excluded(&key.oldest()));
        }
        self.after = None;
        true
    }
}

/// Drops what is obsolete of one key; answers how many versions there were.
fn collect_key(shared: &Shared, newest: VersionEntry<'_>, floor: Seq) -> usize {
    let mut seen = 1;
    // The newest version at or below the floor is what the oldest snapshot sees.
    let mut base = newest;
    while base.key().seq() > floor {
        match base.next() {
            Some(older) if older.key().same_key(base.key()) => base = older,
            _ => return seen,
        }
        seen += 1;
    }
    // Oldest versions last: they go first, so that a dropped delete never uncovers one.
    let mut obsolete = Vec::new();
    let mut next = base.next();
    while let Some(older) = next.filter(|o| o.key().same_key(base.key())) {
        next = older.next();
        obsolete.push(older);
    }
    seen += obsolete.len();
    let tombstone = base.value().is_empty().then_some(base);
    let mut dropped = 0;
    for version in obsolete.iter().rev().chain(&tombstone) {
        dropped += u64::from(shared.memtable.remove(version));
    }
    shared.dropped.fetch_add(dropped, Relaxed);
    seen
}
