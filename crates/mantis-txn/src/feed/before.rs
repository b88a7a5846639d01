//! What keys held before each commit, for followers that ask for it.
//!
//! A snapshot, and above it what the commits have written that were passed since. Engines keep no old
//! versions for those who come later: behind a commit that a follower reads from the log, only what the
//! log itself has told is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_engine::{EngineError, Record, Snapshot};
use mantis_types::Seq;
use parking_lot::Mutex;

use super::FeedCommit;
use crate::{Store, TxnError};

/// A snapshot is replaced when so much has been written since, or after this span, so that nothing old
/// is held for long.
const SINCE_BYTES: u64 = 1 << 20;
const SNAPSHOT_AGE: Duration = Duration::from_secs(1);
/// What has been passed is forgotten beyond this; then some old versions are unknown for a while.
const SINCE_BYTES_MAX: u64 = 16 << 20;
/// A follower that does not move for so long although there are commits loses its snapshots.
const STILL_MAX: Duration = Duration::from_secs(5);
/// Bytes of a remembered record beside key and record.
const ENTRY_BYTES: u64 = 96;

/// The state of the store before the commit that a follower is told next.
///
/// Cost for each commit: a copy of its records; for each look: a read of the engine.
#[derive(Debug)]
pub struct Before {
    store: Store,
    shared: Arc<Held>,
    /// What was written in the commits that were passed, back to the snapshot or further.
    since: BTreeMap<Vec<u8>, Option<Record>>,
    since_bytes: u64,
    taken: Duration,
}

/// What a key held.
#[derive(Clone, Debug)]
pub enum Known {
    /// This record, or none.
    Is(Option<Record>),
    /// It was written before the follower came, or while it was too slow.
    Unknown,
}

/// The snapshots of one follower, which can be taken away from it.
#[derive(Debug)]
pub(crate) struct Held {
    /// The last commit that was passed.
    at: AtomicU64,
    /// Guards the snapshots; held for one read of the engine at most. No lock is taken inside but the
    /// engine's.
    snapshots: Mutex<Snapshots>,
}

#[derive(Debug, Default)]
struct Snapshots {
    /// Of a commit that was passed: what was not written since is as it says.
    base: Option<Snapshot>,
    /// Of one that comes.
    next: Option<Snapshot>,
    /// Where the follower stood when somebody looked last, and since when it has stood there.
    seen_at: (u64, Duration),
}

impl Store {
    /// Begins to remember what keys hold, for a follower that has passed everything up to `at`.
    #[must_use]
    pub fn before(&self, at: Seq) -> Before {
        let shared = Arc::new(Held {
            at: AtomicU64::new(at.get()),
            snapshots: Mutex::default(),
        });
        self.pipeline().outbox.feed.hold(&shared);
        let mut before = Before {
            store: self.clone(),
            shared,
            since: BTreeMap::new(),
            since_bytes: 0,
            taken: Duration::ZERO,
        };
        before.renew();
        before
    }
}

impl Before {
    /// What `key` held before the next commit.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn get(&self, key: &[u8]) -> Result<Known, TxnError> {
        if let Some(record) = self.since.get(key) {
            return Ok(Known::Is(record.clone()));
        }
        let snapshots = self.shared.snapshots.lock();
        let Some(base) = &snapshots.base else {
            return Ok(Known::Unknown);
        };
        match self.store.engine().get(base, key) {
            Ok(record) => Ok(Known::Is(record)),
            Err(EngineError::SnapshotTooOld) => Ok(Known::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on behind a commit.
    ///
    /// # Errors
    /// `Corrupt` for a record that is none; what was before the commits that follow is unknown then.
    pub fn pass(&mut self, commit: &FeedCommit) -> Result<(), TxnError> {
        let remembered = self.remember(commit);
        self.shared.at.store(commit.seq().get(), SeqCst);
        self.settle(commit.seq());
        if self.is_due() {
            self.renew();
        }
        if remembered.is_err() || self.since_bytes > SINCE_BYTES_MAX {
            self.forget();
            self.shared.snapshots.lock().base = None;
        }
        remembered
    }

    fn remember(&mut self, commit: &FeedCommit) -> Result<(), TxnError> {
        for (key, record) in commit.ops() {
            self.since_bytes += (key.len() + record.map_or(0, <[u8]>::len)) as u64 + ENTRY_BYTES;
            let record = record.map(Record::copy_from).transpose()?;
            self.since.insert(key.to_vec(), record);
        }
        Ok(())
    }

    /// The snapshot that was taken ahead becomes the base when the follower has come to it.
    fn settle(&mut self, at: Seq) {
        let mut snapshots = self.shared.snapshots.lock();
        if snapshots.next.as_ref().is_some_and(|next| next.seq() <= at) {
            snapshots.base = snapshots.next.take();
            drop(snapshots);
            self.forget();
        }
    }

    fn is_due(&self) -> bool {
        let snapshots = self.shared.snapshots.lock();
        let age = self.now().saturating_sub(self.taken);
        let is_old = self.since_bytes > SINCE_BYTES || age > SNAPSHOT_AGE;
        snapshots.next.is_none() && (snapshots.base.is_none() || is_old)
    }

    fn renew(&mut self) {
        self.taken = self.now();
        let snapshot = self.store.engine().snapshot();
        self.shared.snapshots.lock().next = Some(snapshot);
        self.settle(Seq::new(self.shared.at.load(SeqCst)));
    }

    fn forget(&mut self) {
        self.since.clear();
        self.since_bytes = 0;
    }

    fn now(&self) -> Duration {
        self.store.env().clock().monotonic()
    }
}

impl Held {
    /// Takes the snapshots away from a follower that stands still although there are commits.
    pub(super) fn let_go_when_still(&self, visible: Seq, now: Duration) {
        let at = self.at.load(SeqCst);
        let mut snapshots = self.snapshots.lock();
        let (seen_at, since) = snapshots.seen_at;
        if at >= visible.get() || at != seen_at {
            snapshots.seen_at = (at, now);
        } else if now.saturating_sub(since) > STILL_MAX {
            let (base, next) = (snapshots.base.take(), snapshots.next.take());
            drop(snapshots);
            drop((base, next));
        }
    }
}
