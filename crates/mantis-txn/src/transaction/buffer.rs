//! The write buffer: what a transaction has changed, in key order, with savepoints as an undo list.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use mantis_engine::{KeyRange, Record};

use super::Merge;
use crate::TxnError;

/// What a key will hold.
#[derive(Clone)]
pub(crate) enum Change {
    Put(Record),
    Delete,
    /// Decided when the commit has its place in the order: additions, in the order they were made.
    Merge(Vec<std::sync::Arc<dyn Merge>>),
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put(_) => "Put",
            Self::Delete => "Delete",
            Self::Merge(_) => "Merge",
        })
    }
}

/// Bytes that a change takes in a batch beside key and record.
const FRAME: u64 = 7;

/// Changes by encoded key.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    changes: BTreeMap<Vec<u8>, Change>,
    bytes: u64,
    /// Keys that additions are waiting for.
    merges: usize,
    savepoints: Vec<Savepoint>,
    /// What changes since the first savepoint have replaced.
    undo: Vec<(Vec<u8>, Option<Change>)>,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    undo_len: usize,
    locks: usize,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Bytes that the commit will have, about.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether something is decided at the commit only.
    pub(crate) const fn merges(&self) -> bool {
        self.merges > 0
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.changes.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Change)> {
        self.changes
            .iter()
            .map(|(key, change)| (key.as_slice(), change))
    }

    /// The changes of a range, which may be empty.
    pub(crate) fn range<'a>(
        &'a self,
        range: KeyRange<'_>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a Change)> + use<'a> {
        let range = if is_empty(range) {
            (Bound::Included(&[][..]), Bound::Excluded(&[][..]))
        } else {
            range
        };
        let changes = self.changes.range::<[u8], _>(range);
        changes.map(|(key, change)| (key.as_slice(), change))
    }

    /// Sets what a key will hold.
    ///
    /// # Errors
    /// `BatchTooLarge` when the commit would be larger than `bytes_max`; nothing is changed.
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        change: Change,
        bytes_max: u64,
    ) -> Result<(), TxnError> {
        let old = self.changes.get(key);
        let freed = old.map_or(0, |old| weight(key, old));
        let bytes = (self.bytes + weight(key, &change)).saturating_sub(freed);
        if bytes > bytes_max {
            let max = bytes_max;
            return Err(TxnError::BatchTooLarge { bytes, max });
        }
        self.bytes = bytes;
        self.merges += usize::from(matches!(change, Change::Merge(_)));
        let replaced = self.changes.insert(key.to_vec(), change);
        self.merges -= usize::from(matches!(replaced, Some(Change::Merge(_))));
        if !self.savepoints.is_empty() {
            self.undo.push((key.to_vec(), replaced));
            // An undo list counts as well: a loop over one key would otherwise grow without bound.
            self.bytes += freed;
        }
        Ok(())
    }

    /// Opens a savepoint. `locks` is how many row locks are held.
    ///
    /// # Errors
    /// `TooManySavepoints`.
    pub(crate) fn savepoint(
        &mut self,
        name: &str,
        locks: usize,
        max: usize,
    ) -> Result<(), TxnError> {
        if self.savepoints.len() >= max {
            return Err(TxnError::TooManySavepoints { max });
        }
        let undo_len = self.undo.len();
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            undo_len,
            locks,
        });
        Ok(())
    }

    /// Takes back everything since the newest savepoint of this name, which stays; answers how many
    /// row locks were held then.
    ///
    /// # Errors
    /// `NoSuchSavepoint`.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<usize, TxnError> {
        let index = self.find(name)?;
        self.savepoints.truncate(index + 1);
        let (undo_len, locks) = self
            .savepoints
            .last()
            .map_or((0, 0), |savepoint| (savepoint.undo_len, savepoint.locks));
        while self.undo.len() > undo_len {
            if let Some((key, before)) = self.undo.pop() {
                match before {
                    Some(change) => self.changes.insert(key, change),
                    None => self.changes.remove(&key),
                };
            }
        }
        self.recount();
        Ok(locks)
    }

    /// Forgets a savepoint and those opened after it; the changes stay.
    ///
    /// # Errors
    /// `NoSuchSavepoint`.
    pub(crate) fn release(&mut self, name: &str) -> Result<(), TxnError> {
        let index = self.find(name)?;
        self.savepoints.truncate(index);
        if self.savepoints.is_empty() {
            self.undo.clear();
            self.recount();
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, TxnError> {
        let found = self.savepoints.iter().rposition(|s| s.name == name);
        found.ok_or(TxnError::NoSuchSavepoint)
    }

    fn recount(&mut self) {
        let changes = self.changes.iter().map(|(key, change)| weight(key, change));
        let undo = self.undo.iter();
        let undo = undo.map(|(key, old)| old.as_ref().map_or(0, |old| weight(key, old)));
        self.bytes = changes.chain(undo).sum();
        let merges = |change: &&Change| matches!(change, Change::Merge(_));
        self.merges = self.changes.values().filter(merges).count();
    }
}

fn weight(key: &[u8], change: &Change) -> u64 {
    let record = match change {
        Change::Put(record) => record.as_bytes().len() as u64,
        Change::Delete => 0,
        Change::Merge(merges) => merges.iter().map(|merge| merge.bytes_max()).sum(),
    };
    FRAME + key.len() as u64 + record
}

/// Whether no key can stand between the bounds; `BTreeMap::range` panics on some of these.
fn is_empty(range: KeyRange<'_>) -> bool {
    match range {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}
