//! A cursor over the versions of one memtable that one Seq sees, in either direction.

use std::ops::Bound;

use mantis_types::Seq;

use super::{Body, Memtable, Version, VersionEntry};

/// Versions of one key that are stepped over before the cursor seeks instead.
const STEPS_MAX: usize = 8;

/// Stands on the newest version that `seq` sees of some key, deletes included.
pub(crate) struct Cursor<'a> {
    memtable: &'a Memtable,
    seq: Seq,
    forward: bool,
    at: Option<VersionEntry<'a>>,
}

impl<'a> Cursor<'a> {
    /// A cursor on the first key after `from` in ascending order.
    pub(crate) fn forward(memtable: &'a Memtable, seq: Seq, from: Bound<&[u8]>) -> Self {
        let start = match from {
            Bound::Included(key) => memtable
                .versions
                .lower_bound(Bound::Included(&Version::place(key, Seq::MAX))),
            Bound::Excluded(key) => after(memtable, &Version::place(key, Seq::ZERO)),
            Bound::Unbounded => memtable.versions.front(),
        };
        let mut cursor = Self {
            memtable,
            seq,
            forward: true,
            at: None,
        };
        cursor.at = cursor.settle_forward(start);
        cursor
    }

    /// A cursor on the last key before `from`.
    pub(crate) fn backward(memtable: &'a Memtable, seq: Seq, from: Bound<&[u8]>) -> Self {
        let start = match from {
            Bound::Included(key) => memtable
                .versions
                .upper_bound(Bound::Included(&Version::place(key, Seq::ZERO))),
            Bound::Excluded(key) => before(memtable, &Version::place(key, Seq::MAX)),
            Bound::Unbounded => memtable.versions.back(),
        };
        let mut cursor = Self {
            memtable,
            seq,
            forward: false,
            at: None,
        };
        cursor.at = cursor.settle_backward(start);
        cursor
    }

    /// The key it stands on.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.at.as_ref().map(|entry| entry.key().key())
    }

    /// The version it stands on.
    pub(crate) fn body(&self) -> Option<&Body> {
        self.at.as_ref()?.key().body()
    }

    /// Moves to the next key in its direction, if it stands on this one.
    pub(crate) fn pass(&mut self, key: &[u8]) {
        let Some(at) = self.at.take_if(|at| at.key().key() == key) else {
            return;
        };
        self.at = if self.forward {
            let next = self.next_key(&at);
            self.settle_forward(next)
        } else {
            let previous = self.previous_key(&at);
            self.settle_backward(previous)
        };
    }

    /// From any version of a key to the newest version of the key after it.
    fn next_key(&self, at: &VersionEntry<'a>) -> Option<VersionEntry<'a>> {
        let mut next = at.next()?;
        for _ in 0..STEPS_MAX {
            if !next.key().same_key(at.key()) {
                return Some(next);
            }
            next = next.next()?;
        }
        after(self.memtable, &at.key().at(Seq::ZERO))
    }

    /// From any version of a key to the oldest version of the key before it.
    fn previous_key(&self, at: &VersionEntry<'a>) -> Option<VersionEntry<'a>> {
        let mut previous = at.prev()?;
        for _ in 0..STEPS_MAX {
            if !previous.key().same_key(at.key()) {
                return Some(previous);
            }
            previous = previous.prev()?;
        }
        before(self.memtable, &at.key().at(Seq::MAX))
    }

    /// `at` is the newest version of its key: goes to the version that `seq` sees, of this key or,
    /// when it sees none, of a later one.
    fn settle_forward(&self, at: Option<VersionEntry<'a>>) -> Option<VersionEntry<'a>> {
        let mut at = at?;
        let mut steps = 0;
        while at.key().seq() > self.seq {
            steps += 1;
            at = if steps % STEPS_MAX == 0 {
                let wanted = at.key().at(self.seq);
                self.memtable
                    .versions
                    .lower_bound(Bound::Included(&wanted))?
            } else {
                at.next()?
            };
        }
        Some(at)
    }

    /// `at` is the oldest version of its key: goes to the newest that `seq` sees, of this key or,
    /// when it sees none, of an earlier one.
    fn settle_backward(&self, at: Option<VersionEntry<'a>>) -> Option<VersionEntry<'a>> {
        let mut at = at?;
        loop {
            while at.key().seq() > self.seq {
                at = self.previous_key(&at)?;
            }
            at = self.newest_visible(at);
            if !at.is_removed() {
                return Some(at);
            }
            // An obsolete version that was taken out while we stood on it: a delete above it, taken
            // out after it, may have been missed on the way.
            let wanted = at.key().at(self.seq);
            match self.memtable.versions.lower_bound(Bound::Included(&wanted)) {
                Some(found) if found.key().same_key(at.key()) => return Some(found),
                _ => at = self.previous_key(&at)?,
            }
        }
    }

    /// From a version that `seq` sees to the newest of its key that it sees.
    fn newest_visible(&self, oldest: VersionEntry<'a>) -> VersionEntry<'a> {
        let mut at = oldest;
        for _ in 0..STEPS_MAX {
            match at.prev() {
                Some(newer) if newer.key().same_key(at.key()) && newer.key().seq() <= self.seq => {
                    at = newer;
                }
                _ => return at,
            }
        }
        let wanted = at.key().at(self.seq);
        match self.memtable.versions.lower_bound(Bound::Included(&wanted)) {
            Some(found) if found.key().same_key(at.key()) => found,
            _ => at,
        }
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// The first version after `key`.
fn after<'a>(memtable: &'a Memtable, key: &Version) -> Option<VersionEntry<'a>> {
    memtable.versions.lower_bound(Bound::Excluded(key))
}

/// The last version before `key`.
fn before<'a>(memtable: &'a Memtable, key: &Version) -> Option<VersionEntry<'a>> {
    memtable.versions.upper_bound(Bound::Excluded(key))
}
