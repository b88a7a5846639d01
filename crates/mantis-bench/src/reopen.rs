//! `cargo xtask bench reopen`: how long a store takes to open after a kill.
//!
//! A child writes until the log that is still needed is as long as asked, and is killed. Each round
//! then opens a copy of what it left, and beside it does the least that anybody could do with the
//! same log: reads it and inserts it into a memtable.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mantis_engine::{Engine, MemoryEngine, MemoryOptions};
use mantis_env::Env;
use mantis_log::{Log, LogOptions};
use mantis_types::{Seq, WriteBatch};

use crate::keys::{Values, scattered};
use crate::measure::{Exclusive, Machine, median, now};
use crate::store::{Contender, Memory};

/// What `reopen` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Memory budget of the store in MiB; the log that is needed is bounded by its memtables
    #[arg(long, default_value_t = 256)]
    budget: u64,
    /// Commits that the child writes
    #[arg(long, default_value_t = 3_000_000)]
    commits: u64,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// What the child is told.
#[derive(Debug, Args)]
pub struct ChildOptions {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    budget: u64,
    #[arg(long)]
    commits: u64,
}

/// Writes, says so, and waits to be killed.
///
/// # Errors
/// When the store fails.
pub fn run_child(options: &ChildOptions) -> Result<ExitCode> {
    let memory = Memory::divide(options.budget << 20);
    let store = Contender::INTERVAL.open(&options.dir, &memory)?;
    let values = Values::new(128);
    for number in 0..options.commits {
        store.put(&scattered(number), values.of(number))?;
    }
    println!("written");
    std::io::stdout().flush()?;
    // The parent kills this process; without a parent it ends by itself.
    std::io::stdin().lines().for_each(drop);
    Ok(ExitCode::SUCCESS)
}

/// Measures and prints.
///
/// # Errors
/// When the child, a copy or an opening fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let _exclusive = Exclusive::wait()?;
    println!("{}", Machine::here());
    let dir = tempfile::tempdir_in(".")?;
    let left = dir.path().join("left");
    std::fs::create_dir(&left)?;
    kill_a_writer(&left, options)?;
    let memory = Memory::divide(options.budget << 20);
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let copy = dir.path().join(format!("{round}"));
        copy_tree(&left, &copy)?;
        let base = read_and_insert(&copy)?;
        // Each opening finds what the kill left.
        std::fs::remove_dir_all(&copy)?;
        copy_tree(&left, &copy)?;
        let started = now();
        let store = Contender::INTERVAL.open(&copy, &memory)?;
        let opened = started.elapsed();
        ensure!(
            store.get(&scattered(options.commits - 1))? > 0,
            "the newest commit is not there"
        );
        store.close()?;
        std::fs::remove_dir_all(&copy)?;
        rounds.push((base, opened));
    }
    report(options, &rounds);
    Ok(ExitCode::SUCCESS)
}

/// The least one can do with a log: read it from its first needed record on, and insert it.
struct Least {
    records: u64,
    bytes: u64,
    took: Duration,
}

fn report(options: &Options, rounds: &[(Least, Duration)]) {
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    let ratios = rounds
        .iter()
        .map(|(base, opened)| opened.as_secs_f64() / base.took.as_secs_f64());
    let bases = rounds.iter().map(|(base, _)| ms(base.took));
    let opens = rounds.iter().map(|(_, opened)| ms(*opened));
    let Some((least, _)) = rounds.first() else {
        return;
    };
    let mib = least.bytes as f64 / f64::from(1 << 20);
    let memtables = Memory::divide(options.budget << 20).memtables_bytes_max as f64;
    println!(
        "live log: {} records, {mib:.1} MiB, {:.2}x the memtable budget (goal: at most 2x)",
        least.records,
        least.bytes as f64 / memtables
    );
    let shown = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
    println!(
        "read and insert {:.0} ms, open after kill {:.0} ms, ratio {:.2} (goal: at most 2.00)",
        shown(median(bases)),
        shown(median(opens)),
        shown(median(ratios))
    );
}

fn kill_a_writer(dir: &Path, options: &Options) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["reopen-child", "--dir"])
        .arg(dir)
        .args(["--budget", &options.budget.to_string()])
        .args(["--commits", &options.commits.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the writer")?;
    let said = child.stdout.take().context("the writer has no output")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    ensure!(line.trim() == "written", "the writer failed");
    Ok(())
}

/// The log is opened outside of the time: what is compared is the work on its records.
fn read_and_insert(dir: &Path) -> Result<Least> {
    let env = Env::real();
    let from = first_needed(&env, dir)?;
    let options = LogOptions {
        first_seq: from,
        ..LogOptions::default()
    };
    let log = Log::open(&env, &dir.join("log"), options)?.log;
    let engine = MemoryEngine::new(&env, MemoryOptions::default());
    let (mut records, mut bytes) = (0, 0);
    let started = now();
    for record in log.read(from)? {
        let record = record?;
        records += 1;
        bytes += record.body.len() as u64;
        engine.recover(record.seq, &WriteBatch::from_log(record.body)?)?;
    }
    let took = started.elapsed();
    engine.close()?;
    log.halt();
    Ok(Least {
        records,
        bytes,
        took,
    })
}

fn first_needed(env: &Env, dir: &Path) -> Result<Seq> {
    let mut options = mantis_engine::LsmOptions::with_memory(64 << 20);
    options.background = false;
    let engine = mantis_engine::LsmEngine::open(env, &dir.join("tables"), options)?;
    Ok(engine.replay_from())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
