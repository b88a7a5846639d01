//! Doors that are broken on purpose, over the real store: the controls of kills amid transactions.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use mantis_txn::LockWait;
use mantis_types::{Durability, Isolation};

use super::{Door, Pair, Refusal, Txn, Wish};

/// In which way it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After some commits it writes a transaction in two parts, and stays for ever between them.
    Split,
    /// After some commits it acknowledges what it throws away.
    Forget,
}

/// So many commits go well, or seem to.
const GOOD_COMMITS: u64 = 40;

/// The broken door.
pub struct Half<D> {
    inner: D,
    fault: Fault,
    commits: AtomicU64,
    on_halt: Box<dyn Fn() + Send + Sync>,
}

impl<D: Door> Half<D> {
    /// Breaks a door; `on_halt` is called when it has come to its halt, or has begun to forget.
    pub fn new(inner: D, fault: Fault, on_halt: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            inner,
            fault,
            commits: AtomicU64::new(0),
            on_halt,
        }
    }

    /// A commit is due; answers whether it is one of the bad ones.
    fn is_bad(&self) -> bool {
        self.commits.fetch_add(1, Ordering::SeqCst) >= GOOD_COMMITS
    }
}

impl<D: std::fmt::Debug> std::fmt::Debug for Half<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Half")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

struct HalfTxn<D: 'static> {
    door: &'static Half<D>,
    inner: Box<dyn Txn>,
    durability: Durability,
    /// What was written, in order; `None` is a removal.
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Savepoints, with how much had been written by then.
    savepoints: Vec<(String, usize)>,
}

impl<D: Door> Door for &'static Half<D> {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        Ok(Box::new(HalfTxn {
            door: self,
            inner: self.inner.begin(wish)?,
            durability: wish.durability,
            writes: Vec::new(),
            savepoints: Vec::new(),
        }))
    }

    fn close(&self) -> Result<(), Refusal> {
        self.inner.close()
    }
}

impl<D: Door> HalfTxn<D> {
    fn writes_several(&self) -> bool {
        let keys: BTreeSet<&[u8]> = self.writes.iter().map(|(key, _)| &**key).collect();
        keys.len() > 1
    }

    /// Commits the last write alone, and stays there.
    fn split(self) -> Result<Option<u64>, Refusal> {
        self.inner.rollback();
        let mut part = self.door.inner.begin(&Wish {
            durability: self.durability,
            ..Wish::at(Isolation::Snapshot)
        })?;
        match self.writes.last() {
            Some((key, Some(value))) => part.put(key, value)?,
            Some((key, None)) => part.delete(key)?,
            None => {}
        }
        part.commit()?;
        (self.door.on_halt)();
        loop {
            thread::park();
        }
    }
}

impl<D: Door> Txn for HalfTxn<D> {
    fn statement(&mut self) -> Result<(), Refusal> {
        self.inner.statement()
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.inner.get(key)
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        self.inner.scan(from, to)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.writes.push((key.to_vec(), Some(value.to_vec())));
        self.inner.put(key, value)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        self.writes.push((key.to_vec(), None));
        self.inner.delete(key)
    }

    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        self.inner.get_for_update(key, wait)
    }

    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.inner.try_lock(key)
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Refusal> {
        self.savepoints.push((name.to_owned(), self.writes.len()));
        self.inner.savepoint(name)
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal> {
        let found = self.savepoints.iter().rfind(|(own, _)| own == name);
        if let Some((_, len)) = found {
            self.writes.truncate(*len);
        }
        self.inner.rollback_to(name)
    }

    fn commit(self: Box<Self>) -> Result<Option<u64>, Refusal> {
        match self.door.fault {
            Fault::Forget if !self.writes.is_empty() && self.door.is_bad() => {
                (self.door.on_halt)();
                Ok(None)
            }
            Fault::Split if self.writes_several() && self.door.is_bad() => self.split(),
            _ => self.inner.commit(),
        }
    }

    fn rollback(self: Box<Self>) {
        self.inner.rollback();
    }
}
