//! `bench transactions`: transactions of this store at their levels, beside plain puts and the
//! optimistic transactions of fjall and RocksDB, in one run.

mod column;
mod counter;
mod durable;
mod fjall_txns;
mod loaded;
mod mantis_txns;
mod mix;
mod model;
mod plan;
#[cfg(feature = "rocksdb")]
mod rocks_txns;
mod store;

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::keys::{Values, Zipf};
use crate::report::{Row, print_row};
use crate::run::RunOptions;
use crate::store::Memory;
pub(crate) use mantis_txns::{How, MantisTxns};
use plan::{Plan, ROWS, Work};
pub(crate) use store::{Outcome, Transactional, Txn};

/// What `bench transactions` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    run: RunOptions,
}

/// Measures what was asked for and prints it.
///
/// # Errors
/// When no row has such a name, a store fails, or one holds something else than was written.
pub fn run(options: &Options) -> Result<ExitCode> {
    let run = &options.run;
    if run.list {
        for plan in ROWS {
            println!("{:20} {}", plan.id, plan.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plans: Vec<_> = ROWS.iter().filter(|plan| run.wants(plan.id)).collect();
    if plans.is_empty() {
        bail!("no row begins so: `--list` shows their names");
    }
    ensure!(run.keys >= 4, "a transaction takes four different keys");
    let bench = Bench::new(run)?;
    run.report(&bench.memory, |rows| {
        for plan in plans {
            let row = bench.measure(plan)?;
            print_row(&row, plan.base);
            rows.push(row);
        }
        Ok(())
    })
}

/// One run: what all rows need.
struct Bench<'a> {
    options: &'a RunOptions,
    memory: Memory,
    values: Values,
    zipf: Zipf,
    place: TempDir,
}

impl<'a> Bench<'a> {
    fn new(options: &'a RunOptions) -> Result<Self> {
        Ok(Self {
            options,
            memory: Memory::from_parts(256 << 20, 512 << 20),
            values: Values::new(options.value),
            zipf: Zipf::new(options.keys),
            place: options.place()?,
        })
    }

    /// All rounds of a row, its checks, and what became of its goals.
    fn measure(&self, plan: &Plan) -> Result<Row> {
        let mut row = Row::new(plan.id, plan.title);
        match plan.work {
            Work::Mixed { mix, threads } => self.mixed(plan, mix, threads, &mut row)?,
            Work::NewKeys => self.new_keys(plan, &mut row)?,
            Work::Durable { writers } => self.durable(plan, writers, &mut row)?,
            Work::Counter { writers } => self.counter(writers, &mut row)?,
        }
        row.judge(plan.goals);
        Ok(row)
    }
}
