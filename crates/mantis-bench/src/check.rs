//! `bench check`: has an operation become more expensive than the baseline in the repository says?
//!
//! What is compared are instructions, counted by valgrind: the same on an idle and on a busy machine.
//! Each workload runs twice in a process of its own, with different numbers of operations, and the
//! difference counts: opening, loading and closing a store fall out. Where there is no valgrind, CPU
//! time is compared, over that of a fixed workload, within wide bounds.

mod baseline;
mod count;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

pub use count::{ChildOptions, run_child};

use crate::measure::Exclusive;
use baseline::{Baseline, Finding, decide};
use count::{Counter, Counting};
use workload::Workload;

/// A figure is measured anew so often before it is believed to be worse: disturbances only add.
const TRIES: usize = 3;

/// What `bench check` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Writes what is measured into the baseline instead
    #[arg(long)]
    update: bool,
    /// Compares CPU time even where instructions can be counted
    #[arg(long)]
    cpu_time: bool,
    /// The control: makes every operation so many percent more expensive, which must be found
    #[arg(long, hide = true, default_value_t = 0, value_name = "PERCENT")]
    busy_loop: u64,
    /// Another baseline
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/operations.json"))]
    baseline: PathBuf,
}

/// Measures every workload and compares it with the baseline; failure when one has become worse.
///
/// # Errors
/// When a workload fails, or the baseline cannot be read or written.
pub fn run(options: &Options) -> Result<ExitCode> {
    let counter = if options.cpu_time {
        Counter::CpuTime
    } else {
        Counter::here()
    };
    println!("comparing {}", counter.describe());
    // A counted instruction is one on a busy machine, too: only the clock wants to be alone.
    let _exclusive = match counter {
        Counter::Instructions => None,
        Counter::CpuTime => Some(Exclusive::wait()?),
    };
    let mut known = if options.baseline.exists() {
        Baseline::read(&options.baseline)?
    } else {
        Baseline::default()
    };
    let counting = Counting::new(counter, options.busy_loop)?;
    if options.update {
        known.clear(counter);
        for workload in Workload::ALL {
            let figure = least(|| counting.of(workload))?;
            println!("{workload:20} {figure:>12.2}");
            known.set(counter, workload, figure);
        }
        known.write(&options.baseline)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut worse = 0;
    for workload in Workload::ALL {
        worse += usize::from(!compare(&counting, &known, workload)?);
    }
    if let Some(note) = known.note_about_compiler() {
        println!("{note}");
    }
    if worse > 0 {
        println!("{worse} workloads are worse than the baseline, or not in it");
        println!("meant so? `cargo xtask bench check --update`, and say why in the commit");
    }
    Ok(if worse > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Measures a workload, again while it looks worse, and says what was found; false when it is worse.
fn compare(counting: &Counting, known: &Baseline, workload: Workload) -> Result<bool> {
    let counter = counting.counter;
    let before = known.get(counter, workload);
    let mut best = f64::INFINITY;
    let mut finding = Finding::New;
    for _ in 0..TRIES {
        let figure = counting.of(workload);
        best = best.min(figure.with_context(|| workload.to_string())?);
        finding = decide(before, best, counter.tolerance());
        if !finding.is_bad() || before.is_none() {
            break;
        }
    }
    let before = before.map_or_else(|| "-".into(), |before| format!("{before:.2}"));
    println!("{workload:20} {before:>12} {best:>12.2} {finding}");
    Ok(!finding.is_bad())
}

/// The least of several measurements: disturbances only add.
fn least(measure: impl Fn() -> Result<f64>) -> Result<f64> {
    (0..TRIES).try_fold(f64::INFINITY, |least, _| Ok(least.min(measure()?)))
}

/// Checks the figures of a difference before they are divided.
fn per_operation(small: (u64, f64), large: (u64, f64)) -> Result<f64> {
    ensure!(large.0 > small.0, "the larger run has more operations");
    Ok(((large.1 - small.1) / (large.0 - small.0) as f64).max(0.0))
}
