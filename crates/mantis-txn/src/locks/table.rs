//! The state of all row locks: who holds what, and who waits where. No thread and no time in it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::LockError;
use super::threads::Signal;
use crate::txn_id::TxnId;

/// Room that an empty table keeps; what a burst of locks took beyond is given back.
const ROWS_KEPT: usize = 1024;

/// The rows that are locked, and the transactions that hold or wait.
pub(super) struct Table<S> {
    /// A row stands here while it is held or has turns out; queues exist nowhere else.
    rows: HashMap<Arc<[u8]>, Row<S>>,
    txns: HashMap<TxnId, Txn>,
    /// Places in all queues.
    waiting: usize,
    /// Rows that commits outside transactions have a turn at.
    passing: usize,
    next_ticket: u64,
    row_locks_max: usize,
    lock_waiters_max: usize,
}

struct Row<S> {
    owner: Owner,
    /// In the order of their tickets.
    queue: VecDeque<Queued<S>>,
}

#[derive(Clone, Copy)]
enum Owner {
    Txn(TxnId),
    /// So many commits outside transactions have their turn.
    Turns(usize),
}

struct Queued<S> {
    ticket: u64,
    /// `None` for a commit outside transactions.
    who: Option<TxnId>,
    signal: Arc<S>,
}

#[derive(Default)]
struct Txn {
    held: usize,
    /// The one row in whose queue it stands.
    waits_for: Option<Arc<[u8]>>,
}

/// A place in the queue of a row.
pub(super) struct Place<S> {
    pub(super) key: Arc<[u8]>,
    ticket: u64,
    pub(super) signal: Arc<S>,
}

impl<S: Signal> Table<S> {
    pub(super) fn new(row_locks_max: usize, lock_waiters_max: usize) -> Self {
        Self {
            rows: HashMap::new(),
            txns: HashMap::new(),
            waiting: 0,
            passing: 0,
            next_ticket: 0,
            row_locks_max,
            lock_waiters_max,
        }
    }

