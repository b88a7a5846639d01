//! The commit pipeline: number, log, apply, publish.
//!
//! One short section gives a commit its Seq, its place in the log and its memtable. Everything that
//! takes time stands outside of it: hashing before, memtable inserts and fsync after.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mantis_engine::{Engine, Placement};
use mantis_env::Env;
use mantis_log::{Log, LogError, Prepared};
use mantis_types::{Durability, Limits, Seq, WriteBatch};
use parking_lot::{Condvar, Mutex};

use crate::TxnError;
use crate::conflict::Checks;
use crate::latch::Latched;
use crate::order::Order;
use crate::outbox::Outbox;
use crate::ring::{Blocked, Ring, SLOTS};
use crate::stats::TxnCounters;
use crate::tracking::Tracking;

/// How often a waiter looks at the visible edge before it sleeps.
const SPINS: u32 = 64;
/// A sleeping waiter looks again after this long, whatever happens: it may have to sync for a
/// committer that went away.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A commit and the class it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the order of all commits.
    pub seq: Seq,
    /// What it has survived. Never weaker than asked, except in a store without a log, where every
    /// commit is of class `none`.
    pub durability: Durability,
}

/// A commit that has its number.
struct Entered {
    seq: Seq,
    placement: Placement,
    /// Somebody wants to be told of it.
    observed: bool,
}

