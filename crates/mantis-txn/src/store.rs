//! The store: engine, log and pipeline opened together, with the sweep that tidies up behind them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_engine::{Engine, Record, Snapshot};
use mantis_env::{Env, TaskHandle};
use mantis_log::Log;
use mantis_types::{DatabaseId, Durability, Limits, OwnerId, Seq, WriteBatch, WriteBatchBuilder};
use parking_lot::Mutex;

use crate::TxnError;
use crate::latch::{Latched, Latches};
use crate::locks::RowLocks;
use crate::meta::{self, COUNTERS, FIRST_ID};
use crate::pipeline::{Committed, Pipeline};
use crate::stats::TxnStats;
use crate::sweep::Sweep;
use crate::txn_id::{TxnId, TxnIds};

/// Ids that one commit reserves; a crash wastes at most so many numbers out of 2^64.
const IDS_RESERVED: u64 = 1024;

/// An engine and its log as one transactional store. Cheap to clone; all methods block as their
/// own lines say and may be called from any thread.
#[derive(Clone, Debug)]
pub struct Store {
    owner: Arc<Owner>,
}

/// Ends the sweep when the last handle goes, and waits for its step: the sweep must not be the one
/// that lets engine, log and the lock of their directory go, later than the caller thinks.
#[derive(Debug)]
struct Owner {
    inner: Arc<StoreInner>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let sweep = self.inner.sweep.lock().take();
        drop(sweep);
    }
}

pub(crate) struct StoreInner {
    /// Guards the handle of the sweep, which is taken once: at close, or when the owner goes.
    sweep: Mutex<Option<TaskHandle>>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) latches: Latches,
    pub(crate) row_locks: RowLocks,
    txn_ids: TxnIds,
    limits: Limits,
    next_id: AtomicU64,
    ids_end: AtomicU64,
    /// Guards the reservation of ids. Longest hold: one commit of class `none`.
    reserving: Mutex<()>,
}

impl std::fmt::Debug for StoreInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pipeline.fmt(f)
    }
}

/// The hook that a log calls when its durable mark has moved; made before the store is.
#[derive(Clone, Default)]
pub struct DurableHook {
    pipeline: Arc<std::sync::OnceLock<std::sync::Weak<Pipeline>>>,
}

impl std::fmt::Debug for DurableHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DurableHook")
    }
}

impl DurableHook {
    /// The function to hand to the log's options.
    #[must_use]
    pub fn callback(&self) -> Arc<dyn Fn(Seq) + Send + Sync> {
        let pipeline = Arc::clone(&self.pipeline);
        Arc::new(move |_| {
            if let Some(pipeline) = pipeline.get().and_then(std::sync::Weak::upgrade) {
                pipeline.advance();
            }
        })
    }
}

impl Store {
    /// Replays the log into the engine and starts the sweep.
    ///
    /// `hook` must be the one whose callback the log was opened with; without it, sync commits of
    /// committers that went away would become visible late. Cost: reading the log from the
    /// engine's replay mark on.
    ///
    /// # Errors
    /// `Corrupt` when the log has a gap or a record that is no batch; what engine and log answer.
    pub fn open(
        env: &Env,
        engine: Arc<dyn Engine>,
        log: Option<Log>,
        hook: &DurableHook,
        limits: Limits,
    ) -> Result<Self, TxnError> {
        let last = match &log {
            Some(log) => replay(&*engine, log)?,
            None => engine.horizon().get(),
        };
        let pipeline = Arc::new(Pipeline::new(env.clone(), engine, log, last, &limits));
        // A hook serves one store; a second store with the same hook keeps the first one's.
        if hook.pipeline.set(Arc::downgrade(&pipeline)).is_err() {
            return Err(TxnError::Closed);
        }
        let inner = Arc::new(StoreInner {
            pipeline,
            latches: Latches::new(),
            row_locks: RowLocks::new(env, &limits),
            txn_ids: TxnIds::new(),
            limits,
            next_id: AtomicU64::new(0),
            ids_end: AtomicU64::new(0),
            reserving: Mutex::new(()),
            sweep: Mutex::new(None),
        });
        inner.load_ids()?;
        let sweep = Box::new(Sweep {
            store: Arc::downgrade(&inner),
        });
        *inner.sweep.lock() = Some(env.tasks().spawn("mantis-sweep", sweep));
        Ok(Self {
            owner: Arc::new(Owner { inner }),
        })
    }

