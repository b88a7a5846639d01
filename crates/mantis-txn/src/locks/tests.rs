//! The lock table: one call after the other, with threads, against a naive graph, and as a model
//! whose schedules are drawn.

mod graph;
mod model;
mod steps;
mod threads;

use std::time::Duration;

use mantis_env::Env;
use mantis_types::Limits;

use super::{LockRequest, Requested, RowLocks};
use crate::txn_id::TxnId;

/// Longer than any of these tests takes, so that a lost wake-up fails and does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn table() -> RowLocks {
    RowLocks::new(&Env::real(), &Limits::default())
}

fn txn(number: u64) -> TxnId {
    TxnId::new(number)
}

fn take(locks: &RowLocks, who: u64, key: &[u8]) {
    assert_eq!(locks.try_lock(txn(who), key), Ok(true));
}

fn queue(locks: &RowLocks, who: u64, key: &[u8]) -> LockRequest {
    match locks.request(txn(who), key).unwrap() {
        Requested::Queued(request) => request,
        Requested::Granted => panic!("the lock was free"),
    }
}

fn give(locks: &RowLocks, who: u64, keys: &[&[u8]]) {
    locks.release(txn(who), keys.iter().copied());
}
