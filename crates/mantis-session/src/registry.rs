//! Joinable transactions: opened under a key by one request, used by others of the same principal.
//!
//! One request at a time has the turn in a transaction, in the order of asking. One that nobody uses
//! for the idle timeout, or that is open for longer than the longest duration, is rolled back. How a
//! transaction ended can be asked for five minutes.

mod claim;
mod entry;
mod key;
mod reaper;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use mantis_engine::Counter;
use mantis_env::{Env, TaskHandle};
use mantis_txn::Begin;
use mantis_types::{Isolation, Limits, Seq};
use parking_lot::Mutex;

use crate::{Principal, Session, SessionError, Transaction};

pub use claim::{Claim, Ended};
pub use entry::TransactionState;
pub use key::TransactionKey;

use entry::{Ending, Entry, InTurn, Place, Shown};
use reaper::Reaper;

/// How long the outcome of a transaction is remembered.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(300);
/// Idle timeout before a configuration says otherwise.
const IDLE_DEFAULT: Duration = Duration::from_secs(30);
/// Longest duration before a configuration says otherwise.
const LIFE_DEFAULT: Duration = Duration::from_secs(300);

/// All joinable transactions of one database.
#[derive(Debug)]
pub(crate) struct Registry {
    env: Env,
    /// Guards which keys exist. Taken before nothing else. Longest hold: a look at every entry, about
    /// 10 ms for 100,000, by the task that clears away.
    entries: Mutex<HashMap<TransactionKey, Arc<Entry>>>,
    open: AtomicUsize,
    idle_ms: AtomicU64,
    life_ms: AtomicU64,
    open_max: usize,
    ended_max: usize,
    queue_max: usize,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    opened: Counter,
    committed: Counter,
    rolled_back: Counter,
    failed: Counter,
    expired: Counter,
}

/// Counts of joinable transactions since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryStats {
    /// Open now.
    pub open: u64,
    /// Begun under a key.
    pub opened: u64,
    /// Ended by a commit.
    pub committed: u64,
    /// Rolled back by their owners.
    pub rolled_back: u64,
    /// Ended by a failed commit, or to break a deadlock.
    pub failed: u64,
    /// Rolled back because nobody used them, or because they were open for too long.
    pub expired: u64,
}

/// What a transaction looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionStatus {
    /// Its key.
    pub key: TransactionKey,
    /// Where it stands.
    pub state: TransactionState,
    /// Its level.
    pub isolation: Isolation,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// The newest commit that it saw when it began.
    pub snapshot: Seq,
    /// How many keys it changes, or has changed, as of its last command.
    pub writes: usize,
    /// How long until it is rolled back if nobody uses it; zero when it has ended.
    pub left: Duration,
}

/// The registry of one database and the task that clears away in it.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) registry: Arc<Registry>,
    /// Stops with the database.
    _reaper: TaskHandle,
}

impl Transactions {
    pub(crate) fn new(env: &Env, limits: &Limits) -> Self {
        let registry = Arc::new(Registry {
            env: env.clone(),
            entries: Mutex::default(),
            open: AtomicUsize::new(0),
            idle_ms: AtomicU64::new(millis(IDLE_DEFAULT)),
            life_ms: AtomicU64::new(millis(LIFE_DEFAULT)),
            open_max: limits.transactions_max,
            ended_max: limits.transactions_ended_max,
            queue_max: limits.transaction_queue_max,
            counters: Counters::default(),
        });
        let reaper = Box::new(Reaper::new(Arc::clone(&registry)));
        let _reaper = env.tasks().spawn("mantis-reaper", reaper);
        Self { registry, _reaper }
    }
}

impl Session {
    /// Begins a transaction that requests of the same principal may join under its key. `begin`'s
    /// deadline is that of the longest duration, if this is earlier. Blocks as
    /// [`Session::begin`] does.
    ///
    /// # Errors
    /// `PoolExhausted` beyond `Limits::transactions_max`; as [`Session::begin`].
    pub fn open_transaction(&self, begin: Begin) -> Result<TransactionStatus, SessionError> {
        self.database().registry().open(self, begin)
    }

    /// What a transaction looks like. Never blocks.
    ///
    /// # Errors
    /// `NotFound`, also for another principal's.
    pub fn transaction_status(
        &self,
        key: TransactionKey,
    ) -> Result<TransactionStatus, SessionError> {
        let registry = self.database().registry();
        let entry = registry.find(key, self.principal())?;
        Ok(registry.status_of(&entry))
    }

