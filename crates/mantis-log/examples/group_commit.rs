//! Measures durable appends with 1, 8 and 64 writers against a bare loop of append and fdatasync
//! into blocks that are already written, in interleaved rounds on the same disk.
//!
//! `cargo run --release -p mantis-log --example group_commit -- [DIR] [SECONDS] [ROUNDS]`
#![expect(clippy::print_stdout, reason = "it prints what it has measured")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures with the machine's clock and threads"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use mantis_env::{Env, OpenMode};
use mantis_log::{Log, LogOptions, Prepared};
use mantis_types::Seq;
use parking_lot::Mutex;

const BODY: usize = 168;
const WRITERS: [usize; 3] = [1, 8, 64];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().unwrap_or_else(|| ".".to_owned());
    let span = Duration::from_secs(arguments.next().map_or(Ok(3), |text| text.parse())?);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let (mut bare, mut ratios) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let floor = raw(Path::new(&base), span)?;
        println!("raw append + fdatasync      {floor:>9.0}/s");
        bare.push(floor);
        for (writers, ratios) in WRITERS.into_iter().zip(&mut ratios) {
            let dir = tempfile::tempdir_in(&base)?;
            let run = committers(dir.path(), writers, span)?;
            ratios.push(run.rate / floor);
            println!("{run}  = {:.2} x raw", run.rate / floor);
        }
    }
    for class in ["none", "interval"] {
        let dir = tempfile::tempdir_in(&base)?;
        println!(
            "one writer, class {class:<8} {:>9.0}/s",
            unsynced(dir.path(), class, span)?
        );
    }
    println!("raw {:.0}/s", median(&mut bare));
    for (writers, ratios) in WRITERS.iter().zip(&mut ratios) {
        println!("{writers:>2} writers {:.2} x raw", median(ratios));
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn raw(base: &Path, span: Duration) -> Result<f64, Failure> {
    let dir = tempfile::tempdir_in(base)?;
    let file = Env::real()
        .fs()
        .open(&dir.path().join("raw"), OpenMode::CreateNew)?;
    let record = [7; BODY + 40];
    for block in 0..64 {
        file.write_at(block << 20, &vec![0; 1 << 20])?;
    }
    file.sync_all()?;
    let started = Instant::now();
    let mut count: u64 = 0;
    while started.elapsed() < span {
        file.write_at((count * record.len() as u64) % (60 << 20), &record)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(per_second(count, started.elapsed()))
}

struct Run {
    writers: usize,
    rate: f64,
    latencies_us: Vec<u64>,
    group: f64,
    small: u64,
    cpu_us: f64,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |part: usize| {
            let index = self.latencies_us.len() * part / 10_000;
            self.latencies_us
                .get(index.min(self.latencies_us.len() - 1))
                .copied()
                .unwrap_or(0)
        };
        let Self {
            writers,
            rate,
            group,
            small,
            cpu_us,
            ..
        } = self;
        let (p50, p99, p999, max) = (at(5_000), at(9_900), at(9_990), at(10_000));
        write!(
            f,
            "{writers:>2} writers {rate:>9.0}/s group {group:>5.1} small {small:>2} "
        )?;
        write!(
            f,
            "cpu {cpu_us:>5.1} us/op p50 {p50} p99 {p99} p99.9 {p999} max {max} us"
        )
    }
}

fn committers(dir: &Path, writers: usize, span: Duration) -> Result<Run, Failure> {
    let log = Log::open(&Env::real(), dir, LogOptions::default())?.log;
    let next = Mutex::new(Seq::ZERO);
    // In a log of some age a file written ahead is at hand; a young one makes it when half of its
    // first small segment is used.
    let filling = vec![1; 64 << 10];
    while log.stats().spares == 0 {
        log.sync(append(&log, &next, &Prepared::new(&filling))?)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    log.rotate()?;
    let (stop, ops) = (AtomicBool::new(false), AtomicU64::new(0));
    let latencies = Mutex::new(Vec::new());
    let barrier = Barrier::new(writers + 1);
    let before = log.stats();
    let cpu = cpu_time();
    let took = std::thread::scope(|scope| -> Result<Duration, Failure> {
        let work = || -> Result<(), Failure> {
            let (mut mine, body) = (Vec::new(), [3; BODY]);
            barrier.wait();
            while !stop.load(SeqCst) {
                let began = Instant::now();
                let prepared = Prepared::new(&body);
                log.admit(BODY as u64)?;
                log.sync(append(&log, &next, &prepared)?)?;
                mine.push(u64::try_from(began.elapsed().as_micros())?);
            }
            ops.fetch_add(mine.len() as u64, SeqCst);
            latencies.lock().extend(mine);
            Ok(())
        };
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(work)).collect();
        barrier.wait();
        let started = Instant::now();
        std::thread::sleep(span);
        stop.store(true, SeqCst);
        for thread in threads {
            thread.join().map_err(|_| "a writer panicked")??;
        }
        Ok(started.elapsed())
    })?;
    let cpu_us = (cpu_time() - cpu).as_micros() as f64 / ops.load(SeqCst) as f64;
    let after = log.stats();
    let mut latencies_us = Arc::new(latencies).lock().clone();
    latencies_us.sort_unstable();
    let syncs = (after.syncs - before.syncs).max(1);
    log.close()?;
    Ok(Run {
        writers,
        rate: per_second(ops.load(SeqCst), took),
        latencies_us,
        group: (after.records - before.records) as f64 / syncs as f64,
        small: after.segments_small - before.segments_small,
        cpu_us,
    })
}

fn append(log: &Log, next: &Mutex<Seq>, body: &Prepared<'_>) -> Result<Seq, Failure> {
    let mut next = next.lock();
    *next = next.next();
    log.append(*next, body)?;
    Ok(*next)
}

/// One thread that asks for no sync.
fn unsynced(dir: &Path, class: &str, span: Duration) -> Result<f64, Failure> {
    let log = Log::open(&Env::real(), dir, LogOptions::default())?.log;
    let (next, body, started) = (Mutex::new(Seq::ZERO), [3; BODY], Instant::now());
    while started.elapsed() < span {
        let prepared = Prepared::new(&body);
        log.admit(BODY as u64)?;
        let seq = append(&log, &next, &prepared)?;
        if class == "interval" {
            log.write(seq)?;
        }
    }
    let rate = per_second(next.lock().get(), started.elapsed());
    log.close()?;
    Ok(rate)
}

fn per_second(count: u64, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

/// Time that this process has spent on CPUs.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|t| t.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // Fields 14 and 15 of the line, in hundredths of a second.
    Duration::from_millis((ticks(12) + ticks(13)) * 10)
}
