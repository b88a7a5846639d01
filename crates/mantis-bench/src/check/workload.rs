//! The workloads: small, on one thread, the same in every run.

use std::fmt;

use anyhow::{Result, ensure};
use bytes::Bytes;
use mantis_env::Env;
use mantis_log::{Log, LogOptions, Prepared as Body};
use mantis_types::{Durability, Isolation, Seq};
use mantisdb::{LockFreeStorage, StorageOptions};
use tempfile::TempDir;

use super::count::turn;
use crate::keys::{Dice, Values, scattered};
use crate::run::found;
use crate::store::{Contender, Memory, Store};
use crate::transactions::{How, MantisTxns, Outcome, Transactional, Txn};

/// Turns of one operation of the fixed workload: so many that the call around them is nothing.
pub(super) const FIXED_TURNS: u64 = 1000;
/// Keys that are there before operations are counted.
const KEYS: u64 = 3000;
/// Bytes of a value.
const VALUE: usize = 128;

/// What one operation of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// Turns of a busy loop: what others are compared with, and what one of them costs.
    Fixed,
    LogAppend,
    LogWrite,
    EnginePut,
    EngineGetMemtable,
    EngineGetTables,
    EngineScan,
    CommitNone,
    CommitInterval,
    CommitSync,
    TxnPutSnapshot,
    TxnPutSerializable,
    TxnMixed,
    KvPut,
    KvGet,
    KvPutDelete,
}

/// A workload that can begin: its store is open and loaded.
pub(super) struct Prepared {
    pub(super) operation: Box<dyn FnMut(u64) -> Result<()>>,
    _dir: Option<TempDir>,
}

impl Workload {
    /// Those that the baseline knows.
    pub(super) const ALL: [Self; 15] = [
        Self::LogAppend,
        Self::LogWrite,
        Self::EnginePut,
        Self::EngineGetMemtable,
        Self::EngineGetTables,
        Self::EngineScan,
        Self::CommitNone,
        Self::CommitInterval,
        Self::CommitSync,
        Self::TxnPutSnapshot,
        Self::TxnPutSerializable,
        Self::TxnMixed,
        Self::KvPut,
        Self::KvGet,
        Self::KvPutDelete,
    ];

    pub(super) fn prepare(self) -> Result<Prepared> {
        let dir = tempfile::tempdir()?;
        let operation: Box<dyn FnMut(u64) -> Result<()>> = match self {
            Self::Fixed => Box::new(|_| {
                turn(FIXED_TURNS);
                Ok(())
            }),
            Self::LogAppend => Box::new(append(&dir, false)?),
            Self::LogWrite => Box::new(append(&dir, true)?),
            Self::EnginePut => Box::new(puts(&dir, Contender::Plain)?),
            Self::CommitNone => Box::new(puts(&dir, Contender::NONE)?),
            Self::CommitInterval => Box::new(puts(&dir, Contender::INTERVAL)?),
            Self::CommitSync => Box::new(puts(&dir, Contender::SYNC)?),
            Self::TxnPutSnapshot => Box::new(txn_puts(&dir, Isolation::Snapshot)?),
            Self::TxnPutSerializable => Box::new(txn_puts(&dir, Isolation::Serializable)?),
            Self::TxnMixed => Box::new(txn_mixed(&dir)?),
            Self::EngineGetMemtable => Box::new(gets(&dir, false)?),
            Self::EngineGetTables => Box::new(gets(&dir, true)?),
            Self::EngineScan => Box::new(scans(&dir)?),
            Self::KvPut => Box::new(kv_puts(&dir)?),
            Self::KvGet => Box::new(kv_gets(&dir)?),
            Self::KvPutDelete => Box::new(kv_puts_and_deletes(&dir)?),
        };
        Ok(Prepared {
            operation,
            _dir: Some(dir),
        })
    }

