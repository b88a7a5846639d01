//! `mantisdb bench`: loads a store in this process, measures it phase by phase, and checks every
//! read against what was written.

mod latency;
mod load;
mod machine;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use mantis_env::Env;
use mantis_types::Durability;
use mantisdb::{LockFreeStorage, StorageOptions};
use serde_json::{Value, json};

use crate::cli::{BenchArgs, OutputFormat, Stress};
use crate::exit::{Failure, Outcome};
use crate::table::{self, thousands, write_rows};
use load::{Done, Load, Work};

/// Prefix of the keys that a measurement writes.
const PREFIX: &str = "bench/";

/// How large a measurement is.
#[derive(Clone, Copy, Debug)]
struct Size {
    keys: u64,
    value_bytes: usize,
    /// Commits of class sync, by forty writers.
    synced: u64,
    cache_bytes: u64,
    buffer_bytes: u64,
}

impl Size {
    const fn of(stress: Stress) -> Self {
        let (keys, synced) = match stress {
            Stress::Light => (30_000, 6_000),
            Stress::Medium => (1_000_000, 100_000),
            Stress::Heavy => (5_000_000, 500_000),
            // 1 KiB each: sixteen times the memory that the store may use.
            Stress::Extreme => {
                return Self {
                    keys: 1_000_000,
                    value_bytes: 1024,
                    synced: 100_000,
                    cache_bytes: 48 << 20,
                    buffer_bytes: 16 << 20,
                };
            }
        };
        Self {
            keys,
            value_bytes: 128,
            synced,
            cache_bytes: 256 << 20,
            buffer_bytes: 64 << 20,
        }
    }
}

/// One phase: what is done, by how many threads, how often.
#[derive(Clone, Copy, Debug)]
struct Phase {
    name: &'static str,
    work: Work,
    class: Durability,
    threads: u64,
    ops: u64,
}

fn phases(size: Size) -> Vec<Phase> {
    use Durability::{Interval, Sync};
    let keys = size.keys;
    let phase = |name, work, class, threads, ops| Phase {
        name,
        work,
        class,
        threads,
        ops,
    };
    vec![
        phase("sequential put", Work::PutInOrder, Interval, 1, keys),
        phase("random put", Work::PutAnywhere, Interval, 1, keys),
        phase("sequential get", Work::GetInOrder, Interval, 1, keys),
        phase("random get", Work::GetAnywhere, Interval, 1, keys),
        phase("get and put mixed", Work::Mixed, Interval, 1, keys),
        phase("get and put mixed", Work::Mixed, Interval, 16, keys),
        phase("40 writers", Work::PutAnywhere, Sync, 40, size.synced),
        phase(
            "delete every tenth",
            Work::DeleteTenths,
            Interval,
            1,
            keys / 10,
        ),
    ]
}

/// `mantisdb bench`.
pub(crate) fn run(arguments: &BenchArgs, out: &mut dyn Write) -> Outcome {
    measure_as(
        arguments.stress,
        arguments.data_dir.clone(),
        arguments.output,
        out,
    )
}

/// As `mantisdb bench`, for `--benchmark` and `--benchmark-only`.
pub(crate) fn measure(stress: Stress, dir: Option<PathBuf>, out: &mut dyn Write) -> Outcome {
    measure_as(stress, dir, OutputFormat::Table, out)
}

fn measure_as(
    stress: Stress,
    dir: Option<PathBuf>,
    output: OutputFormat,
    out: &mut dyn Write,
) -> Outcome {
    let temporary = match &dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("no temporary directory can be made")?),
    };
    let dir = dir.or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
    let dir = dir.ok_or_else(|| anyhow!("there is no directory to measure in"))?;
    let size = Size::of(stress);
    let results = load_and_check(&dir, size)?;
    match output {
        OutputFormat::Json => writeln!(out, "{:#}", as_json(stress, size, &results))?,
        OutputFormat::Table => print(stress, size, &results, out)?,
    }
    let wrong: u64 = results.iter().map(|result| result.done.wrong).sum();
    if wrong > 0 {
        return Err(Failure::from(anyhow!(
            "{wrong} reads did not give what was written"
        )));
    }
    Ok(())
}

/// A phase and what it took.
#[derive(Debug)]
struct Measured {
    phase: Phase,
    done: Done,
}

