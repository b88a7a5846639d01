//! `cargo bench -p mantis-log`: one record, in each of the ways that it can be asked for.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mantis_env::Env;
use mantis_log::{Log, LogOptions, Prepared};
use mantis_types::Seq;

/// About what a put of 16 and 128 bytes is in the log.
const BODY: [u8; 168] = [3; 168];

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    group.bench_function("168 bytes", |bencher| {
        bencher.iter(|| black_box(Prepared::new(black_box(&BODY))));
    });
    group.finish();
}

fn records(criterion: &mut Criterion) {
    type Wait = fn(&Log, Seq);
    let ways: [(&str, Wait); 3] = [
        ("none", |_, _| {}),
        ("interval", |log, seq| {
            log.write(seq).expect("the disk has room")
        }),
        ("sync", |log, seq| log.sync(seq).expect("the disk has room")),
    ];
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    for (name, wait) in ways {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let opened = Log::open(&Env::real(), dir.path(), LogOptions::default());
        let log = opened.expect("the directory is new").log;
        let mut seq = Seq::ZERO;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                seq = seq.next();
                log.admit(BODY.len() as u64).expect("the disk has room");
                log.append(seq, &Prepared::new(&BODY)).expect("Seqs ascend");
                wait(&log, seq);
                // Nobody reads it again: its files are used anew.
                log.release(seq);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, records);
criterion_main!(benches);