    /// Keeps something until engine and log have gone: the lock of their directory. Once only; a
    /// second one is given back.
    ///
    /// # Errors
    /// What was to be kept.
    pub fn keep(&self, kept: Box<dyn Any + Send + Sync>) -> Result<(), Box<dyn Any + Send + Sync>> {
        self.owner.inner.pipeline.kept.set(kept)
    }

    /// Waits until engine and log take about `bytes` more. To be called before latching.
    ///
    /// # Errors
    /// `DiskFull`, `ReadOnly` after a failed sync, `ShuttingDown`, `TooLarge` over
    /// `Limits::batch_bytes_max`.
    pub fn admit(&self, bytes: u64) -> Result<(), TxnError> {
        let max = self.owner.inner.limits.batch_bytes_max;
        if bytes > max {
            return Err(TxnError::BatchTooLarge { bytes, max });
        }
        self.owner.inner.pipeline.admit(bytes)
    }

    /// Latches one key: from here until the guard goes, nobody else writes it.
    pub fn latch(&self, key: &[u8]) -> Latched<'_> {
        self.owner.inner.latches.one(key)
    }

    /// Latches several keys.
    pub fn latch_many<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Latched<'_> {
        self.owner.inner.latches.many(keys)
    }

    /// Latches the keys of a commit outside of transactions, when no transaction has locked one of
    /// their rows. Waits for those who have, in the order of asking, up to `deadline` by the
    /// environment's monotonic clock. Cost while nobody has: that of [`Self::latch_many`].
    ///
    /// # Errors
    /// `DeadlineExceeded`, `PoolExhausted` when too many wait for one row.
    pub fn latch_free<'k>(
        &self,
        keys: &(impl Iterator<Item = &'k [u8]> + Clone),
        deadline: Option<Duration>,
    ) -> Result<Latched<'_>, TxnError> {
        // A turn at a row keeps transactions from it until the latch does.
        let mut turn = None;
        loop {
            let mut several = keys.clone();
            let latched = match (several.next(), several.next()) {
                (Some(one), None) => self.latch(one),
                _ => self.latch_many(keys.clone()),
            };
            let locks = self.row_locks();
            let locked = locks.any().then(|| {
                let mut keys = keys.clone();
                keys.find(|key| locks.holder(key).is_some())
            });
            let Some(key) = locked.flatten() else {
                return Ok(latched);
            };
            drop(latched);
            // Never two at once: two such commits could wait for each other unseen.
            drop(turn.take());
            let now = self.env().clock().monotonic();
            if deadline.is_some_and(|deadline| deadline <= now) {
                // Whoever does not wait takes no place in the queue either.
                return Err(TxnError::Deadline);
            }
            turn = Some(locks.wait_free(key, deadline)?);
        }
    }

    /// Latches every key, for changes of what owns them.
    pub fn latch_all(&self) -> Latched<'_> {
        self.owner.inner.latches.all()
    }

    /// A snapshot of everything applied, visible or not: what the holder of a latch must read.
    #[must_use]
    pub fn snapshot_applied(&self, _latched: &Latched<'_>) -> Snapshot {
        self.owner.inner.pipeline.engine.snapshot_applied()
    }

    /// The Seq of the next commit; exact, since the holder of all latches keeps others out.
    #[must_use]
    pub fn next_seq(&self, _all: &Latched<'_>) -> Seq {
        self.owner.inner.pipeline.last_seq().next()
    }

    /// Numbers, logs and applies the batch. Its keys must be latched, and [`Self::admit`] called
    /// before. It is visible once [`Self::finish`] has answered.
    ///
    /// # Errors
    /// `DiskFull`, `ReadOnly`, `ShuttingDown`: nothing has been done.
    pub fn start(
        &self,
        latched: &Latched<'_>,
        batch: WriteBatch,
        durability: Durability,
    ) -> Result<Pending, TxnError> {
        let seq = self
            .owner
            .inner
            .pipeline
            .start(latched, batch, durability, None)?;
        Ok(Pending { seq, durability })
    }

    /// Waits until the commit has survived what its class promises and is visible. To be called
    /// without latches. Cost: for class sync at most one fsync, shared with other commits.
    ///
    /// # Errors
    /// `ReadOnly` when the log failed: the commit's outcome is unknown until the store is opened
    /// again. `Timeout` when the disk filled up under it: the same, or until space returns.
    #[expect(clippy::needless_pass_by_value, reason = "a commit is finished once")]
    pub fn finish(&self, pending: Pending) -> Result<Committed, TxnError> {
        self.owner
            .inner
            .pipeline
            .finish(pending.seq, pending.durability)
    }

    /// Waits until everything applied so far is visible: after a read of [`Self::snapshot_applied`]
    /// on which a refusal is based, so that nobody is told what a power cut could take back.
    ///
    /// # Errors
    /// `ReadOnly` when the log failed.
    pub fn settle(&self) -> Result<(), TxnError> {
        let last = self.owner.inner.pipeline.last_seq();
        self.owner.inner.pipeline.wait_visible(last, None).map(drop)
    }

    /// Waits until `seq` is visible; false when `timeout` passed first.
    ///
    /// # Errors
    /// `ReadOnly` when the log failed.
    pub fn wait_visible(&self, seq: Seq, timeout: Duration) -> Result<bool, TxnError> {
        self.owner.inner.pipeline.wait_visible(seq, Some(timeout))
    }

    /// A number that this store has never given out and never will again. Usually one atomic add;
    /// every 1024th call is a commit of class `none`. Not to be called with latches held.
    ///
    /// # Errors
    /// As a commit.
    pub fn new_id(&self) -> Result<OwnerId, TxnError> {
        self.owner.inner.new_id()
    }

    /// Lets every commit of a transaction through, whatever others have written: the control of those
    /// who judge histories, which must be rejected. It cannot be taken back.
    #[doc(hidden)]
    pub fn without_conflict_detection(&self) {
        self.owner.inner.pipeline.tracking.blind();
    }

    pub(crate) fn row_locks(&self) -> &RowLocks {
        &self.owner.inner.row_locks
    }

    pub(crate) fn new_txn_id(&self) -> TxnId {
        self.owner.inner.txn_ids.give()
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.owner.inner.pipeline
    }

    /// The engine, for reads.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        &*self.owner.inner.pipeline.engine
    }

    /// The log, unless the store lives in memory only.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        self.owner.inner.pipeline.log.as_ref()
    }

    /// The environment it runs in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.owner.inner.pipeline.env
    }

    /// The limits it was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.owner.inner.limits
    }

    /// The newest commit that readers see.
    #[must_use]
    pub fn visible_seq(&self) -> Seq {
        self.owner.inner.pipeline.engine.horizon().get()
    }

    /// The newest commit that has survived a power cut; `Seq::MAX` without a log.
    #[must_use]
    pub fn durable_seq(&self) -> Seq {
        self.owner.inner.pipeline.durable_seq()
    }

    /// What a visible commit has survived by now.
    #[must_use]
    pub fn class_of(&self, seq: Seq) -> Durability {
        self.pipeline().class_of(seq)
    }

    /// Counts since the store was opened.
    #[must_use]
    pub fn stats(&self) -> TxnStats {
        let counters = &self.owner.inner.pipeline.counters;
        let of_transactions = counters.of_transactions.get();
        let committed = counters.committed.get();
        TxnStats {
            committed,
            autocommits: committed.saturating_sub(of_transactions),
            levels: counters.levels.stats(),
            active: self.pipeline().tracking.live.count() as u64,
            begun: counters.begun.get(),
            conflicts: counters.conflicts.get(),
            rolled_back: counters.rolled_back.get(),
            locks: self.row_locks().stats(),
            feed: self.pipeline().outbox.feed.stats(),
            watch: self.pipeline().outbox.watch.stats(),
            noted_keys: self.pipeline().tracking.index.keys() as u64,
            expired: counters.expired.get(),
            reclaimed: counters.reclaimed.get(),
            sweep_failures: counters.sweep_failures.get(),
        }
    }

    /// One round of the sweep at once; answers how many keys it looked at.
    ///
    /// # Errors
    /// As a commit.
    pub fn sweep(&self) -> Result<usize, TxnError> {
        self.owner.inner.sweep_once(DatabaseId::DEFAULT)
    }

    /// Refuses further commits, waits for those under way, then closes engine and log: everything
    /// acknowledged, of whatever class, is on disk when this answers. A second call does nothing.
    ///
    /// # Errors
    /// What engine and log answer; the first error wins, both are closed all the same.
    pub fn close(&self) -> Result<(), TxnError> {
        let Some(sweep) = self.owner.inner.sweep.lock().take() else {
            return Ok(());
        };
        let drained = self.owner.inner.pipeline.close();
        sweep.stop_and_join();
        let engine = self
            .owner
            .inner
            .pipeline
            .engine
            .close()
            .map_err(TxnError::from);
        self.owner.inner.release_log();
        let log = self
            .log()
            .map_or(Ok(()), Log::close)
            .map_err(TxnError::from);
        drained.and(engine).and(log)
    }
}

