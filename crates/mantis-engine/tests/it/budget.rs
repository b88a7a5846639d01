//! Data eight times the memory budget: loaded, read, overwritten, compacted and scanned within it.
//!
//! The work is done by a process of its own, this same program started again, so that nobody else's
//! memory is counted.

use std::ops::Bound;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_engine::{Direction, Engine, LsmEngine, LsmOptions};
use mantis_env::Env;
use mantis_types::{RecordBuilder, Seq, ValueKind, WriteBatchBuilder};

/// The budget in bytes.
const BUDGET: u64 = 32 << 20;
/// Size of the data, in budgets.
const TIMES: u64 = 8;
const VALUE_BYTES: usize = 1000;
const ROWS: u64 = BUDGET * TIMES / VALUE_BYTES as u64;
/// Tells the second process that it is the one.
const CHILD: &str = "MANTIS_BUDGET_DIR";

#[test]
fn data_of_eight_budgets_stays_within_one() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return work(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "budget::data_of_eight_budgets_stays_within_one";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let complained = String::from_utf8_lossy(&child.stderr).into_owned();
    println!("{said}");
    assert!(child.status.success(), "{said}{complained}");
    let highest = said.lines().find_map(|line| line.strip_prefix("highest: "));
    let highest: u64 = highest.expect("the child reports").parse().unwrap();
    assert!(
        highest <= BUDGET / 10 * 11,
        "{highest} bytes over the start, budget {BUDGET}"
    );
    // The control: the measure sees memory that is really used.
    assert!(highest > BUDGET / 4, "{highest} bytes cannot be all of it");
}

/// A field of this process's status, in bytes.
fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

fn work(dir: &Path) {
    let env = Env::real();
    let base = status_bytes("VmRSS:");
    let engine = LsmEngine::open(&env, dir, LsmOptions::with_memory(BUDGET)).unwrap();
    let highest = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = || {
            while !done.load(SeqCst) {
                highest.fetch_max(status_bytes("VmRSS:"), SeqCst);
                env.clock().sleep(Duration::from_millis(5));
            }
        };
        scope.spawn(watch);
        let report = |what: &str| {
            let over = highest.load(SeqCst).saturating_sub(base) >> 20;
            println!("{what}: {over} MiB over {} MiB at most", base >> 20);
        };
        let mut writer = Writer {
            engine: &engine,
            last: Seq::ZERO,
        };
        (0..ROWS).for_each(|n| writer.put(n, 0));
        report("loaded");
        read(&engine, 0);
        report("read");
        (0..ROWS).step_by(2).for_each(|n| writer.put(n, 1));
        report("overwritten");
        engine.flush().unwrap();
        engine.compact().unwrap();
        report("compacted");
        scan(&engine);
        report("scanned");
        read(&engine, 1);
        report("read again");
        let status = engine.status();
        assert!(
            status.disk_bytes > BUDGET * 4,
            "the data is large: {status:?}"
        );
        println!("{status:?}");
        done.store(true, SeqCst);
    });
    engine.close().unwrap();
    println!("highest: {}", highest.load(SeqCst).saturating_sub(base));
}

struct Writer<'e> {
    engine: &'e LsmEngine,
    last: Seq,
}

impl Writer<'_> {
    fn put(&mut self, number: u64, round: u64) {
        let mut batch = WriteBatchBuilder::with_capacity(VALUE_BYTES + 64);
        let record = RecordBuilder::new(ValueKind::Bytes);
        batch
            .put_with(&key(number), |out| record.write(&value(number, round), out))
            .unwrap();
        let batch = batch.finish();
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes).unwrap();
        let seq = self.last.next();
        self.engine
            .apply(&self.engine.place(seq, bytes), seq, &batch);
        assert!(self.engine.horizon().advance(self.last));
        self.last = seq;
    }
}

/// Keys come in no order.
fn key(number: u64) -> Vec<u8> {
    [
        &[1, 2, 1],
        &scatter(number).to_be_bytes()[..],
        &number.to_be_bytes(),
    ]
    .concat()
}

fn scatter(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (z ^ (z >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Values that do not compress.
fn value(number: u64, round: u64) -> Vec<u8> {
    let mut state = scatter(number ^ (round << 40)) | 1;
    let mut bytes = Vec::with_capacity(VALUE_BYTES + 8);
    while bytes.len() < VALUE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(VALUE_BYTES);
    bytes
}

fn expected(number: u64, round: u64) -> Vec<u8> {
    value(number, if number.is_multiple_of(2) { round } else { 0 })
}

fn read(engine: &LsmEngine, round: u64) {
    for step in 0..20_000 {
        let number = scatter(step) % ROWS;
        let found = engine.get_latest(&key(number)).unwrap().unwrap();
        assert_eq!(
            found.view().payload(),
            expected(number, round),
            "row {number}"
        );
    }
}

fn scan(engine: &LsmEngine) {
    let range = (Bound::Unbounded, Bound::Unbounded);
    for direction in [Direction::Forward, Direction::Backward] {
        let scan = engine.scan(&engine.snapshot(), range, direction).unwrap();
        let mut rows = 0;
        for row in scan {
            let (key, record) = row.unwrap();
            let number = key
                .as_bytes()
                .last_chunk::<8>()
                .map(|b| u64::from_be_bytes(*b))
                .unwrap();
            if rows % 64 == 0 {
                assert_eq!(record.view().payload(), expected(number, 1), "row {number}");
            }
            rows += 1;
        }
        assert_eq!(rows, ROWS, "{direction:?}");
    }
}
