//! A key-value store in memory, with a clock that the test moves.

use std::sync::Arc;

use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_kv::{Entry, Kv, Put};
use mantis_txn::{DurableHook, Store};
use mantis_types::{Access, Durability, Limits};

pub(crate) const ACCESS: Access = Access::grant();
pub(crate) const CLASS: Durability = Durability::Sync;

pub(crate) struct Fixture {
    pub(crate) env: Env,
    pub(crate) store: Store,
    pub(crate) kv: Kv,
}

pub(crate) fn fixture() -> Fixture {
    with_limits(Limits::default())
}

pub(crate) fn with_limits(limits: Limits) -> Fixture {
    let env = Env::simulated(1);
    let engine = Arc::new(MemoryEngine::new(&env, MemoryOptions::default()));
    let hook = DurableHook::default();
    let store = Store::open(&env, engine, None, &hook, limits).unwrap();
    let kv = Kv::open(store.clone(), 0).unwrap();
    Fixture { env, store, kv }
}

impl Fixture {
    pub(crate) fn put(&self, key: &str, value: &str) -> bool {
        let put = Put::new(key.to_owned(), value.to_owned());
        self.kv.put(ACCESS, put, CLASS).unwrap().created
    }

    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        self.kv.get(ACCESS, key.to_owned().into()).unwrap()
    }

    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.entry(key)
            .map(|e| String::from_utf8(e.value.to_vec()).unwrap())
    }
}