fn load_and_check(dir: &Path, size: Size) -> anyhow::Result<Vec<Measured>> {
    let env = Env::real();
    let storage = open(dir, size)?;
    if storage.scan_prefix(PREFIX).next().is_some() {
        anyhow::bail!(
            "{} holds keys of an earlier measurement: take another directory",
            dir.display()
        );
    }
    let load = Arc::new(Load::new(env, size.keys, size.value_bytes));
    let mut results = Vec::new();
    for phase in phases(size) {
        let storage = storage.clone().with_durability(phase.class);
        let done = load.run(&storage, phase.work, phase.threads, phase.ops);
        let done = done.with_context(|| format!("phase \"{}\"", phase.name))?;
        results.push(Measured { phase, done });
    }
    let scan = |name, storage: &LockFreeStorage| -> anyhow::Result<Measured> {
        let done = load
            .scan(storage)
            .with_context(|| format!("phase \"{name}\""))?;
        let ops = done.ops;
        let class = Durability::Interval;
        Ok(Measured {
            phase: Phase {
                name,
                work: Work::Scan,
                class,
                threads: 1,
                ops,
            },
            done,
        })
    };
    results.push(scan("scan of everything", &storage)?);
    storage.close().context("closing the store")?;
    drop(storage);
    let storage = open(dir, size)?;
    results.push(scan("scan after reopening", &storage)?);
    storage.close().context("closing the store")?;
    Ok(results)
}

fn open(dir: &Path, size: Size) -> anyhow::Result<LockFreeStorage> {
    let Size {
        cache_bytes,
        buffer_bytes,
        ..
    } = size;
    let options = StorageOptions {
        cache_bytes,
        buffer_bytes,
        ..StorageOptions::default()
    };
    LockFreeStorage::open_with(dir, &options)
        .with_context(|| format!("cannot open {}", dir.display()))
}

fn print(
    stress: Stress,
    size: Size,
    results: &[Measured],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let (cores, value) = (machine::cores(), size.value_bytes);
    let (keys, budget) = (
        thousands(size.keys),
        table::bytes(size.cache_bytes + size.buffer_bytes),
    );
    writeln!(
        out,
        "{}: {keys} keys of {} bytes, values of {value} bytes, memory budget {budget}, {cores} cores",
        stress.as_str(),
        load::KEY_BYTES
    )?;
    let head = [
        "PHASE",
        "CLASS",
        "THREADS",
        "OPS/S",
        "P50",
        "P99",
        "CPU/OP",
        "PEAK MEMORY",
        "WRONG",
    ];
    let rows: Vec<[String; 9]> = results.iter().map(Measured::row).collect();
    write_rows(out, Some(head), &rows)?;
    let reads: u64 = results.iter().map(|result| result.done.checked).sum();
    let wrong: u64 = results.iter().map(|result| result.done.wrong).sum();
    writeln!(out, "{} reads checked, {wrong} wrong", thousands(reads))
}

impl Measured {
    fn row(&self) -> [String; 9] {
        let Self { phase, done } = self;
        let class = if phase.work.writes() {
            phase.class.as_str()
        } else {
            "-"
        };
        let us = |ns: Option<u64>| {
            ns.map_or_else(
                || "-".to_owned(),
                |ns| format!("{}.{} us", ns / 1000, ns / 100 % 10),
            )
        };
        [
            phase.name.to_owned(),
            class.to_owned(),
            phase.threads.to_string(),
            thousands(done.per_second()),
            us(done.p50_ns),
            us(done.p99_ns),
            us(done.cpu_ns_per_op()),
            done.peak_bytes.map_or_else(|| "-".to_owned(), table::bytes),
            done.wrong.to_string(),
        ]
    }

    fn json(&self) -> Value {
        let Self { phase, done } = self;
        json!({
            "phase": phase.name,
            "class": phase.work.writes().then(|| phase.class.as_str()),
            "threads": phase.threads,
            "ops": done.ops,
            "ops_per_second": done.per_second(),
            "p50_ns": done.p50_ns,
            "p99_ns": done.p99_ns,
            "cpu_ns_per_op": done.cpu_ns_per_op(),
            "peak_memory_bytes": done.peak_bytes,
            "reads_checked": done.checked,
            "reads_wrong": done.wrong,
        })
    }
}

fn as_json(stress: Stress, size: Size, results: &[Measured]) -> Value {
    json!({
        "stress": stress.as_str(),
        "keys": size.keys,
        "value_bytes": size.value_bytes,
        "memory_budget_bytes": size.cache_bytes + size.buffer_bytes,
        "cores": machine::cores(),
        "phases": results.iter().map(Measured::json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
