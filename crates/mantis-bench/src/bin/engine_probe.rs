//! Measures the engine beside the bare skiplist and fjall, interleaved in one run.
//!
//! One put is one commit: number, place, apply, publish; there is no log. Keys have 16 bytes (19
//! with the engine's prefix), values 128. Every figure is the median of the rounds, in thousand
//! operations a second, with the CPU time of one operation in microseconds.
//!
//! `engine_probe [--keys 1000000] [--rounds 3] [--only put,get,...]`
#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossbeam_skiplist::SkipMap;
use mantis_engine::{Direction, Engine, LsmEngine, LsmOptions, MemoryBudget};
use mantis_env::Env;
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};

const VALUE: [u8; 128] = [7; 128];
const PREFIX: [u8; 3] = [1, 2, 1];
const RING: u64 = 1 << 16;

/// What is measured.
trait Store: Send + Sync {
    fn put(&self, key: &[u8; 16]);
    fn get(&self, key: &[u8; 16]) -> usize;
    fn scan(&self, key: &[u8; 16], rows: usize) -> usize;
    /// Moves everything into tables, where there are any.
    fn settle(&self);
}

struct Bare(SkipMap<[u8; 16], Box<[u8]>>);

impl Store for Bare {
    fn put(&self, key: &[u8; 16]) {
        self.0.insert(*key, VALUE.into());
    }
    fn get(&self, key: &[u8; 16]) -> usize {
        self.0
            .get(key)
            .map_or(0, |entry| entry.value().to_vec().len())
    }
    fn scan(&self, key: &[u8; 16], rows: usize) -> usize {
        self.0
            .range(*key..)
            .take(rows)
            .map(|e| e.value().len() + e.key().len())
            .sum()
    }
    fn settle(&self) {}
}

struct Fjall {
    keyspace: fjall::Keyspace,
    database: fjall::Database,
}

impl Store for Fjall {
    fn put(&self, key: &[u8; 16]) {
        self.keyspace.insert(key, VALUE).expect("fjall puts");
    }
    fn get(&self, key: &[u8; 16]) -> usize {
        self.keyspace
            .get(key)
            .expect("fjall gets")
            .map_or(0, |value| value.len())
    }
    fn scan(&self, key: &[u8; 16], rows: usize) -> usize {
        let rows = self.keyspace.range::<&[u8], _>(&key[..]..).take(rows);
        let bytes = rows.map(|row| {
            let (key, value) = row.into_inner().expect("fjall scans");
            key.len() + value.len()
        });
        bytes.sum()
    }
    fn settle(&self) {
        self.keyspace
            .rotate_memtable_and_wait()
            .expect("fjall flushes");
        self.keyspace.major_compact().expect("fjall compacts");
        self.database
            .persist(fjall::PersistMode::Buffer)
            .expect("fjall persists");
    }
}

/// The engine with the smallest pipeline that keeps its promises.
struct Mantis {
    engine: LsmEngine,
    next: parking_lot::Mutex<u64>,
    ring: Box<[AtomicU64]>,
}

impl Mantis {
    fn new(engine: LsmEngine) -> Self {
        let ring = (0..RING).map(|_| AtomicU64::new(0)).collect();
        Self {
            engine,
            next: parking_lot::Mutex::new(1),
            ring,
        }
    }

    fn slot(&self, seq: u64) -> &AtomicU64 {
        &self.ring[usize::try_from(seq % RING).expect("it is small")]
    }
}

fn full_key(key: &[u8; 16]) -> [u8; 19] {
    let mut full = [0; 19];
    full[..3].copy_from_slice(&PREFIX);
    full[3..].copy_from_slice(key);
    full
}

impl Store for Mantis {
    fn put(&self, key: &[u8; 16]) {
        let mut batch = WriteBatchBuilder::with_capacity(192);
        let record = RecordBuilder::new(ValueKind::Bytes);
        batch
            .put_with(&full_key(key), |out| record.write(&VALUE, out))
            .expect("it fits");
        let batch = batch.finish();
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes).expect("the engine takes it");
        let (seq, placement) = {
            let mut next = self.next.lock();
            let seq = *next;
            *next += 1;
            (seq, self.engine.place(Seq::new(seq), bytes))
        };
        self.engine.apply(&placement, Seq::new(seq), &batch);
        drop(placement);
        let horizon = self.engine.horizon();
        while seq >= horizon.get().get() + RING - 64 {
            std::thread::yield_now();
        }
        self.slot(seq).store(seq, SeqCst);
        loop {
            let visible = horizon.get();
            let after = visible.next().get();
            if self.slot(after).load(SeqCst) != after {
                break;
            }
            horizon.advance(visible);
        }
    }
    fn get(&self, key: &[u8; 16]) -> usize {
        let found = self
            .engine
            .get_latest(&full_key(key))
            .expect("the engine gets");
        found.map_or(0, |record| record.view().payload().len())
    }
    fn scan(&self, key: &[u8; 16], rows: usize) -> usize {
        let from = full_key(key);
        let range = (Bound::Included(&from[..]), Bound::Unbounded);
        let scan = self
            .engine
            .scan(&self.engine.snapshot(), range, Direction::Forward);
        let rows = scan.expect("the engine scans").expecting(rows).take(rows);
        let bytes = rows.map(|row| {
            let (key, record) = row.expect("the scan goes on");
            key.as_bytes().len() + record.view().payload().len()
        });
        bytes.sum()
    }
    fn settle(&self) {
        self.engine.flush().expect("the engine flushes");
        self.engine.compact().expect("the engine compacts");
    }
}

