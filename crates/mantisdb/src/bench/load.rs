//! The load: which thread touches which key, what a value must be, and whether a read gave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use mantis_env::{Env, Step, Task};
use mantisdb::LockFreeStorage;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::PREFIX;
use super::latency::Latencies;
use super::machine;

/// Length of a key: the prefix and ten digits.
pub(super) const KEY_BYTES: usize = PREFIX.len() + 10;

/// Operations between two looks at whether to stop.
const OPS_PER_STEP: u64 = 1024;

/// What a thread does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Writes its keys from the first to the last.
    PutInOrder,
    /// Writes keys in no order.
    PutAnywhere,
    /// Reads its keys from the first to the last.
    GetInOrder,
    /// Reads keys in no order.
    GetAnywhere,
    /// Reads and writes keys by turns, in no order.
    Mixed,
    /// Deletes every tenth key.
    DeleteTenths,
    /// Reads everything in order.
    Scan,
}

impl Work {
    /// Whether it changes anything.
    pub(super) const fn writes(self) -> bool {
        matches!(
            self,
            Self::PutInOrder | Self::PutAnywhere | Self::Mixed | Self::DeleteTenths
        )
    }
}

/// What was done, and what it took.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) ops: u64,
    pub(super) took: Duration,
    pub(super) cpu: Duration,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) peak_bytes: Option<u64>,
    /// Reads that were compared with what was written.
    pub(super) checked: u64,
    /// Those that differed.
    pub(super) wrong: u64,
}

impl Done {
    /// Operations in a second.
    pub(super) fn per_second(&self) -> u64 {
        per(u128::from(self.ops) * 1_000_000_000, self.took.as_nanos())
    }

    /// CPU time for each operation.
    pub(super) fn cpu_ns_per_op(&self) -> Option<u64> {
        (self.ops > 0).then(|| per(self.cpu.as_nanos(), u128::from(self.ops)))
    }
}

fn per(what: u128, of: u128) -> u64 {
    u64::try_from(what / of.max(1)).unwrap_or(u64::MAX)
}

/// All keys, with the version that each must have.
#[derive(Debug)]
pub(super) struct Load {
    env: Env,
    /// 0 is absent. A key belongs to one thread of a phase, so nobody else changes its version.
    versions: Vec<AtomicU32>,
    value_bytes: usize,
}

impl Load {
    /// Of so many keys, all absent.
    pub(super) fn new(env: Env, keys: u64, value_bytes: usize) -> Self {
        let versions = (0..keys).map(|_| AtomicU32::new(0)).collect();
        Self {
            env,
            versions,
            value_bytes,
        }
    }

    fn keys(&self) -> u64 {
        self.versions.len() as u64
    }

    /// Neighbours in number are neighbours in order.
    fn key(number: u64) -> Vec<u8> {
        format!("{PREFIX}{number:010x}").into_bytes()
    }

    /// A value that nobody else has: its parts depend on key and version.
    fn value(&self, number: u64, version: u32) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.value_bytes + 8);
        let mut part = 0_u64;
        while value.len() < self.value_bytes {
            let seed = (u64::from(version) << 32) | part;
            value.extend_from_slice(&xxh3_64_with_seed(&number.to_le_bytes(), seed).to_le_bytes());
            part += 1;
        }
        value.truncate(self.value_bytes);
        value
    }

    fn version(&self, number: u64) -> Option<&AtomicU32> {
        self.versions.get(usize::try_from(number).ok()?)
    }

    /// Whether this is what the key must hold now.
    pub(super) fn is_right(&self, number: u64, found: Option<&[u8]>) -> bool {
        let version = self
            .version(number)
            .map_or(0, |version| version.load(Ordering::Acquire));
        match (version, found) {
            (0, None) => true,
            (0, Some(_)) | (_, None) => false,
            (version, Some(found)) => found == self.value(number, version),
        }
    }

    /// Runs `work` on so many threads, so many operations in all.
    ///
    /// # Errors
    /// What the storage answers.
    pub(super) fn run(
        self: &Arc<Self>,
        storage: &LockFreeStorage,
        work: Work,
        threads: u64,
        ops: u64,
    ) -> anyhow::Result<Done> {
        machine::reset_peak();
        let (cpu, from) = (machine::cpu_time(), self.env.clock().monotonic());
        let (sender, results) = mpsc::channel();
        let tasks: Vec<_> = (0..threads)
            .map(|index| {
                let worker =
                    Worker::new(self, storage, work, (index, threads, ops), sender.clone());
                self.env.tasks().spawn("mantis-bench", Box::new(worker))
            })
            .collect();
        drop(sender);
        let mut latencies = Latencies::new();
        let (mut ops, mut checked, mut wrong) = (0, 0, 0);
        for _ in 0..threads {
            let part = results
                .recv()
                .context("a thread of the load ended early")??;
            latencies.merge(&part.latencies);
            ops += part.ops;
            checked += part.checked;
            wrong += part.wrong;
        }
        let took = self.env.clock().monotonic().saturating_sub(from);
        let cpu = machine::cpu_time().saturating_sub(cpu);
        tasks
            .into_iter()
            .for_each(mantis_env::TaskHandle::stop_and_join);
        let (p50_ns, p99_ns) = (latencies.percentile(50), latencies.percentile(99));
        let peak_bytes = machine::peak_bytes();
        Ok(Done {
            ops,
            took,
            cpu,
            p50_ns,
            p99_ns,
            peak_bytes,
            checked,
            wrong,
        })
    }

    /// Reads everything in order, and checks that nothing is missing, wrong or too much.
    ///
    /// # Errors
    /// What the storage answers.
    pub(super) fn scan(&self, storage: &LockFreeStorage) -> anyhow::Result<Done> {
        machine::reset_peak();
        let (cpu, from) = (machine::cpu_time(), self.env.clock().monotonic());
        let (mut ops, mut wrong, mut next) = (0, 0, 0);
        for pair in storage.scan_prefix(PREFIX) {
            let (key, value) = pair?;
            ops += 1;
            let Some(number) =
                number_of(&key).filter(|number| (next..self.keys()).contains(number))
            else {
                wrong += 1;
                continue;
            };
            // Those that were passed over must be absent.
            wrong += (next..number)
                .filter(|&skipped| !self.is_right(skipped, None))
                .count() as u64;
            wrong += u64::from(!self.is_right(number, Some(&value)));
            next = number + 1;
        }
        wrong += (next..self.keys())
            .filter(|&skipped| !self.is_right(skipped, None))
            .count() as u64;
        let took = self.env.clock().monotonic().saturating_sub(from);
        let cpu = machine::cpu_time().saturating_sub(cpu);
        let peak_bytes = machine::peak_bytes();
        Ok(Done {
            ops,
            took,
            cpu,
            p50_ns: None,
            p99_ns: None,
            peak_bytes,
            checked: self.keys(),
            wrong,
        })
    }
}

