//! `cargo bench -p mantis-txn`: what a transaction costs, and what one costs the commits beside it,
//! over an engine in memory, without a log.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_txn::{Begin, DurableHook, Store, Transaction};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Isolation, Limits, OwnerId, RecordBuilder, Space,
    ValueKind, WriteBatchBuilder,
};

const KEYS: u64 = 100_000;
const VALUE: [u8; 128] = [7; 128];
const LEVELS: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

fn key(number: u64) -> EncodedKey {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let bytes = [spread.to_be_bytes(), number.to_be_bytes()].concat();
    let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), &bytes);
    key.expect("it is short")
}

fn put(store: &Store, number: u64) {
    let mut batch = WriteBatchBuilder::with_capacity(192);
    let record = RecordBuilder::new(ValueKind::Bytes);
    let put = batch.put_with(key(number).as_bytes(), |out| record.write(&VALUE, out));
    put.expect("it is short");
    store.admit(batch.len() as u64).expect("there is room");
    let batch = batch.finish();
    let keys = batch.entries().map(|entry| entry.key());
    let latched = store.latch_free(&keys, None).expect("no row is locked");
    let pending = store.start(&latched, batch, Durability::None);
    let pending = pending.expect("there is room");
    drop(latched);
    store.finish(pending).expect("there is no log");
}

fn filled() -> Store {
    let env = Env::real();
    let engine = Arc::new(MemoryEngine::new(&env, MemoryOptions::default()));
    let hook = DurableHook::default();
    let store = Store::open(&env, engine, None, &hook, Limits::default());
    let store = store.expect("memory does no I/O");
    (0..KEYS).for_each(|number| put(&store, number));
    store
}

fn begin(store: &Store, isolation: Isolation) -> Transaction {
    store.begin(Begin::at(isolation)).expect("it is open")
}

fn numbers() -> impl FnMut() -> u64 {
    let mut number = 0;
    move || {
        number = (number + 7919) % KEYS;
        number
    }
}

fn transactions(criterion: &mut Criterion) {
    let store = filled();
    let mut record = Vec::new();
    let builder = RecordBuilder::new(ValueKind::Bytes);
    builder.write(&VALUE, &mut record).expect("it is short");
    for level in LEVELS {
        let mut group = criterion.benchmark_group(level.as_str());
        group.bench_function("begin, commit", |bencher| {
            bencher.iter(|| begin(&store, level).commit().expect("nothing to write"));
        });
        group.bench_function("get", |bencher| {
            let (mut txn, mut next) = (begin(&store, level), numbers());
            bencher.iter(|| black_box(txn.get(key(next()).as_bytes()).expect("it is in memory")));
        });
        group.bench_function("begin, one put, commit", |bencher| {
            let mut next = numbers();
            bencher.iter(|| {
                let mut txn = begin(&store, level);
                txn.put(key(next()).as_bytes(), &record).expect("it fits");
                txn.commit().expect("nobody else writes")
            });
        });
    }
}

/// Puts outside of transactions while nobody, or one transaction, lives: what is noted for it.
fn puts_beside(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plain put");
    for (name, level) in [
        ("nobody lives", None),
        ("beside a snapshot transaction", Some(Isolation::Snapshot)),
        ("beside a serializable one", Some(Isolation::Serializable)),
    ] {
        // A new store each: what an earlier transaction has switched on stays on for a second.
        let store = filled();
        let mut next = numbers();
        let mut living = level.map(|level| begin(&store, level));
        let mut age = 0;
        let mut one = || {
            age += 1;
            if age % KEYS == 0 {
                // An old snapshot keeps every version since.
                living = level.map(|level| begin(&store, level));
            }
            put(&store, next());
        };
        group.bench_function(name, |bencher| bencher.iter(&mut one));
        drop(living);
    }
    group.finish();
}

criterion_group!(benches, transactions, puts_beside);
criterion_main!(benches);
