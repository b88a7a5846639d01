//! Commits through engine, log and pipeline, beside the bare disk: how well syncs are shared.
//!
//! `cargo run --release -p mantis-bench --bin commit_probe [seconds for each cell]`. Rounds are
//! interleaved; shown are medians of three, with the CPU time of the whole process for each
//! operation. Values of 128 bytes, keys of 16.
#![expect(clippy::print_stdout, reason = "a measuring program prints its table")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_bench::{cpu_time, median};
use mantis_engine::{LsmEngine, LsmOptions};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_txn::{DurableHook, Store};
use mantis_types::{
    DatabaseId, Durability, EncodedKey, Limits, OwnerId, RecordBuilder, Space, ValueKind,
    WriteBatchBuilder,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CELLS: [(Durability, usize); 9] = [
    (Durability::Sync, 1),
    (Durability::Sync, 8),
    (Durability::Sync, 64),
    (Durability::Interval, 1),
    (Durability::Interval, 2),
    (Durability::Interval, 8),
    (Durability::None, 1),
    (Durability::None, 2),
    (Durability::None, 8),
];

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(1.0), |s| s.parse())?;
    let span = Duration::from_secs_f64(seconds);
    let dir = tempfile::tempdir_in(".")?;
    let env = Env::real();
    let mut raw = Vec::new();
    let mut cells = vec![Vec::new(); CELLS.len()];
    for round in 0..3 {
        raw.push(raw_syncs(&env, dir.path(), span)?);
        for (cell, (durability, writers)) in cells.iter_mut().zip(CELLS) {
            let place = dir.path().join(format!("{round}-{durability}-{writers}"));
            cell.push(commits(&env, &place, durability, writers, span)?);
        }
    }
    let base = median(raw.iter().map(|r| r.0));
    println!("raw append + fdatasync into written blocks, 1 thread: {base:.0}/s");
    println!("class     writers     commits/s   x raw   us CPU each");
    for ((durability, writers), cell) in CELLS.iter().zip(&cells) {
        let rate = median(cell.iter().map(|c| c.0));
        let cpu = median(cell.iter().map(|c| c.1));
        println!(
            "{durability:<9} {writers:>7} {rate:>13.0} {:>7.2} {cpu:>13.2}",
            rate / base
        );
    }
    Ok(())
}

/// Rate and CPU microseconds for each operation.
type Cell = (f64, f64);

fn raw_syncs(env: &Env, dir: &Path, span: Duration) -> anyhow::Result<Cell> {
    let path = dir.join("raw");
    let file = File::create(&path)?;
    file.write_all_at(&vec![1; 64 << 20], 0)?;
    file.sync_all()?;
    let record = [7; 200];
    let (started, cpu) = (env.clock().monotonic(), cpu_time()?);
    let mut count = 0;
    while env.clock().monotonic() - started < span {
        file.write_all_at(&record, count * 200 % (63 << 20))?;
        file.sync_data()?;
        count += 1;
    }
    rates(env, count, started, cpu)
}

fn commits(
    env: &Env,
    dir: &Path,
    durability: Durability,
    writers: usize,
    span: Duration,
) -> anyhow::Result<Cell> {
    let store = open(env, dir)?;
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    let (started, cpu) = (env.clock().monotonic(), cpu_time()?);
    let write = |writer: usize| -> anyhow::Result<()> {
        let mut state = writer as u64 + 1;
        let mut count = 0;
        while !stop.load(Relaxed) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            commit(&store, state >> 44, durability)?;
            count += 1;
        }
        total.fetch_add(count, Relaxed);
        Ok(())
    };
    let write = &write;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let threads: Vec<_> = (0..writers)
            .map(|n| scope.spawn(move || write(n)))
            .collect();
        env.clock().sleep(span);
        stop.store(true, Relaxed);
        threads
            .into_iter()
            .try_for_each(|t| t.join().expect("a writer panicked"))
    })?;
    let cell = rates(env, total.load(Relaxed), started, cpu)?;
    store.close()?;
    Ok(cell)
}

fn open(env: &Env, dir: &Path) -> anyhow::Result<Store> {
    let engine = Arc::new(LsmEngine::open(
        env,
        &dir.join("tables"),
        LsmOptions::default(),
    )?);
    let hook = DurableHook::default();
    let options = LogOptions {
        on_durable: Some(hook.callback()),
        ..LogOptions::default()
    };
    let log = Log::open(env, &dir.join("log"), options)?.log;
    Ok(Store::open(
        env,
        engine,
        Some(log),
        &hook,
        Limits::default(),
    )?)
}

fn commit(store: &Store, n: u64, durability: Durability) -> anyhow::Result<()> {
    let user_key = [n.to_be_bytes(), n.to_be_bytes()].concat();
    let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), &user_key)?;
    let mut batch = WriteBatchBuilder::with_capacity(200);
    batch.put_with(key.as_bytes(), |out| {
        RecordBuilder::new(ValueKind::Bytes).write(&[n.to_le_bytes()[0]; 128], out)
    })?;
    store.admit(batch.len() as u64)?;
    let latched = store.latch(key.as_bytes());
    let pending = store.start(&latched, &batch.finish(), durability)?;
    drop(latched);
    store.finish(pending)?;
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates need no more than 53 bits"
)]
fn rates(env: &Env, count: u64, started: Duration, cpu: Duration) -> anyhow::Result<Cell> {
    let took = (env.clock().monotonic() - started).as_secs_f64();
    let used = (cpu_time()? - cpu).as_secs_f64();
    Ok((count as f64 / took, used * 1e6 / count.max(1) as f64))
}