    /// Waits for the turn in a transaction, in the order of asking. Whoever drops the future leaves
    /// the queue.
    ///
    /// # Errors
    /// `NotFound`, also for another principal's; `PoolExhausted` when
    /// `Limits::transaction_queue_max` wait already.
    pub async fn claim(&self, key: TransactionKey) -> Result<Claim, SessionError> {
        let registry = Arc::clone(self.database().registry());
        let entry = registry.find(key, self.principal())?;
        let max = registry.queue_max;
        let in_turn = InTurn::enter(&entry, max).ok_or(SessionError::TooManyInTurn { max })?;
        let place = Arc::clone(&entry.turn).lock_owned().await;
        Ok(Claim::new(registry, entry, place, in_turn))
    }
}

impl Registry {
    fn open(
        self: &Arc<Self>,
        session: &Session,
        mut begin: Begin,
    ) -> Result<TransactionStatus, SessionError> {
        let _room = Room::take(self)?;
        let begun_at = self.now();
        let life = Duration::from_millis(self.life_ms.load(SeqCst));
        let life = begin
            .deadline
            .map_or(life, |at| life.min(at.saturating_sub(begun_at)));
        begin.deadline = Some(begun_at + life);
        let mut txn = session.begin(begin)?;
        txn.keep_places();
        let entry = Arc::new(self.entry(session.principal(), txn, begun_at, life));
        self.entries.lock().insert(entry.key, Arc::clone(&entry));
        // It counts as open from here on by itself.
        self.open.fetch_add(1, SeqCst);
        self.counters.opened.add(1);
        Ok(self.status_of(&entry))
    }

    fn entry(
        &self,
        principal: Principal,
        txn: Transaction,
        begun_at: Duration,
        life: Duration,
    ) -> Entry {
        Entry {
            key: TransactionKey::random(&**self.env.rng()),
            principal,
            isolation: txn.isolation(),
            read_only: txn.read_only(),
            snapshot: txn.snapshot_seq(),
            begun_at,
            life,
            turn: Arc::new(tokio::sync::Mutex::new(Place::Open(Box::new(txn)))),
            shown: Mutex::new(Shown {
                state: TransactionState::Active,
                writes: 0,
                used_at: self.now(),
                ended_at: None,
            }),
            in_turn: AtomicUsize::new(0),
        }
    }

    fn find(&self, key: TransactionKey, principal: Principal) -> Result<Arc<Entry>, SessionError> {
        let entries = self.entries.lock();
        let entry = entries.get(&key).filter(|e| e.principal == principal);
        entry.cloned().ok_or(SessionError::NoSuchTransaction)
    }

    fn status_of(&self, entry: &Entry) -> TransactionStatus {
        let shown = *entry.shown.lock();
        let left = match shown.state {
            TransactionState::Active => entry.ends_at(self.idle()).saturating_sub(self.now()),
            _ => Duration::ZERO,
        };
        TransactionStatus {
            key: entry.key,
            state: shown.state,
            isolation: entry.isolation,
            read_only: entry.read_only,
            snapshot: entry.snapshot,
            writes: shown.writes,
            left,
        }
    }

    /// Changes how long a transaction may be unused, and how long one that begins from now on may be
    /// open.
    pub(crate) fn set_timeouts(&self, idle: Duration, life: Duration) {
        self.idle_ms.store(millis(idle), SeqCst);
        self.life_ms.store(millis(life), SeqCst);
    }

    pub(crate) fn stats(&self) -> RegistryStats {
        RegistryStats {
            open: self.open.load(SeqCst) as u64,
            opened: self.counters.opened.get(),
            committed: self.counters.committed.get(),
            rolled_back: self.counters.rolled_back.get(),
            failed: self.counters.failed.get(),
            expired: self.counters.expired.get(),
        }
    }

    /// Counts an end.
    fn ended(&self, ending: Ending) {
        self.open.fetch_sub(1, SeqCst);
        let counter = match ending {
            Ending::Committed(_) => &self.counters.committed,
            Ending::RolledBack => &self.counters.rolled_back,
            Ending::Failed { .. } => &self.counters.failed,
            Ending::Expired => &self.counters.expired,
        };
        counter.add(1);
    }

    fn now(&self) -> Duration {
        self.env.clock().monotonic()
    }

    fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.load(SeqCst))
    }
}

/// Room for one more open transaction, while it is being begun.
struct Room<'a>(&'a Registry);

impl<'a> Room<'a> {
    fn take(registry: &'a Registry) -> Result<Self, SessionError> {
        let max = registry.open_max;
        let room = Self(registry);
        if registry.open.fetch_add(1, SeqCst) < max {
            Ok(room)
        } else {
            Err(SessionError::TooManyTransactions { max })
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
