//! A store without any isolation: what is written is there at once, for all.

use std::collections::BTreeMap;
use std::sync::Arc;

use mantis_testkit::door::{Door, Pair, Refusal, Txn, Wish};
use mantis_txn::LockWait;
use parking_lot::Mutex;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The store.
#[derive(Default)]
pub(super) struct Open {
    /// Guards everything; held for one operation.
    rows: Arc<Mutex<Rows>>,
}

struct OpenTxn {
    rows: Arc<Mutex<Rows>>,
    /// What was there before, oldest first.
    undo: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Door for Open {
    fn begin(&self, _wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        Ok(Box::new(OpenTxn {
            rows: Arc::clone(&self.rows),
            undo: Vec::new(),
        }))
    }
}

impl Txn for OpenTxn {
    fn statement(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(self.rows.lock().get(key).cloned())
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        let rows = self.rows.lock();
        let rows = rows.range(from.to_vec()..to.to_vec());
        Ok(rows
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let before = self.rows.lock().insert(key.to_vec(), value.to_vec());
        self.undo.push((key.to_vec(), before));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let before = self.rows.lock().remove(key);
        self.undo.push((key.to_vec(), before));
        Ok(())
    }

    fn get_for_update(&mut self, key: &[u8], _wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        self.get(key)
    }

    fn try_lock(&mut self, _key: &[u8]) -> Result<bool, Refusal> {
        Ok(true)
    }

    fn savepoint(&mut self, _name: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn rollback_to(&mut self, _name: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<Option<u64>, Refusal> {
        Ok(None)
    }

    fn rollback(self: Box<Self>) {
        let mut rows = self.rows.lock();
        for (key, before) in self.undo.into_iter().rev() {
            match before {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}
