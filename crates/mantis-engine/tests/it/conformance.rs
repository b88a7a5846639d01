//! The conformance suite over the memory engine and over the LSM engine in three settings.

use std::path::Path;
use std::sync::Arc;

use mantis_engine::{Engine, LsmEngine, LsmOptions, MemoryBudget, MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_testkit::engine_conformance;

fn memory(_dir: &Path) -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::new(&Env::real(), MemoryOptions::default()))
}

/// The settings that ship.
fn lsm(dir: &Path) -> Arc<dyn Engine> {
    let options = LsmOptions::default();
    Arc::new(LsmEngine::open(&Env::real(), dir, options).expect("an engine opens"))
}

/// Memtables that are full after a few hundred commits, so that everything happens all the time.
fn lsm_small(dir: &Path) -> Arc<dyn Engine> {
    let budget = MemoryBudget {
        memtable_bytes: 64 << 10,
        memtables_bytes_max: 4 << 20,
        block_cache_bytes: 1 << 20,
        row_cache_bytes: 1 << 20,
    };
    let options = LsmOptions {
        pinned_memory_bytes_max: 1 << 30,
        ..LsmOptions::with_budget(budget)
    };
    Arc::new(LsmEngine::open(&Env::real(), dir, options).expect("an engine opens"))
}

/// Nothing runs by itself: flushes and compactions happen in the callers' threads.
fn lsm_by_hand(dir: &Path) -> Arc<dyn Engine> {
    let options = LsmOptions {
        background: false,
        // Writers are not held back, so a snapshot may hold many memtables.
        pinned_memory_bytes_max: 1 << 30,
        ..LsmOptions::with_memory(8 << 20)
    };
    Arc::new(LsmEngine::open(&Env::real(), dir, options).expect("an engine opens"))
}

engine_conformance!(
    memory_engine,
    mantis_testkit::conformance::Factory {
        open: super::memory,
        durable: false
    }
);
engine_conformance!(
    lsm_engine,
    mantis_testkit::conformance::Factory {
        open: super::lsm,
        durable: true
    }
);
engine_conformance!(
    lsm_engine_small,
    mantis_testkit::conformance::Factory {
        open: super::lsm_small,
        durable: true
    }
);
engine_conformance!(
    lsm_engine_by_hand,
    mantis_testkit::conformance::Factory {
        open: super::lsm_by_hand,
        durable: true
    }
);