/// A commit that has been applied and waits for its [`Store::finish`].
#[derive(Debug)]
#[must_use = "a commit is not acknowledged before it has been finished"]
pub struct Pending {
    seq: Seq,
    durability: Durability,
}

impl Pending {
    /// Its place in the order of all commits.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }
}

impl StoreInner {
    /// Lets the log recycle what the tables hold.
    pub(crate) fn release_log(&self) {
        if let Some(log) = &self.pipeline.log {
            log.release(self.pipeline.engine.replay_from());
        }
    }

    fn load_ids(&self) -> Result<(), TxnError> {
        let key = meta::meta_key(DatabaseId::DEFAULT, COUNTERS, b"ids")?;
        let engine = &self.pipeline.engine;
        let stored = engine.get(&engine.snapshot(), key.as_bytes())?;
        let next = stored.as_ref().and_then(read_u64).unwrap_or(FIRST_ID);
        self.next_id.store(next, SeqCst);
        self.ids_end.store(next, SeqCst);
        Ok(())
    }

    fn new_id(&self) -> Result<OwnerId, TxnError> {
        loop {
            let id = self.next_id.load(SeqCst);
            if id >= self.ids_end.load(SeqCst) {
                self.reserve_ids()?;
            } else if self
                .next_id
                .compare_exchange(id, id + 1, SeqCst, SeqCst)
                .is_ok()
            {
                return Ok(OwnerId::new(id));
            }
        }
    }

