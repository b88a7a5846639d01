//! The sweep: deletes expired entries and whatever hangs below owners that nothing refers to.
//!
//! It works by ordinary commits of class `none`, so that readers of older snapshots are not
//! disturbed and everything that follows the commits sees the deletions. Losing such a commit in a
//! crash does no harm: the work is found again in the expiry index or the reclaim queue.

use std::ops::Bound;
use std::sync::Weak;
use std::time::Duration;

use mantis_engine::{Direction, Record, Snapshot};
use mantis_env::{Step, Task};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Origin, OwnerId, Space, ValueKind, WriteBatchBuilder,
    decode_ordered, prefix_end, split_key,
};

use crate::meta::{self, EXPIRIES, RECLAIM};
use crate::{StoreInner, TxnError};

/// Entries that one commit of the sweep deletes at most.
const BATCH: usize = 512;
/// Pause between two looks when nothing is due.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after a failed round.
const PAUSE_FAILED: Duration = Duration::from_secs(2);

/// The background task of one store. It does not keep the store alive: the store owns the task.
pub(crate) struct Sweep {
    pub(crate) store: Weak<StoreInner>,
}

impl Task for Sweep {
    fn step(&mut self) -> Step {
        let Some(store) = self.store.upgrade() else {
            return Step::Done;
        };
        match store.sweep_once(DatabaseId::DEFAULT) {
            Ok(0) => Step::Wait(PAUSE),
            Ok(_) => Step::Again,
            Err(TxnError::Closed) => Step::Done,
            Err(_) => {
                store.pipeline.counters.sweep_failures.add(1);
                Step::Wait(PAUSE_FAILED)
            }
        }
    }
}

impl StoreInner {
    /// One round: a commit of expired entries and a commit of reclaimed members; answers how many
    /// keys were looked at.
    pub(crate) fn sweep_once(&self, db: DatabaseId) -> Result<usize, TxnError> {
        self.release_log();
        self.pipeline.rest();
        Ok(self.sweep_expired(db)? + self.sweep_reclaim(db)?)
    }

    fn sweep_expired(&self, db: DatabaseId) -> Result<usize, TxnError> {
        let now_ms = self.pipeline.env.clock().now_ms();
        let start = meta::meta_key(db, EXPIRIES, &[])?;
        let end = meta::expiry_key(db, now_ms.saturating_add(1), &[])?;
        let due = self.keys_between(start.as_bytes(), end.as_bytes())?;
        if due.is_empty() {
            return Ok(0);
        }
        let mut keys = Vec::with_capacity(due.len());
        for entry in &due {
            keys.push(meta::split_expiry(entry)?);
        }
        self.pipeline
            .admit(due.iter().map(|k| 2 * k.len() as u64 + 64).sum())?;
        let latched = self.latches.many(keys.iter().map(|(_, key)| *key));
        let applied = self.pipeline.engine.snapshot_applied();
        let mut batch = WriteBatchBuilder::default();
        let mut expired = 0;
        let locked = self.row_locks.any();
        for (entry, (at_ms, key)) in due.iter().zip(&keys) {
            if locked && self.row_locks.holder(key).is_some() {
                continue; // a later round finds it again
            }
            batch.delete(entry)?;
            let record = self.pipeline.engine.get(&applied, key)?;
            if let Some(record) = record.filter(|r| expires_at(r) == Some(*at_ms)) {
                batch.delete(key)?;
                reclaim_members(&mut batch, db, &record)?;
                expired += 1;
            }
        }
        if batch.is_empty() {
            return Ok(0);
        }
        let seq = self
            .pipeline
            .start(&latched, batch.finish(), Durability::None, None)?;
        drop(latched);
        self.pipeline.finish(seq, Durability::None)?;
        self.pipeline.counters.expired.add(expired);
        Ok(due.len())
    }

