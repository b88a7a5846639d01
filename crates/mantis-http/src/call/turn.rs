//! Calls that may meet rows which transactions have locked, and calls inside a transaction.
//!
//! Whoever waits for a row must not keep a place that the row's holder needs for its commit. So a call
//! first runs without waiting for rows, in a place like any other's. If a row is locked, a transaction
//! stands in the row's queue without a thread until its turn has come. A write outside of transactions
//! waits in one of a few places of its own; and if those are taken, it tries again after a pause.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use mantis_session::{Batch, Claim, Command, Once, Reply, Session, SessionError, TransactionKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::admission::Terms;
use crate::app::App;
use crate::call::Call;
use crate::failure::{Failure, Outcome};

/// Most calls that wait for rows at once, each on a thread; beyond, they look again and again.
const ROW_WAITERS_MAX: usize = 128;
/// Pauses between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// So much before its deadline a call gives up its row, so that the answer can say what was done.
const MARGIN_MAX: Duration = Duration::from_millis(20);
/// A moment in the past.
const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

/// The places of calls that wait for rows.
pub(crate) fn row_places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROW_WAITERS_MAX))
}

/// What waits for rows: a transaction stands in the queue of the row, and is woken when its turn has
/// come; a write outside of transactions has to wait on a thread, or to look again.
pub(crate) trait InQueue: Send + 'static {
    /// Whether it stands in a queue between two attempts.
    const QUEUES: bool;

    /// Whether the next attempt may succeed; if not, `waker` is woken once it may.
    fn poll_row(&self, waker: &Waker) -> bool;
}

impl InQueue for () {
    const QUEUES: bool = false;

    fn poll_row(&self, _: &Waker) -> bool {
        true
    }
}

impl InQueue for Claim {
    const QUEUES: bool = true;

    fn poll_row(&self, waker: &Waker) -> bool {
        Self::poll_row(self, waker)
    }
}

impl InQueue for Once {
    const QUEUES: bool = true;

    fn poll_row(&self, waker: &Waker) -> bool {
        Self::poll_row(self, waker)
    }
}

impl App {
    /// Executes a command outside of transactions.
    pub(super) async fn execute_alone(
        &self,
        call: &Call,
        session: Session,
        command: Command,
    ) -> Outcome<Reply> {
        if !command.writes() {
            let blocking = move || session.execute(command);
            let ran = self.admission.run(call.terms(false), blocking).await?;
            return ran.map_err(Failure::from);
        }
        if matches!(&command, Command::KvBatch(Batch { atomic: false, .. })) {
            return self.execute_each(call, session, command).await;
        }
        let work = move |_: &mut (), until| session.clone().until(until).execute(command.clone());
        let ((), reply) = self.on_rows(call, true, (), work).await?;
        Ok(reply)
    }

    /// A batch whose operations are commits of their own cannot be tried twice: while any row is
    /// locked it takes a place of those who wait, and waits there.
    async fn execute_each(
        &self,
        call: &Call,
        session: Session,
        command: Command,
    ) -> Outcome<Reply> {
        let until = self.row_deadline(call);
        let work = move || session.until(until).execute(command);
        let ran = if self.database.status().transactions.locks.held == 0 {
            self.admission.run(call.terms(true), work).await?
        } else {
            let places = Arc::clone(&self.row_places);
            let place = tokio::time::timeout_at(call.deadline, places.acquire_owned()).await;
            let Ok(Ok(place)) = place else {
                return Err(call.terms(false).late());
            };
            self.in_row_place(call.terms(true), place, work).await?
        };
        ran.map_err(Failure::from)
    }

    /// Waits for the turn in a transaction.
    ///
    /// # Errors
    /// 404 for one that this caller has not; 408 at the deadline.
    pub(crate) async fn claim(&self, call: &Call, key: TransactionKey) -> Outcome<Claim> {
        let session = self.session(call);
        let turn = tokio::time::timeout_at(call.deadline, session.claim(key)).await;
        let claim = turn.map_err(|_| call.terms(false).late())?;
        claim.map_err(Failure::from)
    }

    /// Executes a command inside a transaction.
    pub(super) async fn execute_joined(
        &self,
        call: &Call,
        key: TransactionKey,
        command: Command,
    ) -> Outcome<Reply> {
        let claim = self.claim(call, key).await?;
        // What is not committed cannot be in doubt: a late write is not reported as one.
        let work = move |claim: &mut Claim, until| claim.execute(command.clone(), until);
        let (claim, reply) = self.on_rows(call, false, claim, work).await?;
        drop(claim);
        Ok(reply)
    }

    /// Runs `work` until no locked row is in its way, at the latest to the call's deadline. It is told
    /// up to which moment of the environment's monotonic clock it may wait for rows, and when it
    /// answers that it did not get one, it must have done nothing.
    ///
    /// # Errors
    /// What `work` answers; 408 at the deadline; what admission refuses.
    pub(crate) async fn on_rows<S, T, W>(
        &self,
        call: &Call,
        writes: bool,
        state: S,
        work: W,
    ) -> Outcome<(S, T)>
    where
        S: InQueue,
        T: Send + 'static,
        W: Fn(&mut S, Option<Duration>) -> Result<T, SessionError> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let attempt = |mut state: S, until| {
            let work = Arc::clone(&work);
            move || {
                let done = work(&mut state, until);
                (state, done)
            }
        };
        let mut state = state;
        let mut pause = PAUSE_MIN;
        loop {
            let terms = call.terms(writes);
            let once = attempt(state, NOT_AT_ALL);
            let (back, done) = self.admission.run(terms, once).await?;
            match done {
                Err(error) if error.is_row_busy() => state = back,
                done => return done.map(|done| (back, done)).map_err(Failure::from),
            }
            if Instant::now() + MARGIN_MAX >= call.deadline {
                return Err(call.terms(false).late());
            }
            if S::QUEUES {
                let row = poll_fn(|context| match state.poll_row(context.waker()) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                });
                drop(tokio::time::timeout_at(call.deadline - MARGIN_MAX, row).await);
                continue;
            }
            if let Ok(place) = Arc::clone(&self.row_places).try_acquire_owned() {
                let patient = attempt(state, self.row_deadline(call));
                let (back, done) = self.in_row_place(terms, place, patient).await?;
                return match done {
                    Err(error) if error.is_row_busy() => Err(call.terms(false).late()),
                    done => done.map(|done| (back, done)).map_err(Failure::from),
                };
            }
            let until = (Instant::now() + pause).min(call.deadline);
            tokio::time::sleep_until(until).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Runs a call that may wait for rows.
    async fn in_row_place<T: Send + 'static>(
        &self,
        terms: Terms,
        place: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let placed = move || {
            let done = work();
            drop(place);
            done
        };
        self.admission.run_beside(terms, placed).await
    }

    /// The moment at which a call gives up a row, by the environment's monotonic clock.
    fn row_deadline(&self, call: &Call) -> Option<Duration> {
        let left = call.deadline.saturating_duration_since(Instant::now());
        let margin = MARGIN_MAX.min(left / 4);
        Some(self.monotonic() + left - margin)
    }
}