pub(crate) struct Pipeline {
    pub(crate) env: Env,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) log: Option<Log>,
    /// Guards the order of commits: next Seq, log position and memtable are taken together. Comes
    /// after latches and before the log's buffer lock. Longest hold: copying one batch.
    pub(crate) sequencer: Mutex<Order>,
    pub(crate) tracking: Tracking,
    ring: Ring,
    /// Commits on their way to those who observe.
    pub(crate) outbox: Outbox,
    closed: AtomicBool,
    /// Guards nothing but the sleep of those who wait for the visible edge.
    sleepers: Mutex<()>,
    edge_moved: Condvar,
    sleeping: AtomicU64,
    pub(crate) counters: TxnCounters,
    /// Goes last, when engine and log have gone: the lock of their directory.
    pub(crate) kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Pipeline {
    pub(crate) fn new(
        env: Env,
        engine: Arc<dyn Engine>,
        log: Option<Log>,
        last: Seq,
        limits: &Limits,
    ) -> Self {
        let tracking = Tracking::new(env.rng().next_u64(), limits);
        let outbox = Outbox::new(env.rng().next_u64(), limits);
        Self {
            env,
            engine,
            log,
            sequencer: Mutex::new(Order::behind(last)),
            tracking,
            ring: Ring::new(),
            outbox,
            closed: AtomicBool::new(false),
            sleepers: Mutex::new(()),
            edge_moved: Condvar::new(),
            sleeping: AtomicU64::new(0),
            counters: TxnCounters::default(),
            kept: OnceLock::new(),
        }
    }

    /// Waits until the engine and the log take `bytes` more; before latches are taken.
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), TxnError> {
        if self.closed.load(SeqCst) {
            return Err(TxnError::Closed);
        }
        self.engine.admit(bytes)?;
        if let Some(log) = &self.log {
            log.admit(bytes)?;
        }
        Ok(())
    }

    /// Gives the batch its Seq and applies it, unless somebody has written what `checks` names. It is
    /// neither durable nor visible yet.
    pub(crate) fn start(
        &self,
        _latched: &Latched<'_>,
        mut batch: WriteBatch,
        durability: Durability,
        checks: Option<&Checks<'_>>,
    ) -> Result<Seq, TxnError> {
        batch.set_time(self.env.clock().now_ms());
        let prepared = Prepared::new(batch.as_bytes());
        let checked = checks.map(|checks| self.tracking.check(checks));
        let checked = checks.zip(checked.transpose()?);
        let Entered {
            seq,
            placement,
            observed,
        } = self.enter(&batch, &prepared, checked)?;
        self.engine.apply(&placement, seq, &batch);
        drop(placement);
        if observed {
            self.outbox.keep(seq, batch);
        }
        let must_be_durable = durability == Durability::Sync && self.log.is_some();
        self.ring.finish(seq, must_be_durable);
        self.advance();
        Ok(seq)
    }

    fn enter(
        &self,
        batch: &WriteBatch,
        prepared: &Prepared<'_>,
        checked: Option<(&Checks<'_>, Seq)>,
    ) -> Result<Entered, TxnError> {
        let bytes = batch.as_bytes().len() as u64;
        loop {
            let mut order = self.sequencer.lock();
            if self.closed.load(SeqCst) {
                return Err(TxnError::Closed);
            }
            let seq = order.next;
            let visible = self.engine.horizon().get();
            let oldest_free = seq.get().saturating_sub(SLOTS - 1);
            if visible.get() < oldest_free {
                drop(order);
                self.wait_visible(Seq::new(oldest_free), None)?;
                continue;
            }
            if let Some((checks, checked)) = checked {
                self.tracking.check_since(checks, checked, &order)?;
            }
            if let Some(log) = &self.log {
                log.append(seq, prepared)?;
            }
            let placement = self.engine.place(seq, bytes);
            self.tracking.enter(&mut order, batch, visible);
            order.next = seq.next();
            return Ok(Entered {
                seq,
                placement,
                observed: order.observed,
            });
        }
    }

    /// Pushes the visible edge as far as it may go.
    pub(crate) fn advance(&self) {
        let horizon = self.engine.horizon();
        let mut moved = false;
        loop {
            let visible = horizon.get();
            let publishable = self.ring.next_publishable(visible, self.durable_seq());
            let Ok(next) = publishable else {
                break;
            };
            // Looked at behind the mark: whoever began to observe before this commit was numbered is
            // seen here.
            if self.outbox.covers(next) {
                moved |= self.publish_observed();
                break;
            }
            moved |= horizon.advance(visible);
        }
        if moved && self.sleeping.load(SeqCst) > 0 {
            // The lock makes sure that a waiter either sees the new edge or is asleep by now.
            drop(self.sleepers.lock());
            self.edge_moved.notify_all();
        }
        if moved {
            self.outbox.feed.wake();
        }
    }

    /// The same while somebody observes: one thread at a time tells the observers of each commit, and
    /// then moves the edge over it. Whoever finds another one at it leaves the rest to that one.
    fn publish_observed(&self) -> bool {
        let mut moved = false;
        self.outbox.one_at_a_time(|| {
            while self.publish_next() {
                moved = true
            }
        });
        moved
    }

    /// Tells of the next commit and moves the edge over it, if it may.
    fn publish_next(&self) -> bool {
        let horizon = self.engine.horizon();
        let visible = horizon.get();
        let publishable = self.ring.next_publishable(visible, self.durable_seq());
        publishable.is_ok_and(|next| {
            self.outbox.tell(next);
            horizon.advance(visible)
        })
    }

    /// Waits until `seq` has survived what `durability` promises, and is visible.
    pub(crate) fn finish(&self, seq: Seq, durability: Durability) -> Result<Committed, TxnError> {
        self.see_through(seq, durability)
            .map_err(|error| match error {
                // The record stays queued in the log: this commit may still come.
                TxnError::Log(LogError::DiskFull) => TxnError::Undecided,
                other => other,
            })?;
        self.counters.committed.add(1);
        Ok(Committed {
            seq,
            durability: self.class_of(seq),
        })
    }

    fn see_through(&self, seq: Seq, durability: Durability) -> Result<(), TxnError> {
        if let Some(log) = &self.log {
            match durability {
                Durability::Sync => log.sync(seq)?,
                Durability::Interval => log.write(seq)?,
                Durability::None => {}
            }
        }
        self.wait_visible(seq, None).map(drop)
    }

    /// Waits until the visible edge has reached `seq`; false when `timeout` passed first.
    pub(crate) fn wait_visible(
        &self,
        seq: Seq,
        timeout: Option<Duration>,
    ) -> Result<bool, TxnError> {
        let horizon = self.engine.horizon();
        for _ in 0..SPINS {
            if horizon.get() >= seq {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        let started = self.env.clock().monotonic();
        self.sleeping.fetch_add(1, SeqCst);
        let answer = loop {
            self.advance();
            if horizon.get() >= seq {
                break Ok(true);
            }
            if let Err(error) = self.unblock(seq) {
                break Err(error);
            }
            let waited = self.env.clock().monotonic().saturating_sub(started);
            if timeout.is_some_and(|t| waited >= t) {
                break Ok(false);
            }
            let mut asleep = self.sleepers.lock();
            if horizon.get() < seq {
                let nap = timeout.map_or(LOOK_AGAIN, |t| LOOK_AGAIN.min(t.saturating_sub(waited)));
                self.edge_moved.wait_for(&mut asleep, nap);
            }
        };
        self.sleeping.fetch_sub(1, SeqCst);
        answer
    }

    /// A commit behind a sync commit waits for that one's fsync: if it is needed, do it ourselves.
    fn unblock(&self, wanted: Seq) -> Result<(), TxnError> {
        let visible = self.engine.horizon().get();
        if visible >= wanted {
            return Ok(());
        }
        let blocked = self.ring.next_publishable(visible, self.durable_seq());
        if let (Some(log), Err(Blocked::NotDurable(seq))) = (&self.log, blocked) {
            log.sync(seq)?;
            self.advance();
        }
        Ok(())
    }

    /// The newest Seq that was given out.
    pub(crate) fn last_seq(&self) -> Seq {
        self.sequencer.lock().next.prev()
    }

    pub(crate) fn durable_seq(&self) -> Seq {
        self.log.as_ref().map_or(Seq::MAX, Log::durable_seq)
    }

    /// Whether commits are still taken.
    pub(crate) fn check_open(&self) -> Result<(), TxnError> {
        if self.closed.load(SeqCst) {
            return Err(TxnError::Closed);
        }
        match self.log.as_ref().and_then(Log::poisoned) {
            Some(poison) => Err(LogError::Poisoned(poison).into()),
            None => Ok(()),
        }
    }

    /// Stops noting commits when no transaction has lived for a while.
    pub(crate) fn rest(&self) {
        let now = self.env.clock().monotonic();
        self.tracking.rest(&self.sequencer, now);
        self.outbox.feed.rest(self.engine.horizon().get(), now);
    }

    /// Refuses further commits, and waits until those under way are visible.
    pub(crate) fn close(&self) -> Result<(), TxnError> {
        let last = {
            let order = self.sequencer.lock();
            self.closed.store(true, SeqCst);
            order.next.prev()
        };
        self.wait_visible(last, None).map(drop)
    }

    pub(crate) fn class_of(&self, seq: Seq) -> Durability {
        match &self.log {
            None => Durability::None,
            Some(log) if log.durable_seq() >= seq => Durability::Sync,
            Some(log) if log.written_seq() >= seq => Durability::Interval,
            Some(_) => Durability::None,
        }
    }
}

impl Drop for Pipeline {
    /// Whoever opens the directory next must find nobody at work in it.
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            log.halt();
        }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("visible", &self.engine.horizon().get())
            .field("durable", &self.durable_seq())
            .finish_non_exhaustive()
    }
}
