//! `bench floors`: the least that MantisDB promises, through the library as a program calls it.
//!
//! Absolute figures belong to an idle machine: the machine and its load stand above the table. The
//! rows over HTTP, of caches and of connection pools are measured elsewhere.

mod figure;
mod load;
mod single;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use tempfile::TempDir;

use crate::measure::{Exclusive, Machine};
use figure::{Floor, Outcome};

/// What `bench floors` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only rows whose name begins with one of these, separated by commas; see --list
    #[arg(long, value_delimiter = ',', value_name = "WORD")]
    only: Vec<String>,
    /// Prints the names of the rows
    #[arg(long)]
    list: bool,
    /// Keys in the store
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 128)]
    value: usize,
    /// Where stores are made
    #[arg(long, default_value = "target", value_name = "DIR")]
    at: PathBuf,
    /// Writes everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Everything that one run measured.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    keys: u64,
    value_bytes: usize,
    rows: Vec<Outcome>,
}

/// A group of rows that are measured together, on one store.
struct Group {
    floors: &'static [Floor],
    measure: fn(&Bench<'_>) -> Result<Vec<Outcome>>,
}

const GROUPS: &[Group] = &[
    // First: memory that another store has left would be taken again, and the process not grow.
    Group {
        floors: single::ENTRY_FLOORS,
        measure: single::entry_overhead,
    },
    Group {
        floors: load::NONE_FLOORS,
        measure: load::class_none,
    },
    Group {
        floors: load::INTERVAL_FLOORS,
        measure: load::class_interval,
    },
    Group {
        floors: load::SYNC_FLOORS,
        measure: load::class_sync,
    },
    Group {
        floors: single::COMMIT_FLOORS,
        measure: single::one_commit,
    },
    Group {
        floors: single::RECORD_FLOORS,
        measure: single::record_against_json,
    },
];

/// Measures what was asked for and prints it. A missed floor is printed, not an exit code: a slow
/// machine is no fault.
///
/// # Errors
/// When no row has such a name, or the store fails.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        for floor in GROUPS.iter().flat_map(|group| group.floors) {
            println!("{:20} {}", floor.id, floor.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |group: &&Group| group.floors.iter().any(|floor| options.wants(floor));
    let groups: Vec<_> = GROUPS.iter().filter(wanted).collect();
    if groups.is_empty() {
        bail!("no row begins so: `--list` shows their names");
    }
    let _exclusive = Exclusive::wait()?;
    let machine = Machine::here();
    println!("{machine}");
    println!("{} keys, values of {} bytes", options.keys, options.value);
    figure::print_head();
    std::fs::create_dir_all(&options.at)?;
    let bench = Bench {
        options,
        place: TempDir::new_in(&options.at)?,
    };
    let mut rows = Vec::new();
    for group in groups {
        let outcomes = (group.measure)(&bench)?;
        outcomes.iter().for_each(Outcome::print);
        rows.extend(outcomes);
    }
    let met = rows.iter().filter(|row| row.met).count();
    println!("{met} of {} floors met", rows.len());
    if let Some(path) = &options.json {
        let report = Report {
            machine,
            keys: options.keys,
            value_bytes: options.value,
            rows,
        };
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn wants(&self, floor: &Floor) -> bool {
        let mut words = self.only.iter();
        self.only.is_empty() || words.any(|word| floor.id.starts_with(word.as_str()))
    }
}

/// One run.
struct Bench<'a> {
    options: &'a Options,
    place: TempDir,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_measured_by_its_group_and_has_a_name_of_its_own() {
        let options = Options {
            only: Vec::new(),
            list: false,
            keys: 2000,
            value: 64,
            at: std::env::temp_dir(),
            json: None,
        };
        let bench = Bench {
            options: &options,
            place: tempfile::tempdir().unwrap(),
        };
        let mut names = Vec::new();
        for group in GROUPS {
            let measured: Vec<_> = (group.measure)(&bench).unwrap();
            let measured: Vec<_> = measured.iter().map(|outcome| outcome.id).collect();
            let expected: Vec<_> = group.floors.iter().map(|floor| floor.id).collect();
            assert_eq!(measured, expected);
            names.extend(expected);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