    fn sweep_reclaim(&self, db: DatabaseId) -> Result<usize, TxnError> {
        let start = meta::meta_key(db, RECLAIM, &[])?;
        let end = prefix_end(start.as_bytes()).unwrap_or_default();
        let snapshot = self.pipeline.engine.snapshot();
        let Some(entry) = self.first_between(&snapshot, start.as_bytes(), &end)? else {
            return Ok(0);
        };
        let (space, owner) = split_reclaim(&entry)?;
        let prefix = EncodedKey::prefix(db, space, owner, 0);
        let end = prefix_end(prefix.as_bytes()).unwrap_or_default();
        let bounds = (
            Bound::Included(prefix.as_bytes()),
            Bound::Excluded(end.as_slice()),
        );
        let mut batch = WriteBatchBuilder::default();
        let mut members = 0;
        for found in self
            .pipeline
            .engine
            .scan(&snapshot, bounds, Direction::Forward)?
            .take(BATCH)
        {
            let (key, record) = found?;
            batch.delete(key.as_ref())?;
            reclaim_members(&mut batch, db, &record)?;
            members += 1;
        }
        if members < BATCH {
            batch.delete(&entry)?;
        }
        self.pipeline.admit(batch.len() as u64)?;
        let mut batch = batch.finish();
        batch.set_origin(Origin::Reclaim);
        // Nothing refers to these keys, so nobody else writes them: their latches are not needed,
        // only the entry's own, against another round.
        let latched = self.latches.one(&entry);
        let seq = self
            .pipeline
            .start(&latched, batch, Durability::None, None)?;
        drop(latched);
        self.pipeline.finish(seq, Durability::None)?;
        self.pipeline.counters.reclaimed.add(members as u64);
        Ok(members + 1)
    }

    fn keys_between(&self, start: &[u8], end: &[u8]) -> Result<Vec<Vec<u8>>, TxnError> {
        let snapshot = self.pipeline.engine.snapshot();
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let scan = self
            .pipeline
            .engine
            .scan(&snapshot, bounds, Direction::Forward)?;
        let mut keys = Vec::new();
        for found in scan.take(BATCH) {
            keys.push(found?.0.as_ref().to_vec());
        }
        Ok(keys)
    }

    fn first_between(
        &self,
        snapshot: &Snapshot,
        start: &[u8],
        end: &[u8],
    ) -> Result<Option<Vec<u8>>, TxnError> {
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let mut scan = self
            .pipeline
            .engine
            .scan(snapshot, bounds, Direction::Forward)?;
        Ok(scan
            .next()
            .transpose()?
            .map(|(key, _)| key.as_ref().to_vec()))
    }
}

fn expires_at(record: &Record) -> Option<u64> {
    record.view().expiry_ms()
}

/// Queues whatever hangs below a record that is about to go away.
///
/// # Errors
/// `KeyTooLong`, which such short keys cannot be.
pub fn reclaim_members(
    batch: &mut WriteBatchBuilder,
    db: DatabaseId,
    record: &Record,
) -> Result<(), TxnError> {
    let view = record.view();
    if !has_members(view.kind()) {
        return Ok(());
    }
    let (owner, _) = decode_ordered(view.payload())?;
    let key = meta::reclaim_key(db, Space::Member, OwnerId::new(owner))?;
    meta::put_meta(batch, &key, &[])?;
    Ok(())
}

/// Whether the payload of such a record begins with the id of a collection.
const fn has_members(kind: ValueKind) -> bool {
    matches!(
        kind,
        ValueKind::Chunked
            | ValueKind::Hash
            | ValueKind::List
            | ValueKind::Set
            | ValueKind::SortedSet
    )
}

fn split_reclaim(entry: &[u8]) -> Result<(Space, OwnerId), TxnError> {
    let (_, _, _, user_key) = split_key(entry)?;
    let (&tag, rest) = user_key
        .split_first()
        .ok_or(mantis_types::CodecError::Truncated)?;
    let (owner, _) = decode_ordered(rest)?;
    Ok((Space::from_tag(tag)?, OwnerId::new(owner)))
}
