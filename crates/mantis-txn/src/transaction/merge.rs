//! Changes that commute: decided when the commit has its place in the order.

use std::sync::Arc;

use mantis_engine::{KeyRange, Record};
use mantis_types::Isolation;

use super::Transaction;
use super::buffer::Change;
use crate::TxnError;

/// A change that depends on the newest version and on nothing else, so that two of them never stand
/// in each other's way: an addition, for example.
///
/// It is applied under the key's latch when the transaction commits. A transaction that reads the key
/// afterwards has it applied at once, to what the transaction sees: from then on the key is read and
/// written like any other, and conflicts like any other.
pub trait Merge: Send + Sync {
    /// The next version, as record bytes, given the newest one. `now_ms` is the transaction's time,
    /// with which an expiry is compared.
    ///
    /// # Errors
    /// Any: the commit answers it as `TxnError::Merge`, and nothing is changed.
    fn apply(
        &self,
        newest: Option<&Record>,
        now_ms: u64,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

    /// The most bytes that the next version may have beyond those of the newest.
    fn bytes_max(&self) -> u64;
}

impl Transaction {
    /// Adds a commutative change to an encoded key; answers what this transaction sees of it. It waits
    /// for nobody and conflicts with nobody, unless the key is read or written otherwise in this
    /// transaction: what it answers does not count as read, whatever the level.
    ///
    /// # Errors
    /// As [`Self::put`]; what the change answers when it is applied to what this transaction sees.
    pub fn merge(&mut self, key: &[u8], merge: Arc<dyn Merge>) -> Result<Record, TxnError> {
        self.check_usable()?;
        if self.read_only() {
            return Err(TxnError::ReadOnly);
        }
        let now_ms = self.now_ms;
        let (change, seen) = match self.buffer.get(key) {
            Some(Change::Put(record)) => {
                let record = apply_all(&[merge], Some(record.clone()), now_ms)?;
                (Change::Put(record.clone()), record)
            }
            Some(Change::Delete) => {
                let record = apply_all(&[merge], None, now_ms)?;
                (Change::Put(record.clone()), record)
            }
            earlier => {
                let mut merges = match earlier {
                    Some(Change::Merge(merges)) => merges.clone(),
                    _ => Vec::new(),
                };
                merges.push(merge);
                let stored = self.store.engine().get(&self.snapshot, key)?;
                let seen = apply_all(&merges, stored, now_ms)?;
                (Change::Merge(merges), seen)
            }
        };
        let max = self.limits().batch_bytes_max;
        self.buffer.set(key, change, max)?;
        Ok(seen)
    }

    /// Turns additions to a key into a version, at the snapshot, because somebody reads it.
    pub(super) fn resolve(&mut self, key: &[u8]) -> Result<(), TxnError> {
        let Some(Change::Merge(merges)) = self.buffer.get(key) else {
            return Ok(());
        };
        let merges = merges.clone();
        if self.isolation() == Isolation::ReadCommitted {
            self.lock(key)?;
            // Nothing is checked at the commit: what came since the snapshot would be lost.
            self.see_the_newest(key)?;
        }
        let stored = self.read(key)?;
        let record = apply_all(&merges, stored, self.now_ms)?;
        let max = self.limits().batch_bytes_max;
        self.buffer.set(key, Change::Put(record), max)
    }

    /// The same for all keys of a range.
    pub(super) fn resolve_range(&mut self, range: KeyRange<'_>) -> Result<(), TxnError> {
        if !self.buffer.merges() {
            return Ok(());
        }
        let merged = self.buffer.range(range);
        let merged = merged.filter(|(_, change)| matches!(change, Change::Merge(_)));
        let keys: Vec<Vec<u8>> = merged.map(|(key, _)| key.to_vec()).collect();
        keys.iter().try_for_each(|key| self.resolve(key))
    }
}

/// Applies changes one after the other.
pub(super) fn apply_all(
    merges: &[Arc<dyn Merge>],
    newest: Option<Record>,
    now_ms: u64,
) -> Result<Record, TxnError> {
    let mut record = newest;
    for merge in merges {
        let bytes = merge
            .apply(record.as_ref(), now_ms)
            .map_err(TxnError::Merge)?;
        record = Some(Record::copy_from(&bytes)?);
    }
    record.ok_or_else(|| TxnError::Merge("there was nothing to apply".into()))
}
