//! `cargo bench --bench storage_bench`: single operations of the storage, in process.

use std::hint::black_box;

use criterion::{
    BatchSize, Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use mantisdb::{Durability, LockFreeStorage};

/// Keys that are there while reads are measured.
const KEYS: u64 = 100_000;
const VALUE: [u8; 128] = [7; 128];

fn key(number: u64) -> Vec<u8> {
    // Spread over the keyspace, as 16 digits: neighbours in time are none in order.
    format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into_bytes()
}

fn filled(storage: LockFreeStorage) -> LockFreeStorage {
    let storage = storage.with_durability(Durability::None);
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(1000) {
        let pairs = chunk.iter().map(|&n| (key(n), VALUE.to_vec())).collect();
        storage.batch_put(pairs).expect("there is room for it");
    }
    storage
}

/// The storages that are measured: in memory, and durable in a directory of its own.
fn storages() -> Vec<(&'static str, LockFreeStorage, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let durable = LockFreeStorage::open(dir.path()).expect("the directory is new");
    vec![
        ("memory", filled(LockFreeStorage::new()), None),
        ("durable", filled(durable), Some(dir)),
    ]
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("get");
    group.throughput(Throughput::Elements(1));
    for (name, storage, _dir) in storages() {
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                number = (number + 7919) % KEYS;
                black_box(storage.get(key(number)).expect("reads do not fail"))
            });
        });
    }
    group.finish();
}

fn scans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(KEYS));
    group.sample_size(10);
    for (name, storage, _dir) in storages() {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(storage.scan_prefix("").count()));
        });
    }
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("put");
    group.throughput(Throughput::Elements(1));
    for (name, storage, _dir) in storages() {
        let all = [Durability::None, Durability::Interval, Durability::Sync];
        let classes = if name == "memory" { &all[..1] } else { &all };
        for &class in classes {
            let storage = storage.clone().with_durability(class);
            let id = BenchmarkId::new(name, class);
            group.bench_function(id, |bencher| put_spread(bencher, &storage));
        }
    }
    group.finish();
}

fn put_spread(bencher: &mut Bencher<'_>, storage: &LockFreeStorage) {
    let mut number = 0;
    let pair = || {
        number = (number + 7919) % KEYS;
        (key(number), VALUE.to_vec())
    };
    bencher.iter_batched(
        pair,
        |(key, value)| storage.put(key, value).expect("there is room for it"),
        BatchSize::SmallInput,
    );
}

criterion_group!(benches, reads, scans, writes);
criterion_main!(benches);
