//! A store that is right because it is simple: all versions in one map under one lock. It shows what
//! the levels mean, and with one of its bugs it is the control of whoever claims to find such bugs.

mod state;

use std::sync::Arc;

use mantis_env::Env;
use mantis_txn::LockWait;
use mantis_types::{Code, Isolation};
use parking_lot::{Condvar, Mutex};

use super::{Door, Pair, Refusal, Txn, Wish, refused};
use state::{Asked, Changes, State};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nobody looks whether a written key has changed since the snapshot.
    NoWriteCheck,
    /// Nobody looks whether a key that was read has changed.
    NoReadCheck,
    /// Nobody looks whether keys came into a range that was read.
    NoRangeCheck,
    /// Row locks are never taken.
    NoLocks,
    /// A transaction's reads find what others have not committed.
    DirtyReads,
    /// Each read of a transaction has a snapshot of its own.
    TornReads,
    /// A commit of several keys becomes visible in two parts.
    SplitCommits,
    /// Some commits are acknowledged and not done.
    LostCommits,
    /// Some rollbacks leave what was written.
    LeakyRollbacks,
    /// Snapshots are as of some commits ago.
    StaleSnapshots,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 10] = [
        Self::NoWriteCheck,
        Self::NoReadCheck,
        Self::NoRangeCheck,
        Self::NoLocks,
        Self::DirtyReads,
        Self::TornReads,
        Self::SplitCommits,
        Self::LostCommits,
        Self::LeakyRollbacks,
        Self::StaleSnapshots,
    ];
}

/// One in so many commits or rollbacks is bad, where not all are.
const BAD_ONE_IN: u64 = 40;
/// A stale snapshot is that many commits behind.
const STALE_BY: u64 = 3;

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Naive {
    shared: Arc<Shared>,
    bug: Option<Bug>,
}

#[derive(Debug)]
struct Shared {
    env: Env,
    /// Guards everything; held for one operation.
    state: Mutex<State>,
    /// Rung when a transaction ends.
    ended: Condvar,
}

impl Naive {
    /// An empty store, with a bug or without.
    #[must_use]
    pub fn new(env: &Env, bug: Option<Bug>) -> Self {
        let shared = Shared {
            env: env.clone(),
            state: Mutex::default(),
            ended: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            bug,
        }
    }
}

impl Door for Naive {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        let mut state = self.shared.state.lock();
        let id = state.new_id();
        let stale = if self.bug == Some(Bug::StaleSnapshots) {
            STALE_BY
        } else {
            0
        };
        let now = self.shared.env.clock().monotonic();
        Ok(Box::new(NaiveTxn {
            store: self.clone(),
            id,
            wish: *wish,
            deadline: wish.span.map(|span| now + span),
            snapshot: state.last().saturating_sub(stale),
            changes: Changes::new(),
            savepoints: Vec::new(),
            keys_read: Vec::new(),
            ranges_read: Vec::new(),
        }))
    }
}

struct NaiveTxn {
    store: Naive,
    id: u64,
    wish: Wish,
    deadline: Option<std::time::Duration>,
    snapshot: u64,
    changes: Changes,
    savepoints: Vec<(String, Changes)>,
    keys_read: Vec<Vec<u8>>,
    ranges_read: Vec<(Vec<u8>, Vec<u8>)>,
}

impl NaiveTxn {
    fn has(&self, bug: Bug) -> bool {
        self.store.bug == Some(bug)
    }

    fn is_read_committed(&self) -> bool {
        self.wish.isolation == Isolation::ReadCommitted
    }

    fn check_time(&self) -> Result<(), Refusal> {
        let now = self.store.shared.env.clock().monotonic();
        match self.deadline {
            Some(deadline) if now >= deadline => Err(refused(Code::DeadlineExceeded)),
            _ => Ok(()),
        }
    }

    fn seen_at(&self, state: &State) -> u64 {
        if self.has(Bug::TornReads) {
            state.last()
        } else {
            self.snapshot
        }
    }

    fn change(&mut self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), Refusal> {
        self.check_time()?;
        if self.wish.read_only {
            return Err(refused(Code::InvalidRequest));
        }
        if self.is_read_committed() {
            self.lock(key)?;
        }
        if self.has(Bug::DirtyReads) {
            let mut state = self.store.shared.state.lock();
            state.expose(self.id, key, value.clone());
        }
        self.changes.insert(key.to_vec(), value);
        Ok(())
    }

    /// Waits for the lock of a row, up to the deadline.
    fn lock(&self, key: &[u8]) -> Result<(), Refusal> {
        if self.has(Bug::NoLocks) {
            return Ok(());
        }
        let shared = &self.store.shared;
        let mut state = shared.state.lock();
        loop {
            match state.ask(self.id, key) {
                Asked::Granted => return Ok(()),
                Asked::Circle => return Err(refused(Code::Deadlock)),
                Asked::Wait => {}
            }
            let now = shared.env.clock().monotonic();
            let left = self.deadline.map(|deadline| deadline.saturating_sub(now));
            let timed_out = match left {
                None => {
                    shared.ended.wait(&mut state);
                    false
                }
                Some(left) => shared.ended.wait_for(&mut state, left).timed_out(),
            };
            if timed_out {
                state.ask_no_more(self.id);
                return Err(refused(Code::DeadlineExceeded));
            }
        }
    }

