//! Counting what operations cost, in processes of their own.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::per_operation;
use super::workload::{FIXED_TURNS, Workload};
use crate::measure::cpu_time;

/// Operations of the smaller run. The larger one has three times as many.
const SMALL: u64 = 2000;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// Instructions of the process, counted by valgrind.
    Instructions,
    /// CPU time, over that of the fixed workload.
    CpuTime,
}

impl Counter {
    /// The best one that works here.
    pub(super) fn here() -> Self {
        let valgrind = Command::new("valgrind").arg("--version").output();
        if valgrind.is_ok_and(|output| output.status.success()) {
            Self::Instructions
        } else {
            Self::CpuTime
        }
    }

    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Instructions => "instructions for each operation, counted by valgrind",
            Self::CpuTime => "CPU time for each operation over that of a fixed workload",
        }
    }

    /// The share by which a figure may differ without meaning anything.
    pub(super) const fn tolerance(self) -> f64 {
        match self {
            Self::Instructions => 0.08,
            Self::CpuTime => 0.6,
        }
    }
}

/// Counts workloads, each operation with a busy loop on top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting {
    pub(super) counter: Counter,
    busy_percent: u64,
    /// What an operation of the fixed workload costs; known only where it is needed.
    fixed: f64,
}

impl Counting {
    /// Measures the fixed workload first, where others are compared with it or get turns of it.
    pub(super) fn new(counter: Counter, busy_percent: u64) -> Result<Self> {
        let mut counting = Self {
            counter,
            busy_percent,
            fixed: f64::NAN,
        };
        if counter == Counter::CpuTime || busy_percent > 0 {
            counting.fixed = counting.difference(Workload::Fixed, 0)?;
        }
        Ok(counting)
    }

    /// What an operation costs.
    pub(super) fn of(&self, workload: Workload) -> Result<f64> {
        let plain = self.difference(workload, 0)?;
        let loaded = if self.busy_percent == 0 {
            plain
        } else {
            let turn = self.fixed / FIXED_TURNS as f64;
            let turns = plain / turn * self.busy_percent as f64 / 100.0;
            self.difference(workload, round(turns))?
        };
        Ok(match self.counter {
            Counter::Instructions => loaded,
            Counter::CpuTime => loaded / self.fixed,
        })
    }

    fn difference(&self, workload: Workload, turns: u64) -> Result<f64> {
        // A clock needs more operations than a counter to be exact.
        let small = workload.operations(match self.counter {
            Counter::Instructions => SMALL,
            Counter::CpuTime => SMALL * 2,
        });
        let [small, large] = [small, 3 * small].map(|operations| {
            let cost = self.run(workload, operations, turns)?;
            Ok::<_, anyhow::Error>((operations, cost))
        });
        per_operation(small?, large?)
    }

    /// One process: its instructions, or the nanoseconds of its operations.
    fn run(&self, workload: Workload, operations: u64, turns: u64) -> Result<f64> {
        let program = std::env::current_exe()?;
        let mut command = match self.counter {
            Counter::Instructions => {
                let mut valgrind = Command::new("valgrind");
                valgrind
                    .args(["--tool=cachegrind", "--cache-sim=no"])
                    .arg("--cachegrind-out-file=/dev/null")
                    .arg(program);
                valgrind
            }
            Counter::CpuTime => Command::new(program),
        };
        command
            .arg("check-child")
            .args(["--workload", &workload.to_string()])
            .args(["--operations", &operations.to_string()])
            .args(["--turns", &turns.to_string()]);
        if self.counter == Counter::CpuTime {
            command.arg("--clock");
        }
        let output = command.output().context("cannot start the workload")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{workload}: {said}");
        match self.counter {
            Counter::Instructions => instructions(&said),
            Counter::CpuTime => Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?),
        }
    }
}

/// The count in what valgrind says: `==1== I   refs:      1,234`.
fn instructions(said: &str) -> Result<f64> {
    let line = said
        .lines()
        .find(|line| line.contains("I ") && line.contains("refs:"));
    let Some((_, number)) = line.and_then(|line| line.split_once("refs:")) else {
        bail!("valgrind has not said how many instructions there were: {said}");
    };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

fn round(turns: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of turns is small and positive"
    )]
    let turns = turns.round().max(0.0) as u64;
    turns
}

/// One workload in this process.
#[derive(Clone, Debug, Args)]
pub struct ChildOptions {
    #[arg(long)]
    workload: String,
    #[arg(long)]
    operations: u64,
    /// Turns of a busy loop on top of each operation
    #[arg(long)]
    turns: u64,
    /// Prints the CPU time of the operations in nanoseconds
    #[arg(long)]
    clock: bool,
}

/// Runs one workload.
///
/// # Errors
/// When there is no such workload, or it fails.
pub fn run_child(options: &ChildOptions) -> Result<ExitCode> {
    let named = |workload: &Workload| workload.to_string() == options.workload;
    let every = Workload::ALL.into_iter().chain([Workload::Fixed]);
    let workload = every.into_iter().find(named);
    let workload = workload.with_context(|| format!("no workload {:?}", options.workload))?;
    let mut prepared = workload.prepare()?;
    // Below valgrind the clock must not be asked: it is read by a page that is not mapped there.
    let before = options.clock.then(cpu_time);
    for number in 0..options.operations {
        (prepared.operation)(number)?;
        turn(options.turns);
    }
    if let Some(before) = before {
        println!("{}", cpu_time().saturating_sub(before).as_nanos());
    }
    Ok(ExitCode::SUCCESS)
}

/// A loop that costs about the same for each of its turns.
pub(super) fn turn(turns: u64) {
    for number in 0..turns {
        black_box(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_valgrind_says() {
        let said = "==7== Cachegrind\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(instructions(said).unwrap(), 1_234_567.0);
        instructions("==7== nothing").unwrap_err();
    }

    #[test]
    fn the_difference_of_two_runs_leaves_opening_and_closing_out() {
        assert_eq!(per_operation((10, 1500.0), (30, 2500.0)).unwrap(), 50.0);
        per_operation((10, 1.0), (10, 2.0)).unwrap_err();
    }
}
