//! The commit of a transaction: latch, look at row locks, check, number, log, apply, publish.

use std::time::Duration;

use mantis_types::{Isolation, Seq, WriteBatch, WriteBatchBuilder};

use super::Transaction;
use super::buffer::Change;
use super::merge::apply_all;
use crate::TxnError;
use crate::conflict::{Checks, Point};
use crate::latch::Latched;
use crate::pipeline::Committed;

/// How long a refused transaction waits until the commit that came first is visible, so that the
/// next try sees it.
const WINNER_WAIT: Duration = Duration::from_secs(1);

impl Transaction {
    /// Writes everything as one commit, and waits until it has survived what its class promises and
    /// is visible. A transaction that has written nothing needs no commit: it answers its snapshot's
    /// Seq. Blocks.
    ///
    /// # Errors
    /// `SerializationFailure`, `Deadlock`, `SnapshotTooOld`: run it again; nothing was written.
    /// `DiskFull`, `ReadOnly`, `ShuttingDown`, `DeadlineExceeded`: nothing was written. `Timeout` and
    /// `SyncFailed`: the outcome is unknown.
    pub fn commit(mut self) -> Result<Committed, TxnError> {
        self.check_usable()?;
        if self.buffer.is_empty() {
            let seq = self.snapshot_seq();
            let durability = self.pipeline().class_of(seq);
            self.committed = true;
            self.count_commit();
            return Ok(Committed { seq, durability });
        }
        let store = self.store.clone();
        store.admit(self.buffer.bytes())?;
        let started = self.start();
        if let Err(error) = &started {
            self.let_the_winner_through(error);
        }
        let seq = started?;
        self.committed = true;
        // The row locks go with `self`, behind this: whoever gets one next sees this commit.
        let committed = store.pipeline().finish(seq, self.durability())?;
        store.pipeline().counters.of_transactions.add(1);
        self.count_commit();
        Ok(committed)
    }

    fn count_commit(&self) {
        let levels = &self.pipeline().counters.levels;
        levels.of(self.isolation()).committed.add(1);
    }

    /// Numbers and applies it; the latches are held for that long.
    fn start(&mut self) -> Result<Seq, TxnError> {
        let store = self.store.clone();
        let mut prepared = (!self.buffer.merges())
            .then(|| self.batch(None))
            .transpose()?;
        loop {
            let latched = store.latch_many(self.buffer.iter().map(|(key, _)| key));
            if let Some(key) = self.locked_by_another()? {
                drop(latched);
                // By taking the lock: a wait that others know nothing of could close a circle.
                self.lock(&key)?;
                continue;
            }
            let batch = match prepared.take() {
                Some(batch) => batch,
                None => self.batch(Some(&latched))?,
            };
            let points = self.points();
            let since = self.snapshot_seq();
            let checks = Checks::new(points, self.reads.spans(), since);
            return store
                .pipeline()
                .start(&latched, batch, self.begin.durability, Some(&checks));
        }
    }

    /// What must not have been written: at every level the guards; what was read, where that counts
    /// (else it is empty); with one snapshot what is written, too.
    fn points(&self) -> Vec<Point> {
        let since = self.snapshot_seq();
        let index = &self.pipeline().tracking.index;
        let mut points = self.reads.points(since);
        if self.isolation() != Isolation::ReadCommitted {
            let written = self.buffer.iter();
            let written = written.filter(|(_, change)| !matches!(change, Change::Merge(_)));
            points.extend(written.map(|(key, _)| Point {
                hash: index.hash(key),
                as_of: since,
            }));
        }
        points
    }

    /// The bytes of the commit. Additions need the latches: they are applied to the newest versions.
    fn batch(&self, latched: Option<&Latched<'_>>) -> Result<WriteBatch, TxnError> {
        let bytes = usize::try_from(self.buffer.bytes()).unwrap_or_default();
        let mut batch = WriteBatchBuilder::with_capacity(bytes);
        let applied = latched.map(|latched| self.store.snapshot_applied(latched));
        for (key, change) in self.buffer.iter() {
            match (change, &applied) {
                (Change::Put(record), _) => batch.put(key, record.as_bytes())?,
                (Change::Delete, _) => batch.delete(key)?,
                (Change::Merge(merges), Some(applied)) => {
                    let newest = self.store.engine().get(applied, key)?;
                    let record = apply_all(merges, newest, self.now_ms)?;
                    batch.put(key, record.as_bytes())?;
                }
                (Change::Merge(_), None) => return Err(TxnError::Closed),
            }
        }
        let mut batch = batch.finish();
        batch.set_origin(self.begin.origin);
        self.store.engine().check(&batch)?;
        Ok(batch)
    }

    /// After a conflict: waits until the commit that came first is visible, so that the next try sees
    /// it.
    fn let_the_winner_through(&self, error: &TxnError) {
        match error {
            TxnError::Conflict { with } => {
                self.pipeline().counters.conflicts.add(1);
                // Whether it became visible or the log failed: the answer stays the conflict.
                drop(
                    self.pipeline()
                        .wait_visible(*with, Some(self.left(WINNER_WAIT))),
                );
            }
            TxnError::Locked | TxnError::TooOld => self.pipeline().counters.conflicts.add(1),
            _ => {}
        }
    }

    /// Waits until a commit is visible, up to the deadline.
    pub(super) fn wait_until_visible(&self, seq: Seq) -> Result<(), TxnError> {
        let left = self.begin.deadline.map(|_| self.left(Duration::MAX));
        if self.pipeline().wait_visible(seq, left)? {
            Ok(())
        } else {
            Err(TxnError::Deadline)
        }
    }

    /// The time until the deadline, at most `max`.
    fn left(&self, max: Duration) -> Duration {
        let now = self.store.env().clock().monotonic();
        let left = self.begin.deadline.map(|at| at.saturating_sub(now));
        left.map_or(max, |left| left.min(max))
    }
}