    /// The reservation stands in the log before any commit that uses one of its ids.
    fn reserve_ids(&self) -> Result<(), TxnError> {
        let _one_at_a_time = self.reserving.lock();
        let end = self.ids_end.load(SeqCst);
        if self.next_id.load(SeqCst) < end {
            return Ok(());
        }
        let key = meta::meta_key(DatabaseId::DEFAULT, COUNTERS, b"ids")?;
        let new_end = end + IDS_RESERVED;
        let mut batch = WriteBatchBuilder::default();
        meta::put_meta(&mut batch, &key, &new_end.to_le_bytes())?;
        self.pipeline.admit(batch.len() as u64)?;
        let latched = self.latches.one(key.as_bytes());
        self.pipeline
            .start(&latched, batch.finish(), Durability::None, None)?;
        self.ids_end.store(new_end, SeqCst);
        Ok(())
    }
}

/// The number in a bookkeeping record.
#[must_use]
pub fn read_u64(record: &Record) -> Option<u64> {
    record
        .view()
        .payload()
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}

fn replay(engine: &dyn Engine, log: &Log) -> Result<Seq, TxnError> {
    let from = engine.replay_from();
    let mut last = from.prev();
    for record in log.read(from)? {
        let record = record?;
        if record.seq != last.next() {
            let (log_first, needed) = (record.seq.get(), last.next().get());
            return Err(TxnError::LogGap { log_first, needed });
        }
        engine.recover(record.seq, &WriteBatch::from_log(record.body)?)?;
        last = record.seq;
    }
    Ok(last)
}
