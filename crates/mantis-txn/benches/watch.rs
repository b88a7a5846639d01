//! Commits beside watched reads: what registrations cost that nobody touches, and how long one commit
//! that touches 100,000 of them holds up the publication of others.
//!
//! `cargo bench -p mantis-txn --bench watch`. Three rounds, medians; both sides in turn in one run.
#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use mantis_engine::{MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_txn::{DurableHook, Store, Watch, WatchSet};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Limits, OwnerId, RecordBuilder, Space, ValueKind,
    WriteBatchBuilder,
};

const ROUNDS: usize = 3;
const WATCHED: u64 = 100_000;
const COMMITS: u64 = 200_000;
const VALUE: [u8; 128] = [7; 128];

fn key(number: u64) -> Vec<u8> {
    let key = EncodedKey::new(
        DatabaseId::DEFAULT,
        Space::Kv,
        OwnerId::new(1),
        &number.to_be_bytes(),
    );
    key.expect("it is short").into_bytes()
}

fn open() -> Store {
    let env = Env::real();
    let engine = Arc::new(MemoryEngine::new(&env, MemoryOptions::default()));
    let store = Store::open(
        &env,
        engine,
        None,
        &DurableHook::default(),
        Limits::default(),
    );
    store.expect("memory does no I/O")
}

fn put(store: &Store, number: u64) {
    let key = key(number);
    let mut batch = WriteBatchBuilder::with_capacity(192);
    let record = RecordBuilder::new(ValueKind::Bytes);
    let put = batch.put_with(&key, |out| record.write(&VALUE, out));
    put.expect("it is short");
    store.admit(batch.len() as u64).expect("there is room");
    let latched = store.latch(&key);
    let pending = store.start(&latched, batch.finish(), Durability::None);
    let pending = pending.expect("there is room");
    drop(latched);
    store.finish(pending).expect("there is no log");
}

/// Keys are spread so that they do not come in order.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1
}

fn watch(store: &Store, set: &WatchSet) -> Watch {
    store.watch(set).expect("there is room")
}

/// 100,000 ranges above everything that is written, none inside another.
fn untouched(store: &Store) -> Vec<Watch> {
    let one = |number: u64| {
        let from = (1 << 63) + 2 * number;
        let mut set = WatchSet::default();
        set.range(&key(from), Some(&key(from + 1)));
        watch(store, &set)
    };
    (0..WATCHED).map(one).collect()
}

/// Time of the commits, and CPU time of this process meanwhile.
fn commits(store: &Store) -> (Duration, Duration) {
    let clock = store.env().clock();
    let (from, cpu) = (clock.monotonic(), cpu_time());
    (0..COMMITS).for_each(|number| put(store, spread(number)));
    (clock.monotonic() - from, cpu_time() - cpu)
}

fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    // User and system time, in hundredths of a second.
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

fn beside_untouched() {
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let mut sides = [(Duration::ZERO, Duration::ZERO); 2];
        for side in 0..2 {
            // In turn, so that neither side always comes first.
            let side = (side + round) % 2;
            let store = open();
            let held = (side == 1).then(|| untouched(&store));
            sides[side] = commits(&store);
            drop(held);
        }
        let each = |(time, cpu): (Duration, Duration)| {
            let n = COMMITS as f64;
            (micros(time) / n, micros(cpu) / n)
        };
        let (plain, watched) = (each(sides[0]), each(sides[1]));
        println!(
            "  round {round}: {:.2} us (CPU {:.2}) without, {:.2} us (CPU {:.2}) beside {WATCHED} ranges",
            plain.0, plain.1, watched.0, watched.1
        );
        ratios.push(watched.0 / plain.0);
    }
    println!(
        "untouched: {:.2}x the time of a commit without",
        median(ratios)
    );
}

/// Longest and 99.9th percentile of commits by a second thread, while `at_work` runs.
fn latencies(store: &Store, at_work: impl FnOnce()) -> (f64, f64) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let clock = store.env().clock();
            let mut taken = Vec::new();
            let mut number = 1 << 40;
            while !stop.load(SeqCst) {
                let from = clock.monotonic();
                put(store, number);
                taken.push(micros(clock.monotonic() - from));
                number += 1;
            }
            taken.sort_by(f64::total_cmp);
            (taken[taken.len() - 1], taken[taken.len() * 999 / 1000])
        });
        at_work();
        stop.store(true, SeqCst);
        other.join().expect("it only puts")
    })
}

/// Commits that touch everything.
fn touching(store: &Store) {
    for _ in 0..100 {
        put(store, 5);
        store.env().clock().sleep(Duration::from_millis(1));
    }
}

fn touched(name: &str, ranges: impl Fn(u64) -> (u64, u64)) {
    let mut longest = Vec::new();
    for round in 0..ROUNDS {
        let store = open();
        let alone = latencies(&store, || touching(&store));
        let one = |number: u64| {
            let (from, to) = ranges(number);
            let mut set = WatchSet::default();
            match from == to {
                true => set.key(&key(from)),
                false => set.range(&key(from), Some(&key(to))),
            }
            watch(&store, &set)
        };
        let held: Vec<Watch> = (0..WATCHED).map(one).collect();
        let beside = latencies(&store, || touching(&store));
        let told = held.iter().filter(|watch| watch.touched().is_some());
        assert_eq!(told.count(), held.len(), "all are told");
        println!(
            "  round {round}: longest {:.0} us, p99.9 {:.2} us; without watches {:.0} us, {:.2} us",
            beside.0, beside.1, alone.0, alone.1
        );
        longest.push(telling(&store));
    }
    println!("{name}: telling one commit takes {:.2} us", median(longest));
}

/// Time of one commit that touches everything that is watched.
fn telling(store: &Store) -> f64 {
    let clock = store.env().clock();
    let taken = (0..1000).map(|_| {
        let from = clock.monotonic();
        put(store, 5);
        micros(clock.monotonic() - from)
    });
    median(taken.collect())
}

fn main() {
    println!("commits of one key, 128 B, in memory, class none");
    beside_untouched();
    touched("100,000 watch one key", |_| (5, 5));
    touched("100,000 ranges over one key", |n| (4 - n % 4, 6 + n));
}
