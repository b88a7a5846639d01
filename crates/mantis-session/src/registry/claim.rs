//! The turn of one request in a joinable transaction.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use mantis_kv::Committed;
use mantis_types::{Durability, Seq};
use tokio::sync::OwnedMutexGuard;

use super::entry::{Ending, Entry, InTurn, Place};
use super::{Registry, TransactionStatus};
use crate::transaction::is_final;
use crate::{Command, Reply, SessionError, Transaction};

/// The right to use a transaction for one request; the next one waits until it is dropped. Its calls
/// block, as those of [`Transaction`] do.
#[derive(Debug)]
pub struct Claim {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
    place: OwnedMutexGuard<Place>,
    /// Goes after the turn.
    _in_turn: InTurn,
}

/// How a transaction was ended by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The commit; `None` for a rollback.
    pub committed: Option<Committed>,
    /// The answer of an earlier request, once more.
    pub repeated: bool,
}

impl Claim {
    pub(super) fn new(
        registry: Arc<Registry>,
        entry: Arc<Entry>,
        place: OwnedMutexGuard<Place>,
        in_turn: InTurn,
    ) -> Self {
        let mut claim = Self {
            registry,
            entry,
            place,
            _in_turn: in_turn,
        };
        // Whoever looks for those that nobody uses may not have come by yet.
        let now = claim.registry.now();
        let open = matches!(*claim.place, Place::Open(_));
        if open && now >= claim.entry.ends_at(claim.registry.idle()) {
            claim.end(Ending::Expired);
        }
        claim
    }

    /// What it looks like now.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.registry.status_of(&self.entry)
    }

    /// Executes a command inside the transaction, and waits for rows that others have locked up to
    /// `row_deadline` (a moment in the past: not at all).
    ///
    /// # Errors
    /// `TransactionFinished`; an error that [`is_row_busy`](SessionError::is_row_busy), after which the
    /// command may be tried again; as [`Transaction::execute`]. After `Deadlock` it has failed.
    pub fn execute(
        &mut self,
        command: Command,
        row_deadline: Option<Duration>,
    ) -> Result<Reply, SessionError> {
        self.on_open(row_deadline, |txn| txn.execute(command))
    }

    /// Opens a savepoint.
    ///
    /// # Errors
    /// `TransactionFinished`; as [`Transaction::savepoint`].
    pub fn savepoint(&mut self, name: &str) -> Result<(), SessionError> {
        self.on_open(None, |txn| txn.savepoint(name))
    }

    /// Takes back every change since a savepoint.
    ///
    /// # Errors
    /// `TransactionFinished`; as [`Transaction::rollback_to`].
    pub fn rollback_to(&mut self, name: &str) -> Result<(), SessionError> {
        self.on_open(None, |txn| txn.rollback_to(name))
    }

    /// Forgets a savepoint.
    ///
    /// # Errors
    /// `TransactionFinished`; as [`Transaction::release`].
    pub fn release(&mut self, name: &str) -> Result<(), SessionError> {
        self.on_open(None, |txn| txn.release(name))
    }

    /// Takes the row locks that the commit would have to wait for.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn lock_for_commit(&mut self, row_deadline: Option<Duration>) -> Result<(), SessionError> {
        match &*self.place {
            Place::Open(_) => self.on_open(row_deadline, Transaction::lock_for_commit),
            // The commit that follows tells how it ended.
            Place::Ended(_) => Ok(()),
        }
    }

    /// As [`Transaction::poll_row`].
    #[must_use]
    pub fn poll_row(&self, waker: &Waker) -> bool {
        match &*self.place {
            Place::Open(txn) => txn.poll_row(waker),
            Place::Ended(_) => true,
        }
    }

    /// Commits it; of one that has been committed, or whose commit has failed, the same answer again.
    ///
    /// # Errors
    /// `TransactionFinished` when it was rolled back or has expired; as [`Transaction::commit`].
    pub fn commit(mut self, durability: Option<Durability>) -> Result<Ended, SessionError> {
        let open = std::mem::replace(&mut *self.place, Place::Ended(Ending::RolledBack));
        let txn = match open {
            Place::Open(txn) => txn,
            Place::Ended(ending) => {
                *self.place = Place::Ended(ending);
                return repeated(ending);
            }
        };
        self.note_use(txn.writes());
        let answer = txn.commit(durability);
        let ending = match &answer {
            Ok(committed) => Ending::Committed(*committed),
            Err(error) => failed(error),
        };
        self.end(ending);
        answer.map(|committed| Ended {
            committed: Some(committed),
            repeated: false,
        })
    }

    /// Rolls it back; of one that has been rolled back, has expired or failed, that again.
    ///
    /// # Errors
    /// `TransactionFinished` when it has been committed.
    pub fn rollback(mut self) -> Result<Ended, SessionError> {
        let repeated = match &*self.place {
            Place::Open(_) => false,
            Place::Ended(ending @ Ending::Committed(_)) => {
                return Err(SessionError::Finished {
                    state: ending.state(),
                });
            }
            Place::Ended(_) => true,
        };
        if !repeated {
            self.end(Ending::RolledBack);
        }
        Ok(Ended {
            committed: None,
            repeated,
        })
    }

    /// The newest commit that it sees; `None` when it has ended.
    #[must_use]
    pub fn snapshot_seq(&self) -> Option<Seq> {
        match &*self.place {
            Place::Open(txn) => Some(txn.snapshot_seq()),
            Place::Ended(_) => None,
        }
    }

    fn on_open<T>(
        &mut self,
        row_deadline: Option<Duration>,
        work: impl FnOnce(&mut Transaction) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let txn = match &mut *self.place {
            Place::Open(txn) => txn,
            Place::Ended(ending) => {
                return Err(SessionError::Finished {
                    state: ending.state(),
                });
            }
        };
        txn.set_row_deadline(row_deadline);
        let answer = work(txn);
        let writes = txn.writes();
        self.note_use(writes);
        let Err(error) = answer else {
            return answer;
        };
        if !is_final(&error) {
            return Err(error);
        }
        if error.code() == mantis_types::Code::Deadlock {
            self.end(failed(&error));
            return Err(error);
        }
        // Its own deadline: it was open for too long.
        self.end(Ending::Expired);
        Err(SessionError::Finished {
            state: Ending::Expired.state(),
        })
    }

    fn note_use(&self, writes: usize) {
        let mut shown = self.entry.shown.lock();
        shown.writes = writes;
        shown.used_at = self.registry.now();
    }

    fn end(&mut self, ending: Ending) {
        let now = self.registry.now();
        self.entry.end(&mut self.place, ending, now);
        self.registry.ended(ending);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whoever gave a row up is not to be given it.
        if let Place::Open(txn) = &mut *self.place {
            txn.stop_waiting();
        }
        // The time of the request is not idle time.
        self.entry.shown.lock().used_at = self.registry.now();
    }
}

fn failed(error: &SessionError) -> Ending {
    Ending::Failed {
        code: error.code(),
        undecided: error.is_undecided(),
    }
}

fn repeated(ending: Ending) -> Result<Ended, SessionError> {
    match ending {
        Ending::Committed(committed) => Ok(Ended {
            committed: Some(committed),
            repeated: true,
        }),
        Ending::Failed { code, undecided } => Err(SessionError::CommitFailed { code, undecided }),
        Ending::RolledBack | Ending::Expired => Err(SessionError::Finished {
            state: ending.state(),
        }),
    }
}
