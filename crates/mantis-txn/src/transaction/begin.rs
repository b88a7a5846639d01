//! How a transaction begins.

use std::time::Duration;

use mantis_types::{Durability, Isolation, Origin};

use super::Transaction;
use super::buffer::Buffer;
use super::locking::HeldLocks;
use super::reads::ReadSet;
use crate::{Store, TxnError};

/// What a transaction is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// What it may see of others, and what makes it fail. Default: `Snapshot`.
    pub isolation: Isolation,
    /// Whether it refuses writes. A read-only transaction never waits for others, and never fails
    /// because of them, except by `snapshot_too_old`.
    pub read_only: bool,
    /// What its commit waits for. Default: `Sync`.
    pub durability: Durability,
    /// The moment, by the environment's monotonic clock, after which every call answers
    /// `Deadline`. Default: never.
    pub deadline: Option<Duration>,
    /// Through which door it came.
    pub origin: Origin,
}

impl Begin {
    /// A transaction of a level, else as by default.
    #[must_use]
    pub fn at(isolation: Isolation) -> Self {
        Self {
            isolation,
            ..Self::default()
        }
    }
}

impl Store {
    /// Begins a transaction. Cost: a snapshot and two short locks. The first one after a while waits
    /// until the commits under way are visible.
    ///
    /// # Errors
    /// `ShuttingDown`; `ReadOnly` when the log has failed, unless it is read-only itself.
    pub fn begin(&self, begin: Begin) -> Result<Transaction, TxnError> {
        let pipeline = self.pipeline();
        let engine = self.engine();
        let (live, snapshot) = if begin.read_only {
            (None, engine.snapshot())
        } else {
            pipeline.check_open()?;
            let serializable = begin.isolation == Isolation::Serializable;
            let tracking = &pipeline.tracking;
            let live = tracking.live.enter(serializable, || engine.horizon().get());
            let noted_from = tracking.switch_on(&pipeline.sequencer, serializable);
            if engine.horizon().get() < noted_from {
                pipeline.wait_visible(noted_from, None)?;
            }
            (Some(live), engine.snapshot())
        };
        pipeline.counters.begun.add(1);
        Ok(Transaction {
            id: self.new_txn_id(),
            begin,
            snapshot,
            now_ms: self.env().clock().now_ms(),
            buffer: Buffer::default(),
            reads: ReadSet::default(),
            locks: HeldLocks::default(),
            row_deadline: None,
            asked: None,
            keeps_places: false,
            doomed: false,
            committed: false,
            _live: live,
            store: self.clone(),
        })
    }
}
