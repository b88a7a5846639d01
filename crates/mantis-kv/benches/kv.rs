//! `cargo bench -p mantis-kv`: the calls of the model over an engine in memory, without a log.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_kv::{Batch, BatchOp, Kv, List, Put};
use mantis_txn::{DurableHook, Store};
use mantis_types::{Access, Durability, Limits};

const KEYS: u64 = 100_000;
const CLASS: Durability = Durability::None;

fn key(number: u64) -> Bytes {
    Bytes::from(format!(
        "{:016x}",
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    ))
}

fn put_of(number: u64) -> Put {
    Put::new(key(number), Bytes::from_static(&[7; 128]))
}

fn filled() -> Kv {
    let env = Env::real();
    let engine = Arc::new(MemoryEngine::new(&env, MemoryOptions::default()));
    let hook = DurableHook::default();
    let store = Store::open(&env, engine, None, &hook, Limits::default());
    let kv = Kv::open(store.expect("memory does no I/O"), 0).expect("memory does no I/O");
    for number in 0..KEYS {
        kv.put(Access::grant(), put_of(number), CLASS)
            .expect("there is room");
    }
    kv
}

fn calls(criterion: &mut Criterion) {
    let (kv, access) = (filled(), Access::grant());
    let mut number = 0;
    let mut next = move || {
        number = (number + 7919) % KEYS;
        number
    };
    criterion.bench_function("get", |bencher| {
        bencher.iter(|| black_box(kv.get(access, key(next())).expect("reads do not fail")));
    });
    criterion.bench_function("put over", |bencher| {
        bencher.iter(|| {
            kv.put(access, put_of(next()), CLASS)
                .expect("there is room")
        });
    });
    criterion.bench_function("increment", |bencher| {
        let counter = || Bytes::from_static(b"counter");
        bencher.iter(|| {
            kv.increment(access, counter(), 1, None, CLASS)
                .expect("it is small")
        });
    });
    criterion.bench_function("batch of 100 puts, atomic", |bencher| {
        bencher.iter(|| {
            let ops = (0..100).map(|_| BatchOp::Set(put_of(next()))).collect();
            let (atomic, durability) = (true, CLASS);
            let batch = Batch {
                ops,
                atomic,
                durability,
            };
            kv.batch(access, &batch, None).expect("there is room")
        });
    });
    criterion.bench_function("list of a page", |bencher| {
        let list = List {
            start: Some(key(1)),
            limit: 100,
            ..List::default()
        };
        bencher.iter(|| black_box(kv.list(access, &list).expect("reads do not fail")));
    });
}

criterion_group!(benches, calls);
criterion_main!(benches);