fn number_of(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(PREFIX.as_bytes())?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What one thread did.
#[derive(Debug)]
struct Part {
    latencies: Latencies,
    ops: u64,
    checked: u64,
    wrong: u64,
}

/// One thread's share. Its keys are those whose number leaves `index` when divided by `threads`.
struct Worker {
    load: Arc<Load>,
    storage: LockFreeStorage,
    work: Work,
    index: u64,
    threads: u64,
    ops: u64,
    part: Part,
    sender: mpsc::Sender<anyhow::Result<Part>>,
}

impl Worker {
    fn new(
        load: &Arc<Load>,
        storage: &LockFreeStorage,
        work: Work,
        (index, threads, ops): (u64, u64, u64),
        sender: mpsc::Sender<anyhow::Result<Part>>,
    ) -> Self {
        let part = Part {
            latencies: Latencies::new(),
            ops: 0,
            checked: 0,
            wrong: 0,
        };
        let (load, storage) = (Arc::clone(load), storage.clone());
        let share = ops / threads + u64::from(index < ops % threads);
        Self {
            load,
            storage,
            work,
            index,
            threads,
            ops: share,
            part,
            sender,
        }
    }

    /// The number of the key that operation `at` is about.
    fn number(&self, at: u64) -> u64 {
        let owned = self
            .load
            .keys()
            .saturating_sub(self.index)
            .div_ceil(self.threads)
            .max(1);
        let place = match self.work {
            Work::PutInOrder | Work::GetInOrder | Work::Scan => at % owned,
            Work::DeleteTenths => (at * 10) % owned,
            Work::PutAnywhere | Work::GetAnywhere | Work::Mixed => {
                xxh3_64_with_seed(&at.to_le_bytes(), self.index) % owned
            }
        };
        place * self.threads + self.index
    }

    fn operation(&mut self, at: u64) -> anyhow::Result<()> {
        let number = self.number(at);
        let key = Load::key(number);
        let reads = match self.work {
            Work::GetInOrder | Work::GetAnywhere => true,
            Work::Mixed => at.is_multiple_of(2),
            _ => false,
        };
        if reads {
            let found = self.timed(|storage| storage.get(key))?;
            self.part.checked += 1;
            self.part.wrong += u64::from(!self.load.is_right(number, found.as_deref()));
        } else if self.work == Work::DeleteTenths {
            self.timed(|storage| storage.delete(key))?;
            self.set_version(number, 0)?;
        } else {
            let version = next_version(self.load.version(number));
            let value = self.load.value(number, version);
            self.timed(|storage| storage.put(key, value))?;
            self.set_version(number, version)?;
        }
        Ok(())
    }

    fn timed<T>(
        &mut self,
        call: impl FnOnce(&LockFreeStorage) -> Result<T, mantisdb::StorageError>,
    ) -> anyhow::Result<T> {
        let clock = Arc::clone(self.load.env.clock());
        let from = clock.monotonic();
        let answer = call(&self.storage);
        let took = clock.monotonic().saturating_sub(from);
        self.part
            .latencies
            .add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.part.ops += 1;
        Ok(answer?)
    }

    fn set_version(&self, number: u64, version: u32) -> anyhow::Result<()> {
        let Some(slot) = self.load.version(number) else {
            bail!("key {number} does not exist")
        };
        slot.store(version, Ordering::Release);
        Ok(())
    }
}

/// The next version of a key, never 0.
fn next_version(slot: Option<&AtomicU32>) -> u32 {
    slot.map_or(0, |slot| slot.load(Ordering::Acquire))
        .wrapping_add(1)
        .max(1)
}

impl Task for Worker {
    fn step(&mut self) -> Step {
        for _ in 0..OPS_PER_STEP {
            let at = self.part.ops;
            if at == self.ops {
                let empty = Part {
                    latencies: Latencies::new(),
                    ops: 0,
                    checked: 0,
                    wrong: 0,
                };
                let part = std::mem::replace(&mut self.part, empty);
                // Nobody listens any more only after another thread has failed.
                drop(self.sender.send(Ok(part)));
                return Step::Done;
            }
            if let Err(error) = self.operation(at) {
                drop(self.sender.send(Err(error)));
                return Step::Done;
            }
        }
        Step::Again
    }
}