/// Multiplies all bits over each other: the order of keys is random, but the same in every run.
fn scatter(number: u64) -> [u8; 16] {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (u128::from(z) << 64 | u128::from(number)).to_be_bytes()
}

fn ordered(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

/// A small generator for the choice of keys.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Ranks with Zipf's distribution (0.99), by rejection inversion over a table of 4096 steps.
struct Zipf(Vec<u64>);

impl Zipf {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a distribution need not be exact"
    )]
    fn new(keys: u64) -> Self {
        const STEPS: usize = 1 << 16;
        let mut sums = Vec::with_capacity(keys as usize);
        let mut sum = 0.0;
        for rank in 1..=keys {
            sum += 1.0 / (rank as f64).powf(0.99);
            sums.push(sum);
        }
        let ranks = (0..STEPS).map(|step| {
            let wanted = sum * (step as f64 + 0.5) / STEPS as f64;
            sums.partition_point(|s| *s < wanted) as u64
        });
        Self(ranks.collect())
    }

    /// The steps at the far end stand for many ranks: those are spread evenly.
    fn draw(&self, dice: &mut Dice) -> u64 {
        let step = usize::try_from(dice.below(self.0.len() as u64)).expect("it is small");
        let low = self.0[step];
        let high = self
            .0
            .get(step + 1)
            .copied()
            .unwrap_or(low + 1)
            .max(low + 1);
        low + dice.below(high - low)
    }
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

#[derive(Clone, Copy)]
struct Figure {
    thousands: f64,
    micros: f64,
}

/// Runs `operation` for each number below `count`, spread over threads.
#[expect(clippy::disallowed_methods, reason = "a timing program")]
#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn measure(threads: u64, count: u64, operation: impl Fn(u64, &mut Dice) + Sync) -> Figure {
    let cpu_before = cpu();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let operation = &operation;
            scope.spawn(move || {
                let mut dice = Dice(0x2545_F491_4F6C_DD1D ^ (thread + 1));
                let step = usize::try_from(threads).expect("it is small");
                (thread..count)
                    .step_by(step)
                    .for_each(|number| operation(number, &mut dice));
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu().saturating_sub(cpu_before).as_secs_f64();
    Figure {
        thousands: count as f64 / seconds / 1e3,
        micros: cpu * 1e6 / count as f64,
    }
}

fn open(name: &str, dir: &Path) -> Result<Arc<dyn Store>> {
    let memtable_bytes = 64 << 20;
    Ok(match name {
        "skipmap" => Arc::new(Bare(SkipMap::new())),
        "fjall" => {
            let database = fjall::Database::builder(dir).cache_size(512 << 20).open()?;
            let options =
                || fjall::KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
            let keyspace = database.keyspace("probe", options)?;
            Arc::new(Fjall { keyspace, database })
        }
        "mantis" | "rows" => {
            let budget = MemoryBudget {
                memtable_bytes,
                memtables_bytes_max: 4 * memtable_bytes,
                block_cache_bytes: 512 << 20,
                row_cache_bytes: if name == "rows" { 34 << 20 } else { 0 },
            };
            let options = LsmOptions::with_budget(budget);
            Arc::new(Mantis::new(LsmEngine::open(&Env::real(), dir, options)?))
        }
        other => bail!("no store is called {other}"),
    })
}

const STORES: [&str; 4] = ["skipmap", "mantis", "rows", "fjall"];

struct Setting {
    keys: u64,
    rounds: usize,
    only: Vec<String>,
}

impl Setting {
    fn from_args() -> Result<Self> {
        let mut setting = Self {
            keys: 1_000_000,
            rounds: 3,
            only: Vec::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args
                .next()
                .with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--keys" => setting.keys = value.parse()?,
                "--rounds" => setting.rounds = value.parse()?,
                "--only" => setting.only = value.split(',').map(str::to_owned).collect(),
                other => bail!("{other} is not known"),
            }
        }
        Ok(setting)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| part.contains(only))
    }
}

type Results = Vec<(String, Vec<(String, Figure)>)>;

fn note(results: &mut Results, part: String, store: &str, figure: Figure) {
    let entry = (store.to_owned(), figure);
    match results.iter_mut().find(|(name, _)| *name == part) {
        Some((_, figures)) => figures.push(entry),
        None => results.push((part, vec![entry])),
    }
}

