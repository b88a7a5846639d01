//! `cargo xtask bench churn`: a store under steady churn, minute by minute.
//!
//! Values of 16 bytes to 8 KiB are written, read and deleted over a fixed set of keys, so that the
//! data stays as large as it is while memory is given and taken all the time. What an allocator
//! loses to fragments shows here and nowhere else. Built with the feature `system_allocator`, the
//! same program runs on the system's allocator.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use mantis_types::Durability;

use crate::keys::{Dice, scattered};
use crate::measure::{Load, Machine, Resident, cpu_time, now, pause};
use crate::store::{Mantis, Memory, Store};

/// The smallest value, and how often it may be doubled.
const VALUE_BYTES_MIN: usize = 16;
const DOUBLINGS: u64 = 10;

/// What `churn` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// How long
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Keys that are written, read and deleted
    #[arg(long, default_value_t = 300_000)]
    keys: u64,
    /// Threads that do so
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Memory budget of the store in MiB
    #[arg(long, default_value_t = 256)]
    budget: u64,
}

/// Runs the churn and prints a line for each minute.
///
/// # Errors
/// When the store fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    let allocator = if cfg!(feature = "system_allocator") {
        "system"
    } else {
        "mimalloc"
    };
    println!("{}", Machine::here());
    println!(
        "allocator {allocator}, {} keys, values of 16 B to 8 KiB, {} threads, budget {} MiB, class none",
        options.keys, options.threads, options.budget
    );
    println!("minute   thousand ops/s   CPU us/op   resident MiB");
    let dir = tempfile::tempdir_in(".")?;
    let memory = Memory::divide(options.budget << 20);
    let store = Mantis::open(dir.path(), &memory, Durability::None)?;
    let operations = AtomicU64::new(0);
    let span = Duration::from_secs(60 * options.minutes);
    // Kept latencies would grow for half an hour and be taken for the store's memory.
    let load = Load {
        latencies: false,
        ..Load::timed(options.threads, span)
    };
    std::thread::scope(|scope| -> Result<()> {
        let work = scope.spawn(|| {
            let value = vec![b'v'; VALUE_BYTES_MIN << (DOUBLINGS - 1)];
            load.run(|_, dice| {
                operations.fetch_add(1, Relaxed);
                turn(&store, options.keys, &value, dice)
            })
        });
        watch(options.minutes, &operations)?;
        match work.join() {
            Ok(done) => done.map(drop),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Six of ten operations put, two delete, two read.
fn turn(store: &Mantis, keys: u64, value: &[u8], dice: &mut Dice) -> Result<()> {
    let key = scattered(dice.below(keys));
    match dice.below(10) {
        0..6 => {
            let doublings = u32::try_from(dice.below(DOUBLINGS)).unwrap_or(0);
            let most = VALUE_BYTES_MIN << doublings;
            let len = most / 2 + usize::try_from(dice.below(most as u64 / 2)).unwrap_or(0);
            store.put(&key, value.get(..len).unwrap_or(value))
        }
        6..8 => store.delete(&key),
        _ => store.get(&key).map(drop),
    }
}

fn watch(minutes: u64, operations: &AtomicU64) -> Result<()> {
    let mut before = (now(), cpu_time(), 0);
    for minute in 1..=minutes {
        pause(Duration::from_secs(60).saturating_sub(before.0.elapsed()));
        let at = (now(), cpu_time(), operations.load(Relaxed));
        let done = (at.2 - before.2) as f64;
        let seconds = at.0.duration_since(before.0).as_secs_f64();
        let cpu_us = (at.1 - before.1).as_secs_f64() * 1e6 / done.max(1.0);
        let resident = Resident::now()? as f64 / f64::from(1 << 20);
        println!(
            "{minute:>6} {:>16.1} {cpu_us:>11.2} {resident:>14.1}",
            done / seconds / 1e3
        );
        before = at;
    }
    Ok(())
}
