//! A run that measures stores beside each other: what it is asked for, and how it is reported.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::measure::{Exclusive, Machine, load_average};
use crate::report::{Report, Row};
use crate::store::Memory;

/// What every such run is asked for.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    /// Only rows whose name begins with one of these, separated by commas; see --list
    #[arg(long, value_delimiter = ',', value_name = "WORD")]
    only: Vec<String>,
    /// Only stores whose name begins with one of these, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "WORD")]
    stores: Vec<String>,
    /// Prints the names of the rows
    #[arg(long)]
    pub(crate) list: bool,
    /// Keys in the store
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) keys: u64,
    /// Rounds; medians are shown
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 128)]
    pub(crate) value: usize,
    /// Seconds of each round of a durable row
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Where stores are made: on the disk that is to be measured
    #[arg(long, default_value = "target", value_name = "DIR")]
    at: PathBuf,
    /// Writes everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl RunOptions {
    /// Whether a row of this name is to be measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        begins_with_one(row, &self.only)
    }

    /// Whether a store of this name is to be measured.
    pub(crate) fn wants_store(&self, store: &str) -> bool {
        begins_with_one(store, &self.stores)
    }

    /// A new directory for stores, which goes with what is returned.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn place(&self) -> Result<TempDir> {
        let at = &self.at;
        std::fs::create_dir_all(at).with_context(|| format!("cannot make {}", at.display()))?;
        Ok(tempfile::Builder::new()
            .prefix("mantis-bench-")
            .tempdir_in(at)?)
    }

    /// Waits until nobody else measures, says where and how, lets `measure` fill the rows, and
    /// reports them.
    ///
    /// # Errors
    /// What `measure` answers; when the report cannot be written.
    pub(crate) fn report(
        &self,
        memory: &Memory,
        measure: impl FnOnce(&mut Vec<Row>) -> Result<()>,
    ) -> Result<ExitCode> {
        let _exclusive = Exclusive::wait()?;
        let machine = Machine::here();
        let settings = self.settings(memory);
        println!("{machine}");
        for (name, value) in &settings {
            println!("{name}: {value}");
        }
        let mut rows = Vec::new();
        measure(&mut rows)?;
        let load_average_after = load_average().unwrap_or(f64::NAN);
        let report = Report {
            machine,
            load_average_after,
            settings,
            rows,
        };
        report.print_summary();
        if let Some(path) = &self.json {
            report.write(path)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self, memory: &Memory) -> Vec<(String, String)> {
        let line = |name: &str, value: String| (name.to_owned(), value);
        vec![
            line("keys", self.keys.to_string()),
            line(
                "value",
                format!("{} bytes, half of them random", self.value),
            ),
            line("rounds", format!("{}, interleaved, medians", self.rounds)),
            line("memory", memory.to_string()),
            line("allocator", allocator().to_owned()),
        ]
    }
}

/// A key that was put must be there: else something else is measured than is said.
pub(crate) fn found(count: usize) -> Result<()> {
    ensure!(count > 0, "a key that was put is not found");
    Ok(())
}

fn begins_with_one(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.starts_with(word.as_str()))
}

const fn allocator() -> &'static str {
    if cfg!(feature = "rocksdb") {
        "mimalloc for all stores, RocksDB's C++ included"
    } else {
        "mimalloc for all stores"
    }
}
