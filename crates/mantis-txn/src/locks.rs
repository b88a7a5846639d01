//! TEMPORARY stand-in
use crate::txn_id::TxnId;
use mantis_env::Env;
use mantis_types::Limits;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// How to wait for a row lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// wait
    Wait,
    /// no
    NoWait,
}
#[derive(Debug)]
pub(crate) enum LockError {
    Deadlock,
    Deadline,
    TooManyLocks { max: usize },
    TooManyWaiters { max: usize },
}
pub(crate) struct RowLocks {
    held: Mutex<HashMap<Vec<u8>, TxnId>>,
}
#[derive(Debug)]
pub(crate) struct LockRequest;
impl LockRequest {
    pub(crate) fn wait(self, _: Option<Duration>) -> Result<(), LockError> {
        Err(LockError::Deadline)
    }
}
pub(crate) enum Requested {
    Granted,
    Queued(LockRequest),
}
impl RowLocks {
    pub(crate) fn new(_: &Env, _: &Limits) -> Self {
        Self {
            held: Mutex::default(),
        }
    }
    pub(crate) fn any(&self) -> bool {
        !self.held.lock().is_empty()
    }
    pub(crate) fn try_lock(&self, who: TxnId, key: &[u8]) -> bool {
        *self.held.lock().entry(key.to_vec()).or_insert(who) == who
    }
    pub(crate) fn request(&self, who: TxnId, key: &[u8]) -> Result<Requested, LockError> {
        if self.try_lock(who, key) {
            Ok(Requested::Granted)
        } else {
            Ok(Requested::Queued(LockRequest))
        }
    }
    pub(crate) fn holder(&self, key: &[u8]) -> Option<TxnId> {
        self.held.lock().get(key).copied()
    }
    pub(crate) fn release<'k>(&self, _: TxnId, keys: impl Iterator<Item = &'k [u8]>) {
        let mut held = self.held.lock();
        for key in keys {
            held.remove(key);
        }
    }
    pub(crate) fn wait_free(&self, key: &[u8], _: Option<Duration>) -> Result<(), LockError> {
        if self.holder(key).is_some() {
            Err(LockError::Deadline)
        } else {
            Ok(())
        }
    }
}
