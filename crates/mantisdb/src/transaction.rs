//! A transaction, for asynchronous programs.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mantis_session::{Committed, TxnId};
use mantis_types::Isolation;
use tokio::time::Instant;

use crate::{Error, blocking};

/// Runs a call that blocks.
pub(crate) async fn on_thread<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        // Only a panic can end it, or the runtime's own end.
        Err(_) => Err(blocking::finished()),
    }
}

/// A transaction. Dropping it rolls it back, and so does dropping the future of a call before it is
/// done: whether the call has happened would be unknown.
///
/// What is said about errors of [`blocking::Transaction`] holds here.
#[derive(Debug)]
pub struct Transaction {
    /// `None` while a call runs, and once a future was dropped.
    tx: Option<blocking::Transaction>,
    id: TxnId,
    level: Isolation,
    snapshot: u64,
}

impl Transaction {
    pub(crate) const fn new(mut tx: blocking::Transaction) -> Self {
        tx.keep_places();
        Self {
            id: tx.id(),
            level: tx.isolation_level(),
            snapshot: tx.snapshot_timestamp(),
            tx: Some(tx),
        }
    }

    /// Its number, which no other transaction of this process has.
    #[must_use]
    pub const fn id(&self) -> TxnId {
        self.id
    }

    /// The newest commit that it sees; with `ReadCommitted` that of its last call.
    #[must_use]
    pub const fn snapshot_timestamp(&self) -> u64 {
        self.snapshot
    }

    /// Its level.
    #[must_use]
    pub const fn isolation_level(&self) -> Isolation {
        self.level
    }

    /// Changes how long calls wait for rows that others have locked, 30 s by default.
    pub const fn set_lock_timeout(&mut self, timeout: Duration) {
        if let Some(tx) = &mut self.tx {
            tx.set_lock_timeout(timeout);
        }
    }

    /// Runs a call without waiting for rows; if one is locked, keeps a place in its queue, waits there
    /// without a thread, and makes the call again.
    async fn call<T, W>(&mut self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Fn(&mut blocking::Transaction) -> Result<T, Error> + Send + Clone + 'static,
    {
        let patience = self.tx.as_ref().map(blocking::Transaction::lock_timeout);
        let patience = patience.ok_or_else(blocking::finished)?;
        let until = Instant::now() + patience;
        loop {
            match self.attempt(work.clone(), Duration::ZERO, patience).await {
                Err(error) if error.is_row_busy() && Instant::now() < until => {}
                done => return self.stop_waiting(done),
            }
            let tx = self.tx.as_ref().ok_or_else(blocking::finished)?;
            let ready = poll_fn(|context| match tx.poll_row(context.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            // At the end of its patience the call is made once more, and says what is wrong.
            drop(tokio::time::timeout_at(until, ready).await);
        }
    }

    /// A row that was given up is not to be given to it.
    fn stop_waiting<T>(&mut self, done: T) -> T {
        if let Some(tx) = &mut self.tx {
            tx.stop_waiting();
        }
        done
    }

    async fn attempt<T, W>(
        &mut self,
        work: W,
        timeout: Duration,
        usual: Duration,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&mut blocking::Transaction) -> Result<T, Error> + Send + 'static,
    {
        let mut tx = self.tx.take().ok_or_else(blocking::finished)?;
        let (tx, answer) = on_thread(move || {
            tx.set_lock_timeout(timeout);
            let answer = work(&mut tx);
            tx.set_lock_timeout(usual);
            Ok((tx, answer))
        })
        .await?;
        self.snapshot = tx.snapshot_timestamp();
        self.tx = Some(tx);
        answer
    }

    /// The value that it sees, its own changes included.
    ///
    /// # Errors
    /// As [`blocking::Transaction::get`].
    pub async fn get(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        let key = key.into();
        self.call(move |tx| tx.get(key.clone())).await
    }

    /// Several values, all from one moment.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn multi_get<K: Into<Bytes>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        let keys: Vec<Bytes> = keys.into_iter().map(Into::into).collect();
        self.call(move |tx| tx.multi_get(keys.clone())).await
    }

    /// The keys from `from` on and below `to`, or without end, with their values in byte order, at
    /// most `limit` of them.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn scan(
        &mut self,
        from: impl Into<Bytes>,
        to: Option<Bytes>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let from = from.into();
        self.call(move |tx| tx.scan(from.clone(), to.clone(), limit))
            .await
    }

    /// Writes a value; a commit makes it visible to others.
    ///
    /// # Errors
    /// As [`blocking::Transaction::put`].
    pub async fn put(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let (key, value) = (key.into(), value.into());
        self.call(move |tx| tx.put(key.clone(), value.clone()))
            .await
    }

    /// Removes a key; answers whether it was there.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn delete(&mut self, key: impl Into<Bytes>) -> Result<bool, Error> {
        let key = key.into();
        self.call(move |tx| tx.delete(key.clone())).await
    }

    /// Adds to an integer: see [`blocking::Transaction::increment`].
    ///
    /// # Errors
    /// As there.
    pub async fn increment(&mut self, key: impl Into<Bytes>, by: i64) -> Result<i64, Error> {
        let key = key.into();
        self.call(move |tx| tx.increment(key.clone(), by)).await
    }

    /// Reads a value and locks its row until the transaction ends.
    ///
    /// # Errors
    /// As [`blocking::Transaction::get_for_update`].
    pub async fn get_for_update(&mut self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        let key = key.into();
        self.call(move |tx| tx.get_for_update(key.clone())).await
    }

    /// Opens a savepoint. A name may be used again: the newest one counts.
    ///
    /// # Errors
    /// As [`blocking::Transaction::savepoint`].
    pub async fn savepoint(&mut self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.call(move |tx| tx.savepoint(&name)).await
    }

    /// Takes back every change since the newest savepoint of this name, which stays open.
    ///
    /// # Errors
    /// `not_found` when there is none; nothing is changed.
    pub async fn rollback_to(&mut self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.call(move |tx| tx.rollback_to(&name)).await
    }

    /// Forgets a savepoint, and those opened after it; their changes stay.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub async fn release(&mut self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.call(move |tx| tx.release(&name)).await
    }

    /// Makes everything durable and visible as one commit. Once it has been called it happens, also
    /// when its future is dropped.
    ///
    /// # Errors
    /// As [`blocking::Transaction::commit`].
    pub async fn commit(mut self) -> Result<Committed, Error> {
        self.call(blocking::Transaction::lock_for_commit).await?;
        let tx = self.tx.take().ok_or_else(blocking::finished)?;
        on_thread(move || tx.commit()).await
    }

    /// Ends it without a trace; the same as dropping it.
    ///
    /// # Errors
    /// `transaction_finished` when it had ended before.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let tx = self.tx.take().ok_or_else(blocking::finished)?;
        on_thread(move || {
            tx.rollback();
            Ok(())
        })
        .await
    }
}