    /// Whether others have committed what this transaction must not have missed.
    fn conflicts(&self, state: &State) -> bool {
        let level = self.wish.isolation;
        let newer = |key: &Vec<u8>| state.newest(key) > self.snapshot;
        let written = self.changes.keys().any(newer);
        let read = self.keys_read.iter().any(newer);
        let mut ranges = self.ranges_read.iter();
        let range_read = ranges.any(|(from, to)| state.newest_in(from, to) > self.snapshot);
        let locked = self
            .changes
            .keys()
            .any(|key| state.is_locked_by_another(self.id, key));
        let one_snapshot = level != Isolation::ReadCommitted;
        let serial = level == Isolation::Serializable;
        (one_snapshot && (written || locked) && !self.has(Bug::NoWriteCheck))
            || (serial && read && !self.has(Bug::NoReadCheck))
            || (serial && range_read && !self.has(Bug::NoRangeCheck))
    }

    fn apply(&mut self) -> u64 {
        let changes = std::mem::take(&mut self.changes);
        let shared = &self.store.shared;
        if self.store.bug == Some(Bug::SplitCommits) && changes.len() > 1 {
            let half = changes.len() / 2;
            let (first, second): (Vec<_>, Vec<_>) = changes
                .into_iter()
                .enumerate()
                .partition(|(place, _)| *place < half);
            for part in [first, second] {
                let part = part.into_iter().map(|(_, change)| change);
                shared.state.lock().commit(part);
                std::thread::yield_now();
            }
            return shared.state.lock().last();
        }
        shared.state.lock().commit(changes)
    }
}

impl Txn for NaiveTxn {
    fn statement(&mut self) -> Result<(), Refusal> {
        self.check_time()?;
        if self.is_read_committed() {
            self.snapshot = self.store.shared.state.lock().last();
        }
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.check_time()?;
        if let Some(own) = self.changes.get(key) {
            return Ok(own.clone());
        }
        self.keys_read.push(key.to_vec());
        let state = self.store.shared.state.lock();
        if self.has(Bug::DirtyReads)
            && let Some(exposed) = state.exposed(key)
        {
            return Ok(exposed);
        }
        Ok(state.read(key, self.seen_at(&state)))
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        self.check_time()?;
        self.ranges_read.push((from.to_vec(), to.to_vec()));
        let state = self.store.shared.state.lock();
        let mut rows = state.range(from, to, self.seen_at(&state));
        for (key, own) in self.changes.range(from.to_vec()..to.to_vec()) {
            match own {
                Some(value) => drop(rows.insert(key.clone(), value.clone())),
                None => drop(rows.remove(key)),
            }
        }
        Ok(rows.into_iter().collect())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.change(key, Some(value.to_vec()))
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        self.change(key, None)
    }

    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        self.check_time()?;
        match wait {
            LockWait::Wait => self.lock(key)?,
            LockWait::NoWait => {
                if !self.try_lock(key)? {
                    return Err(refused(Code::SerializationFailure));
                }
            }
        }
        let state = self.store.shared.state.lock();
        if state.newest(key) > self.snapshot && !self.has(Bug::NoLocks) {
            if !self.is_read_committed() {
                return Err(refused(Code::SerializationFailure));
            }
            self.snapshot = state.last();
        }
        drop(state);
        self.get(key)
    }

    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.check_time()?;
        let mut state = self.store.shared.state.lock();
        let granted = self.has(Bug::NoLocks) || state.try_lock(self.id, key);
        Ok(granted)
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Refusal> {
        self.savepoints
            .push((name.to_owned(), self.changes.clone()));
        Ok(())
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal> {
        let place = self.savepoints.iter().rposition(|(own, _)| own == name);
        let place = place.ok_or_else(|| refused(Code::InvalidRequest))?;
        self.savepoints.truncate(place + 1);
        if let Some((_, changes)) = self.savepoints.last() {
            self.changes.clone_from(changes);
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<Option<u64>, Refusal> {
        self.check_time()?;
        if self.changes.is_empty() {
            return Ok(Some(self.snapshot));
        }
        let lost = self.has(Bug::LostCommits) && self.id.is_multiple_of(BAD_ONE_IN);
        let shared = Arc::clone(&self.store.shared);
        let mut state = shared.state.lock();
        if self.conflicts(&state) {
            return Err(refused(Code::SerializationFailure));
        }
        if lost {
            return Ok(Some(state.last()));
        }
        if self.has(Bug::SplitCommits) {
            drop(state);
            return Ok(Some(self.apply()));
        }
        Ok(Some(state.commit(std::mem::take(&mut self.changes))))
    }

    fn rollback(mut self: Box<Self>) {
        if self.has(Bug::LeakyRollbacks) && self.id.is_multiple_of(BAD_ONE_IN / 4) {
            self.apply();
        }
    }
}

impl Drop for NaiveTxn {
    fn drop(&mut self) {
        self.store.shared.state.lock().end(self.id);
        self.store.shared.ended.notify_all();
    }
}
