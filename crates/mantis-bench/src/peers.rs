//! `bench peers`: the storage engine beside a bare skiplist, fjall and RocksDB, in one run.

mod durable;
mod large;
mod plan;
mod puts;
mod reads;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;

pub use large::{ChildOptions, run_child};

use crate::keys::Values;
use crate::measure::{Exclusive, Machine, load_average, settle};
use crate::report::{Report, Row, print_row};
use crate::store::{Contender, Memory, Store};
use plan::Plan;
use rows::ROWS;

/// What `bench peers` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only rows whose name begins with one of these, separated by commas; see --list
    #[arg(long, value_delimiter = ',', value_name = "WORD")]
    only: Vec<String>,
    /// Only stores whose name begins with one of these, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "WORD")]
    stores: Vec<String>,
    /// Prints the names of the rows
    #[arg(long)]
    list: bool,
    /// Keys in the store
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Rounds; medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 128)]
    value: usize,
    /// MiB of keys and values of the rows with more data than memory; an eighth of it is memory
    #[arg(long, default_value_t = 512)]
    data_mib: u64,
    /// Seconds of each round of a durable row
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Where stores are made: on the disk that is to be measured
    #[arg(long, default_value = "target", value_name = "DIR")]
    at: PathBuf,
    /// Writes everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures what was asked for and prints it.
///
/// # Errors
/// When no row has such a name, or a store fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        for plan in ROWS {
            println!("{:20} {}", plan.id, plan.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plans: Vec<_> = ROWS.iter().filter(|plan| options.wants(plan)).collect();
    if plans.is_empty() {
        bail!("no row begins so: `--list` shows their names");
    }
    let _exclusive = Exclusive::wait()?;
    let machine = Machine::here();
    println!("{machine}");
    let bench = Bench::new(options)?;
    for (name, value) in bench.settings() {
        println!("{name}: {value}");
    }
    let mut rows = Vec::new();
    for group in plans.chunk_by(|one, other| one.work.shares_stores_with(&other.work)) {
        for row in bench.measure(group)? {
            print_row(&row, "fjall");
            rows.push(row);
        }
    }
    let report = Report {
        machine,
        load_average_after: load_average().unwrap_or(f64::NAN),
        settings: bench.settings(),
        rows,
    };
    report.print_summary();
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn wants(&self, plan: &Plan) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|word| plan.id.starts_with(word.as_str()))
    }
}

/// One run: what all rows need.
struct Bench<'a> {
    options: &'a Options,
    memory: Memory,
    values: Values,
    place: TempDir,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let at = &options.at;
        std::fs::create_dir_all(at).with_context(|| format!("cannot make {}", at.display()))?;
        let place = tempfile::Builder::new()
            .prefix("mantis-bench-")
            .tempdir_in(at)?;
        Ok(Self {
            options,
            memory: Memory::from_parts(256 << 20, 512 << 20),
            values: Values::new(options.value),
            place,
        })
    }

    fn settings(&self) -> Vec<(String, String)> {
        let options = self.options;
        let line = |name: &str, value: String| (name.to_owned(), value);
        vec![
            line("keys", options.keys.to_string()),
            line(
                "value",
                format!("{} bytes, half of them random", options.value),
            ),
            line(
                "rounds",
                format!("{}, interleaved, medians", options.rounds),
            ),
            line("memory", self.memory.to_string()),
            line("allocator", allocator().to_owned()),
        ]
    }

    /// The stores of a row that are there and wanted.
    fn measured<'p>(&'p self, plan: &'p Plan) -> impl Iterator<Item = Contender> + 'p {
        let words = &self.options.stores;
        plan.present().filter(move |contender| {
            let name = contender.to_string();
            words.is_empty() || words.iter().any(|word| name.starts_with(word.as_str()))
        })
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

/// Waits until what the last measurement left behind is done.
fn rest() {
    const LONGEST: Duration = Duration::from_secs(20);
    if !settle(LONGEST) {
        println!(
            "  (background work did not end within {LONGEST:?}: the next figure contains some)"
        );
    }
}

/// A key that was put must be there: else something else is measured than is said.
fn found(count: usize) -> Result<()> {
    ensure!(count > 0, "a key that was put is not found");
    Ok(())
}

const fn allocator() -> &'static str {
    if cfg!(feature = "rocksdb") {
        "mimalloc for all stores, RocksDB's C++ included"
    } else {
        "mimalloc for all stores"
    }
}