fn puts(setting: &Setting, results: &mut Results) -> Result<()> {
    for (order, threads) in [
        ("sequential", 1),
        ("random", 1),
        ("random", 2),
        ("random", 8),
    ] {
        let part = format!("put {order}, {threads} threads");
        if !setting.wants(&part) {
            continue;
        }
        for store in ["skipmap", "mantis", "fjall"] {
            let dir = tempfile::tempdir()?;
            let opened = open(store, dir.path())?;
            let figure = if order == "sequential" {
                measure(threads, setting.keys, |n, _| opened.put(&ordered(n)))
            } else {
                measure(threads, setting.keys, |n, _| opened.put(&scatter(n)))
            };
            note(results, part.clone(), store, figure);
        }
    }
    Ok(())
}

/// Reads of a store that holds all keys, in memtables or, settled, in tables.
fn reads(setting: &Setting, zipf: &Zipf, settled: bool, results: &mut Results) -> Result<()> {
    let place = if settled { "tables" } else { "memtable" };
    if !setting.wants(&format!("get scan mixed zipf {place}")) {
        return Ok(());
    }
    let keys = setting.keys;
    for store in STORES {
        // A memtable of 64 MiB holds that many keys: a part of them stays in memory.
        let held = if settled { keys } else { keys.min(200_000) };
        if !settled && store == "rows" {
            continue;
        }
        let dir = tempfile::tempdir()?;
        let opened = open(store, dir.path())?;
        measure(1, held, |n, _| opened.put(&scatter(n)));
        if settled {
            opened.settle();
            measure(1, held, |n, _| assert!(opened.get(&scatter(n)) > 0));
        }
        for threads in [1, 2] {
            let part = format!("get {place}, {threads} threads");
            let figure = measure(threads, keys, |_, dice| {
                assert!(opened.get(&scatter(dice.below(held))) > 0);
            });
            note(results, part, store, figure);
            let part = format!("scan 100 {place}, {threads} threads");
            let figure = measure(threads, keys / 20, |_, dice| {
                assert!(opened.scan(&scatter(dice.below(held)), 100) > 0, "{store}");
            });
            note(results, part, store, figure);
        }
        if settled {
            skewed(store, &*opened, held, zipf, results);
        }
    }
    Ok(())
}

/// Reads, and reads mixed with puts, that prefer few keys.
fn skewed(store: &str, opened: &dyn Store, held: u64, zipf: &Zipf, results: &mut Results) {
    for threads in [1, 2] {
        let part = format!("get zipf tables, {threads} threads");
        let figure = measure(threads, held, |_, dice| {
            assert!(opened.get(&scatter(zipf.draw(dice) % held)) > 0);
        });
        note(results, part, store, figure);
    }
    let figure = measure(2, held, |_, dice| {
        let key = scatter(zipf.draw(dice) % held);
        if dice.below(2) == 0 {
            opened.put(&key);
        } else {
            // The bare skiplist replaces a key by removing it first.
            assert!(opened.get(&key) > 0 || store == "skipmap", "{store}");
        }
    });
    let part = "mixed half and half zipf, 2 threads".to_owned();
    note(results, part, store, figure);
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.thousands.total_cmp(&b.thousands));
    figures[figures.len() / 2]
}

fn print(results: &Results) {
    println!(
        "{:36} {:>22} {:>22} {:>22} {:>22}",
        "", STORES[0], STORES[1], STORES[2], STORES[3]
    );
    for (part, figures) in results {
        let mut line = format!("{part:36}");
        let of = |store: &str| -> Vec<Figure> {
            figures
                .iter()
                .filter(|(name, _)| name == store)
                .map(|(_, f)| *f)
                .collect()
        };
        let base = of("fjall");
        for store in STORES {
            let found = of(store);
            if found.is_empty() || base.is_empty() {
                line.push_str(&format!(" {:>22}", "-"));
                continue;
            }
            let (figure, fjall) = (median(found), median(base.clone()));
            let ratio = figure.thousands / fjall.thousands;
            let text = format!(
                "{:.0} ({ratio:.2}x) {:.2}us",
                figure.thousands, figure.micros
            );
            line.push_str(&format!(" {text:>22}"));
        }
        println!("{line}");
    }
}

fn main() -> Result<()> {
    let setting = Setting::from_args()?;
    let zipf = Zipf::new(setting.keys);
    let mut results = Results::new();
    for _ in 0..setting.rounds {
        puts(&setting, &mut results)?;
        reads(&setting, &zipf, false, &mut results)?;
        reads(&setting, &zipf, true, &mut results)?;
    }
    println!(
        "{} keys, median of {} rounds, thousand/s (ratio to fjall) CPU",
        setting.keys, setting.rounds
    );
    print(&results);
    Ok(())
}
