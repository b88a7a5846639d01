//! Requests that take effect once: the receipt of the first one stands in the same commit as its
//! effect, and whoever comes again finds it.

use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use mantis_kv::{Committed, KvError};
use mantis_txn::meta::{self, RECEIPTS};
use mantis_txn::{Begin, LockWait};
use mantis_types::{
    CodecError, DatabaseId, Durability, EncodedKey, Isolation, RecordBuilder, Seq, ValueKind,
    WriteBatch, WriteBatchBuilder,
};

use crate::{Command, Principal, Reply, Session, SessionError, Transaction};

/// A request under a key, before it has taken effect: a transaction that has the key's row. Dropping it
/// leaves nothing behind, so that the next one with this key is the first.
#[derive(Debug)]
pub struct Once {
    txn: Transaction,
    key: EncodedKey,
}

/// What the first request has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its commit.
    pub seq: Seq,
    /// What that has survived by now.
    pub durability: Durability,
    /// What it was to leave.
    pub bytes: Bytes,
}

impl Session {
    /// Begins a request under a key, which is this principal's own. Nothing is looked up yet.
    ///
    /// # Errors
    /// As [`Session::begin`]; `TooLarge` for a key over the key limit.
    pub fn once(&self, key: &[u8]) -> Result<Once, SessionError> {
        let mut whole = vec![match self.principal() {
            Principal::Owner => 1,
            Principal::Admin => 2,
            Principal::Anonymous => 3,
        }];
        whole.extend_from_slice(key);
        let key = meta::meta_key(DatabaseId::DEFAULT, RECEIPTS, &whole).map_err(KvError::from)?;
        let mut txn = self.begin(Begin::at(Isolation::ReadCommitted))?;
        txn.lock_first();
        txn.keep_places();
        Ok(Once { txn, key })
    }
}

impl Once {
    /// Waits for whoever has the key, up to `row_deadline` (a moment in the past: not at all); answers
    /// the receipt if it has taken effect. From then on nobody else gets the key.
    ///
    /// # Errors
    /// One that [`is_row_busy`](SessionError::is_row_busy) when another request has the key for as long
    /// as that.
    pub fn claim(
        &mut self,
        row_deadline: Option<Duration>,
    ) -> Result<Option<Receipt>, SessionError> {
        self.txn.set_row_deadline(row_deadline);
        let txn = self.txn.raw();
        let found = txn.get_for_update(self.key.as_bytes(), LockWait::Wait)?;
        let now_ms = txn.store().env().clock().now_ms();
        let live = found.filter(|record| !record.view().expired(now_ms));
        Ok(live.map(|record| Receipt {
            seq: record.seq(),
            durability: self.txn.raw().store().class_of(record.seq()),
            bytes: record.payload_bytes(),
        }))
    }

    /// As [`Transaction::poll_row`].
    #[must_use]
    pub fn poll_row(&self, waker: &Waker) -> bool {
        self.txn.poll_row(waker)
    }

    /// Executes a command as part of it, as if it were alone: an atomic batch sees one moment, and an
    /// increment answers the value that it leaves behind. When it must wait longer than it may, it has
    /// done nothing.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn execute(
        &mut self,
        command: Command,
        row_deadline: Option<Duration>,
    ) -> Result<Reply, SessionError> {
        self.txn.set_row_deadline(row_deadline);
        self.txn.execute(command)
    }

    /// Commits it with its receipt, which is kept for `keep`.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit(
        mut self,
        receipt: &[u8],
        keep: Duration,
        durability: Durability,
    ) -> Result<Committed, SessionError> {
        let batch = self.receipt(receipt, keep).map_err(KvError::from)?;
        self.txn.raw().apply(&batch)?;
        self.txn.commit(Some(durability))
    }

    fn receipt(&mut self, receipt: &[u8], keep: Duration) -> Result<WriteBatch, CodecError> {
        let now_ms = self.txn.raw().store().env().clock().now_ms();
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(keep_ms.max(1));
        let mut batch = WriteBatchBuilder::default();
        batch.put_with(self.key.as_bytes(), |out| {
            let record = RecordBuilder::new(ValueKind::Meta);
            record
                .expiry_ms(Some(until_ms))
                .modified_ms(now_ms)
                .write(receipt, out)
        })?;
        let entry = meta::expiry_key(DatabaseId::DEFAULT, until_ms, self.key.as_bytes())?;
        meta::put_meta(&mut batch, &entry, &[])?;
        Ok(batch.finish())
    }
}
