//! `cargo bench -p mantis-engine`: puts, gets and scans, in the memtable, in tables and in the row
//! cache.

use std::hint::black_box;
use std::ops::Bound;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mantis_engine::{Direction, Engine, LsmEngine, LsmOptions, MemoryBudget};
use mantis_env::Env;
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};

const KEYS: u64 = 100_000;
const VALUE: [u8; 128] = [7; 128];
/// Database, space and owner of every key.
const PREFIX: [u8; 3] = [1, 2, 1];

/// Keys whose order is not that of their numbers.
fn key(number: u64) -> Vec<u8> {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    [&PREFIX[..], &spread.to_be_bytes(), &number.to_be_bytes()].concat()
}

fn open(dir: &tempfile::TempDir, row_cache_bytes: u64) -> LsmEngine {
    let budget = MemoryBudget {
        row_cache_bytes,
        ..MemoryBudget::from_parts(256 << 20, 128 << 20)
    };
    let options = LsmOptions::with_budget(budget);
    LsmEngine::open(&Env::real(), dir.path(), options).expect("the directory is new")
}

fn put(engine: &LsmEngine, number: u64) {
    let mut batch = WriteBatchBuilder::with_capacity(192);
    let record = RecordBuilder::new(ValueKind::Bytes);
    batch
        .put_with(&key(number), |out| record.write(&VALUE, out))
        .expect("it is short");
    let batch = batch.finish();
    let (bytes, last) = (batch.as_bytes().len() as u64, engine.horizon().get());
    engine.admit(bytes).expect("the disk has room");
    let placement = engine.place(last.next(), bytes);
    engine.apply(&placement, last.next(), &batch);
    engine.horizon().advance(last);
}

fn puts(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = open(&dir, 0);
    let mut group = criterion.benchmark_group("put");
    group.throughput(Throughput::Elements(1));
    group.bench_function("memtable", |bencher| {
        bencher.iter(|| put(&engine, engine.horizon().get().get()));
    });
    group.finish();
    assert!(engine.horizon().get() > Seq::ZERO, "something was put");
}

fn reads(criterion: &mut Criterion) {
    let places = [
        ("memtable", false, 0),
        ("tables", true, 0),
        ("rows", true, 64 << 20),
    ];
    for (place, settled, row_cache_bytes) in places {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let engine = open(&dir, row_cache_bytes);
        (0..KEYS).for_each(|number| put(&engine, number));
        if settled {
            engine.flush().expect("the disk has room");
            engine.compact().expect("the disk has room");
            (0..KEYS).for_each(|number| drop(black_box(engine.get_latest(&key(number)))));
        }
        get(criterion, place, &engine);
        if row_cache_bytes == 0 {
            scan(criterion, place, &engine);
        }
    }
}

fn get(criterion: &mut Criterion, place: &str, engine: &LsmEngine) {
    let mut number = 0;
    criterion.bench_function(&format!("get {place}"), |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % KEYS;
            let found = engine.get_latest(&key(number)).expect("reads do not fail");
            black_box(found.expect("every key was put"))
        });
    });
}

fn scan(criterion: &mut Criterion, place: &str, engine: &LsmEngine) {
    let mut number = 0;
    criterion.bench_function(&format!("scan 100 {place}"), |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % KEYS;
            let from = key(number);
            let range = (Bound::Included(&from[..]), Bound::Unbounded);
            let rows = engine.scan(&engine.snapshot(), range, Direction::Forward);
            rows.expect("scans begin").expecting(100).take(100).count()
        });
    });
}

criterion_group!(benches, puts, reads);
criterion_main!(benches);
