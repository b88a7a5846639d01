//! `bench peers`: the storage engine beside a bare skiplist, fjall and RocksDB, in one run.

mod durable;
mod large;
mod plan;
mod puts;
mod reads;
mod rows;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use tempfile::TempDir;

pub use large::{ChildOptions, run_child};

use crate::keys::Values;
use crate::measure::rest;
use crate::report::{Row, print_row};
use crate::run::RunOptions;
use crate::store::{Contender, Memory, Store};
use plan::Plan;
use rows::ROWS;

/// What `bench peers` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    run: RunOptions,
    /// MiB of keys and values of the rows with more data than memory; an eighth of it is memory
    #[arg(long, default_value_t = 512)]
    data_mib: u64,
}

/// Measures what was asked for and prints it.
///
/// # Errors
/// When no row has such a name, or a store fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.run.list {
        for plan in ROWS {
            println!("{:20} {}", plan.id, plan.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = ROWS.iter().filter(|plan| options.run.wants(plan.id));
    let plans: Vec<_> = wanted.collect();
    if plans.is_empty() {
        bail!("no row begins so: `--list` shows their names");
    }
    let bench = Bench::new(options)?;
    options.run.report(&bench.memory, |rows| {
        for group in plans.chunk_by(|one, other| one.work.shares_stores_with(&other.work)) {
            for row in bench.measure(group)? {
                print_row(&row, "fjall");
                rows.push(row);
            }
        }
        Ok(())
    })
}

/// One run: what all rows need.
struct Bench<'a> {
    options: &'a RunOptions,
    data_mib: u64,
    memory: Memory,
    values: Values,
    place: TempDir,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        Ok(Self {
            options: &options.run,
            data_mib: options.data_mib,
            memory: Memory::from_parts(256 << 20, 512 << 20),
            values: Values::new(options.run.value),
            place: options.run.place()?,
        })
    }

    /// The stores of a row that are there and wanted.
    fn measured<'p>(&'p self, plan: &'p Plan) -> impl Iterator<Item = Contender> + 'p {
        plan.present()
            .filter(|contender| self.options.wants_store(&contender.to_string()))
    }

    /// The same, each with every number of threads.
    fn variants(&self, plan: &Plan) -> Vec<(Contender, u64)> {
        let each = |contender| plan.work.threads().iter().map(move |n| (contender, *n));
        self.measured(plan).flat_map(each).collect()
    }

    fn measure(&self, group: &[&Plan]) -> Result<Vec<Row>> {
        let mut rows: Vec<_> = group.iter().map(|plan| plan.row()).collect();
        match group {
            [plan] if plan.work.wants_new_stores() => self.new_stores(plan, &mut rows[0])?,
            [plan] if matches!(plan.work, plan::Work::Large) => {
                rows = large::measure(self, plan)?;
            }
            group => self.loaded_stores(group, &mut rows)?,
        }
        Ok(rows)
    }

    /// A store of its own for each round.
    fn new_stores(&self, plan: &Plan, row: &mut Row) -> Result<()> {
        for _ in 0..self.options.rounds {
            for (contender, threads) in self.variants(plan) {
                let dir = TempDir::new_in(self.place.path())?;
                let store = contender.open(dir.path(), &self.memory)?;
                let figure = self.new_store(plan, contender, &*store, threads);
                let figure = figure.with_context(|| format!("{}: {contender}", plan.id))?;
                row.note(&plan.label(contender, threads), figure);
            }
        }
        row.judge(plan.goals);
        Ok(())
    }

    /// Stores that are loaded once, and then used by all rows of the group in turn.
    fn loaded_stores(&self, group: &[&Plan], rows: &mut [Row]) -> Result<()> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        let mut held = Vec::new();
        for contender in Contender::ALL {
            if !group
                .iter()
                .any(|plan| plan.present().any(|c| c == contender))
            {
                continue;
            }
            let dir = TempDir::new_in(self.place.path())?;
            let store = self.load(&first.work, contender, &dir);
            let store = store.with_context(|| format!("loading {contender}"))?;
            held.push(Held {
                contender,
                store,
                _dir: dir,
            });
        }
        for (plan, row) in group.iter().zip(rows) {
            for _ in 0..self.options.rounds {
                self.round(plan, &held, row)?;
            }
            row.judge(plan.goals);
        }
        Ok(())
    }

    /// One round of a row on loaded stores.
    fn round(&self, plan: &Plan, held: &[Held], row: &mut Row) -> Result<()> {
        for (contender, threads) in self.variants(plan) {
            let found = held.iter().find(|held| held.contender == contender);
            let store = &found.context("a store has not been loaded")?.store;
            rest();
            let figure = self.loaded_store(plan, contender, &**store, threads);
            let figure = figure.with_context(|| format!("{}: {contender}", plan.id))?;
            row.note(&plan.label(contender, threads), figure);
        }
        Ok(())
    }
}

/// A loaded store and its directory, which goes with it.
struct Held {
    contender: Contender,
    store: Box<dyn Store>,
    _dir: TempDir,
}