    /// Rows that are held or have turns out.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Locks that transactions hold.
    pub(super) fn held(&self) -> usize {
        self.rows.len() - self.passing
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn holder(&self, key: &[u8]) -> Option<TxnId> {
        self.rows.get(key).and_then(Row::holder)
    }

    /// Takes the lock if it is free; true when the caller has it then.
    pub(super) fn try_take(&mut self, who: TxnId, key: &[u8]) -> Result<bool, LockError> {
        if let Some(row) = self.rows.get(key) {
            return Ok(row.holder() == Some(who));
        }
        self.check_locks_of(who)?;
        let row = Row {
            owner: Owner::Txn(who),
            queue: VecDeque::new(),
        };
        self.rows.insert(Arc::from(key), row);
        self.txns.entry(who).or_default().held += 1;
        Ok(true)
    }

    /// Takes the lock, and answers nothing, or a place in its queue.
    pub(super) fn request(
        &mut self,
        who: TxnId,
        key: &[u8],
    ) -> Result<Option<Place<S>>, LockError> {
        if self.try_take(who, key)? {
            return Ok(None);
        }
        // Counted as one that it has: when it is handed over, nobody is there to be refused.
        self.check_locks_of(who)?;
        let me = self.txns.get(&who);
        assert!(
            me.is_none_or(|txn| txn.waits_for.is_none()),
            "a transaction waits for one lock at a time"
        );
        // Nobody waits for a transaction that holds nothing.
        if me.is_some() && self.waits_lead_to(who, self.holder(key)) {
            return Err(LockError::Deadlock);
        }
        let place = self.enqueue(Some(who), key)?;
        if let Some(place) = &place {
            self.txns.entry(who).or_default().waits_for = Some(Arc::clone(&place.key));
        }
        Ok(place)
    }

    /// A place in the queue for a commit outside transactions; nothing when no transaction holds the
    /// lock, even if turns are out: joining those would keep the next transaction waiting for ever.
    pub(super) fn request_turn(&mut self, key: &[u8]) -> Result<Option<Place<S>>, LockError> {
        if self.holder(key).is_none() {
            return Ok(None);
        }
        self.enqueue(None, key)
    }

    /// Leaves the queue; false when the place has been served meanwhile.
    pub(super) fn leave(&mut self, place: &Place<S>) -> bool {
        let Some(row) = self.rows.get_mut(&place.key) else {
            return false;
        };
        let Ok(at) = row.queue.binary_search_by_key(&place.ticket, |q| q.ticket) else {
            return false;
        };
        let Some(left) = row.queue.remove(at) else {
            return false;
        };
        self.waiting -= 1;
        if let Some(who) = left.who {
            self.update(who, |txn| txn.waits_for = None);
        }
        true
    }

    /// Gives the lock to the next in its queue; nothing happens when `who` does not hold it.
    pub(super) fn release(&mut self, who: TxnId, key: &[u8], woken: &mut Vec<Arc<S>>) {
        if self.holder(key) != Some(who) {
            return;
        }
        self.update(who, |txn| txn.held -= 1);
        self.hand_on(key, woken);
    }

    /// Ends a turn; after the last one, the next in the queue gets the lock.
    pub(super) fn end_turn(&mut self, key: &[u8], woken: &mut Vec<Arc<S>>) {
        match self.rows.get_mut(key).map(|row| &mut row.owner) {
            Some(Owner::Turns(turns)) if *turns > 1 => *turns -= 1,
            Some(Owner::Turns(_)) => {
                self.passing -= 1;
                self.hand_on(key, woken);
            }
            Some(Owner::Txn(_)) | None => unreachable!("a row keeps its turns until they end"),
        }
    }

    /// Serves the front of the queue: all commits outside transactions that stand there, or else one
    /// transaction. With an empty queue the row goes.
    fn hand_on(&mut self, key: &[u8], woken: &mut Vec<Arc<S>>) {
        let Some(row) = self.rows.get_mut(key) else {
            return;
        };
        let mut turns = 0;
        while let Some(commit) = row.queue.pop_front_if(|q| q.who.is_none()) {
            turns += 1;
            commit.signal.serve();
            woken.push(commit.signal);
        }
        if turns > 0 {
            row.owner = Owner::Turns(turns);
            self.passing += 1;
            self.waiting -= turns;
            return;
        }
        let next = row.queue.pop_front();
        let Some((next, who)) = next.and_then(|next| next.who.map(|who| (next, who))) else {
            self.rows.remove(key);
            if self.rows.is_empty() {
                self.rows.shrink_to(ROWS_KEPT);
                self.txns.shrink_to(ROWS_KEPT);
            }
            return;
        };
        row.owner = Owner::Txn(who);
        self.waiting -= 1;
        self.update(who, |txn| {
            txn.held += 1;
            txn.waits_for = None;
        });
        next.signal.serve();
        woken.push(next.signal);
    }

    /// A place at the end of the queue of a row that stands.
    fn enqueue(&mut self, who: Option<TxnId>, key: &[u8]) -> Result<Option<Place<S>>, LockError> {
        let Some(shared) = self.rows.get_key_value(key).map(|(key, _)| Arc::clone(key)) else {
            return Ok(None);
        };
        let Some(row) = self.rows.get_mut(key) else {
            return Ok(None);
        };
        if row.queue.len() >= self.lock_waiters_max {
            let max = self.lock_waiters_max;
            return Err(LockError::TooManyWaiters { max });
        }
        let place = Place {
            key: shared,
            ticket: self.next_ticket,
            signal: Arc::new(S::default()),
        };
        row.queue.push_back(Queued {
            ticket: place.ticket,
            who,
            signal: Arc::clone(&place.signal),
        });
        self.next_ticket += 1;
        self.waiting += 1;
        Ok(Some(place))
    }

    /// Whether the chain from `holder` on ends at `who`. It ends in any case: all waits so far are
    /// without a cycle, so that it meets each waiting transaction once.
    fn waits_lead_to(&self, who: TxnId, mut holder: Option<TxnId>) -> bool {
        while let Some(at) = holder {
            if at == who {
                return true;
            }
            let waits_for = self.txns.get(&at).and_then(|txn| txn.waits_for.as_ref());
            holder = waits_for.and_then(|key| self.holder(key));
        }
        false
    }

    fn check_locks_of(&self, who: TxnId) -> Result<(), LockError> {
        let max = self.row_locks_max;
        let has = self
            .txns
            .get(&who)
            .map_or(0, |txn| txn.held + usize::from(txn.waits_for.is_some()));
        if has < max {
            Ok(())
        } else {
            Err(LockError::TooManyLocks { max })
        }
    }

    /// Changes what is known of a transaction, and forgets it when it neither holds nor waits.
    fn update(&mut self, who: TxnId, change: impl FnOnce(&mut Txn)) {
        let Some(txn) = self.txns.get_mut(&who) else {
            return;
        };
        change(txn);
        if txn.held == 0 && txn.waits_for.is_none() {
            self.txns.remove(&who);
        }
    }
}

impl<S> Row<S> {
    fn holder(&self) -> Option<TxnId> {
        match self.owner {
            Owner::Txn(who) => Some(who),
            Owner::Turns(_) => None,
        }
    }
}