    /// How many operations of it are as good as `count` of an ordinary one: the log's background
    /// writes disturb a cheap one more, and a disk takes its time.
    pub(super) const fn operations(self, count: u64) -> u64 {
        match self {
            Self::LogAppend | Self::LogWrite => count * 10,
            Self::EngineScan => count / 10,
            Self::CommitSync => count / 2,
            _ => count,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::LogAppend => "log append",
            Self::LogWrite => "log write",
            Self::EnginePut => "engine put",
            Self::EngineGetMemtable => "engine get memtable",
            Self::EngineGetTables => "engine get tables",
            Self::EngineScan => "engine scan 100",
            Self::CommitNone => "commit none",
            Self::CommitInterval => "commit interval",
            Self::CommitSync => "commit sync",
            Self::TxnPutSnapshot => "txn put snapshot",
            Self::TxnPutSerializable => "txn put serializable",
            Self::TxnMixed => "txn 2 gets 2 puts",
            Self::KvPut => "kv put",
            Self::KvGet => "kv get",
            Self::KvPutDelete => "kv put and delete",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn append(dir: &TempDir, write: bool) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let log = Log::open(&Env::real(), dir.path(), LogOptions::default())?.log;
    let body = [3; 168];
    Ok(move |number| {
        let seq = Seq::new(number + 1);
        log.admit(body.len() as u64)?;
        log.append(seq, &Body::new(&body))?;
        if write {
            log.write(seq)?;
        }
        Ok(())
    })
}

/// A store of no more memory than the workload needs.
fn store(dir: &TempDir, contender: Contender) -> Result<Box<dyn Store>> {
    let memory = Memory::from_parts(32 << 20, 16 << 20).with_row_cache(0);
    contender.open(dir.path(), &memory)
}

fn loaded(dir: &TempDir, settled: bool) -> Result<Box<dyn Store>> {
    let store = store(dir, Contender::Plain)?;
    let values = Values::new(VALUE);
    (0..KEYS).try_for_each(|n| store.put(&scattered(n), values.of(n)))?;
    if settled {
        store.settle()?;
    }
    Ok(store)
}

fn puts(dir: &TempDir, contender: Contender) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (store, values) = (store(dir, contender)?, Values::new(VALUE));
    Ok(move |number| store.put(&scattered(number), values.of(number)))
}

fn gets(dir: &TempDir, settled: bool) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (store, mut dice) = (loaded(dir, settled)?, Dice::new(0));
    Ok(move |_| found(store.get(&scattered(dice.below(KEYS)))?))
}

fn scans(dir: &TempDir) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (store, mut dice) = (loaded(dir, true)?, Dice::new(0));
    Ok(move |_| found(store.scan(&scattered(dice.below(KEYS)), 100)?))
}

fn txn_puts(dir: &TempDir, isolation: Isolation) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (store, values) = (transactional(dir, isolation)?, Values::new(VALUE));
    Ok(move |number| {
        let mut txn = store.begin()?;
        txn.put(&scattered(KEYS + number), values.of(number))?;
        committed(txn.commit()?)
    })
}

fn txn_mixed(dir: &TempDir) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let store = transactional(dir, Isolation::Serializable)?;
    let (values, mut dice) = (Values::new(VALUE), Dice::new(0));
    Ok(move |number| {
        let mut txn = store.begin()?;
        for _ in 0..2 {
            found(txn.get(&scattered(dice.below(KEYS)))?)?;
        }
        for _ in 0..2 {
            txn.put(&scattered(dice.below(KEYS)), values.of(number))?;
        }
        committed(txn.commit()?)
    })
}

/// A loaded store for transactions of class none.
fn transactional(dir: &TempDir, isolation: Isolation) -> Result<MantisTxns> {
    let memory = Memory::from_parts(32 << 20, 16 << 20).with_row_cache(0);
    let how = How::Txn(isolation);
    let store = MantisTxns::open(dir.path(), &memory, how, Durability::None)?;
    let values = Values::new(VALUE);
    (0..KEYS).try_for_each(|n| Transactional::put(&store, &scattered(n), values.of(n)))?;
    Ok(store)
}

fn committed(outcome: Outcome) -> Result<()> {
    ensure!(outcome == Outcome::Committed, "nobody else writes");
    Ok(())
}

fn storage(dir: &TempDir) -> Result<LockFreeStorage> {
    let options = StorageOptions {
        durability: Durability::None,
        ..StorageOptions::default()
    };
    let storage = LockFreeStorage::open_with(dir.path().join("db"), &options)?;
    let values = Values::new(VALUE);
    for number in 0..KEYS {
        storage.put(key(number), values.of(number).to_vec())?;
    }
    Ok(storage)
}

fn kv_puts(dir: &TempDir) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (storage, values) = (storage(dir)?, Values::new(VALUE));
    Ok(move |number| Ok(storage.put(key(KEYS + number), values.of(number).to_vec())?))
}

fn kv_gets(dir: &TempDir) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (storage, mut dice) = (storage(dir)?, Dice::new(0));
    Ok(move |_| {
        let value = storage.get(key(dice.below(KEYS)))?;
        found(value.map_or(0, |value| value.len()))
    })
}

fn kv_puts_and_deletes(dir: &TempDir) -> Result<impl FnMut(u64) -> Result<()> + use<>> {
    let (storage, values) = (storage(dir)?, Values::new(VALUE));
    Ok(move |number| {
        storage.put(key(KEYS + number), values.of(number).to_vec())?;
        ensure!(storage.delete(key(KEYS + number))?, "it was just put");
        Ok(())
    })
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&scattered(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_does_its_operations() {
        for workload in Workload::ALL {
            let mut prepared = workload.prepare().unwrap();
            for number in 0..20 {
                (prepared.operation)(number).unwrap();
            }
        }
    }
}
