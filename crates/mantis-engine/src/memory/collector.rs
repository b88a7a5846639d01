//! Drops the versions that no snapshot of a memory engine sees any more.

use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;

use mantis_types::Seq;
use parking_lot::Mutex;

use super::Shared;
use crate::memtable::{Version, VersionEntry};

/// Versions that one step looks at.
const STEP_VERSIONS: usize = 4096;

/// Walks over the memtable, again and again from where it stopped.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Guards the walk: one collector at a time. Longest hold: one step, or a whole walk when a
    /// writer has to make room. No other lock is taken inside but the registry's.
    walk: Mutex<Walk>,
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

/// Which versions snapshots see.
#[derive(Debug)]
pub(crate) struct Needed {
    /// Snapshots to come are at this Seq or later.
    pub(crate) visible: u64,
    /// Seqs of held snapshots, ascending.
    pub(crate) held: Vec<u64>,
}

impl Needed {
    /// Whether anybody may see the version of `seq`, given the Seq of the next newer version of its
    /// key.
    fn sees(&self, seq: u64, newer: u64) -> bool {
        if newer > self.visible {
            return true;
        }
        let first = self.held.partition_point(|held| *held < seq);
        self.held.get(first).is_some_and(|held| *held < newer)
    }

    /// Changes when snapshots come and go.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.held.iter().fold(1, |hash: u64, seq| {
            (hash.rotate_left(5) ^ seq).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    }
}

#[derive(Debug, Default)]
struct Walk {
    /// The last key that was looked at.
    after: Option<Version>,
    /// The snapshots when this walk began, as a hash.
    fingerprint: u64,
    /// Obsolete versions that it had to leave so far.
    held: u64,
}

impl Walk {
    fn step(&mut self, shared: &Shared) -> bool {
        let needed = shared.needed();
        let versions = &shared.memtable.versions;
        let mut at = match &self.after {
            // What is counted from here on is found by the next walk.
            None => {
                shared.garbage.store(0, Relaxed);
                self.fingerprint = needed.fingerprint();
                self.held = 0;
                versions.front()
            }
            Some(key) => versions.lower_bound(Bound::Excluded(key)),
        };
        let mut seen = 0;
        while let Some(newest) = at {
            if seen >= STEP_VERSIONS {
                return false;
            }
            let end = newest.key().at(Seq::ZERO);
            let found = collect_key(shared, newest, &needed);
            seen += found.seen;
            self.held += found.held;
            at = versions.lower_bound(Bound::Excluded(&end));
            self.after = Some(end);
        }
        self.after = None;
        shared.held.store(self.held, Relaxed);
        shared.walked.store(self.fingerprint, Relaxed);
        true
    }
}

/// What a look at one key found.
struct Found {
    /// Versions there were.
    seen: usize,
    /// Obsolete ones that a snapshot still sees.
    held: u64,
}

/// Drops what nobody sees of one key.
fn collect_key(shared: &Shared, newest: VersionEntry<'_>, needed: &Needed) -> Found {
    let mut versions = Vec::new();
    let mut next = Some(newest);
    while let Some(version) = next {
        next = version
            .next()
            .filter(|older| older.key().same_key(version.key()));
        versions.push(version);
    }
    let seen = versions.len();
    let mut newer = None;
    let (mut kept, mut obsolete) = (Vec::new(), Vec::new());
    for version in versions {
        let seq = version.key().seq().get();
        let stays = newer.is_none_or(|newer| needed.sees(seq, newer));
        newer = Some(seq);
        if stays {
            kept.push(version)
        } else {
            obsolete.push(version)
        }
    }
    // A delete with nothing below it is as good as no version at all.
    let bottom = kept.pop_if(|last| last.key().is_delete());
    let mut held = kept.len().saturating_sub(1) as u64;
    if let Some(delete) = bottom {
        if delete.key().seq().get() <= needed.visible {
            obsolete.push(delete);
        } else {
            held += 1;
        }
    }
    // The oldest go first, so that a dropped delete never uncovers what it hid.
    obsolete.sort_by_key(|version| version.key().seq());
    let dropped = obsolete
        .iter()
        .map(|version| u64::from(shared.memtable.remove(version)))
        .sum();
    shared.dropped.fetch_add(dropped, Relaxed);
    Found { seen, held }
}
