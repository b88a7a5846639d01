//! A store over a memory engine, with or without a log.

use std::path::Path;
use std::sync::Arc;

use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_txn::{Committed, DurableHook, Store, TxnError};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Limits, OwnerId, RecordBuilder, Space, ValueKind,
    WriteBatch, WriteBatchBuilder,
};

pub(crate) fn open(env: &Env, dir: Option<&Path>) -> Result<Store, TxnError> {
    let options = LogOptions {
        segment_bytes: 1 << 20,
        ..LogOptions::default()
    };
    open_with(env, dir, options)
}

/// Small segments, and nothing kept aside for a full disk.
pub(crate) fn open_tight(env: &Env, dir: &Path) -> Result<Store, TxnError> {
    let options = LogOptions {
        segment_bytes: 16 << 10,
        reserve_bytes: 0,
        min_free_bytes: 0,
        ..LogOptions::default()
    };
    open_with(env, Some(dir), options)
}

fn open_with(env: &Env, dir: Option<&Path>, options: LogOptions) -> Result<Store, TxnError> {
    let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
    let hook = DurableHook::default();
    let options = LogOptions {
        on_durable: Some(hook.callback()),
        ..options
    };
    let log = dir.map(|dir| Log::open(env, dir, options)).transpose()?;
    let log = log.map(|opened| opened.log);
    Store::open(env, engine, log, &hook, Limits::default())
}

/// In memory, with other limits.
pub(crate) fn open_limited(env: &Env, limits: Limits) -> Result<Store, TxnError> {
    let engine = Arc::new(MemoryEngine::new(env, MemoryOptions::default()));
    Store::open(env, engine, None, &DurableHook::default(), limits)
}

pub(crate) fn key(n: u64) -> Vec<u8> {
    EncodedKey::new(
        DatabaseId::DEFAULT,
        Space::Kv,
        OwnerId::new(1),
        &n.to_be_bytes(),
    )
    .unwrap()
    .into_bytes()
}

pub(crate) fn batch(pairs: &[(u64, u64)]) -> WriteBatch {
    let mut batch = WriteBatchBuilder::default();
    for (k, v) in pairs {
        batch
            .put_with(&key(*k), |out| {
                RecordBuilder::new(ValueKind::Bytes).write(&v.to_le_bytes(), out)
            })
            .unwrap();
    }
    batch.finish()
}

pub(crate) fn commit(
    store: &Store,
    pairs: &[(u64, u64)],
    durability: Durability,
) -> Result<Committed, TxnError> {
    let batch = batch(pairs);
    store.admit(batch.as_bytes().len() as u64)?;
    let keys: Vec<_> = pairs.iter().map(|(k, _)| key(*k)).collect();
    let latched = store.latch_many(keys.iter().map(Vec::as_slice));
    let pending = store.start(&latched, batch, durability)?;
    drop(latched);
    store.finish(pending)
}

pub(crate) fn read(store: &Store, k: u64) -> Option<u64> {
    let engine = store.engine();
    let record = engine.get(&engine.snapshot(), &key(k)).unwrap()?;
    Some(u64::from_le_bytes(
        record.view().payload().try_into().unwrap(),
    ))
}
