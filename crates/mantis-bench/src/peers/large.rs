//! More data than memory: each store in a process of its own, so that its memory can be seen.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::Bench;
use super::plan::Plan;
use crate::keys::{KEY_BYTES, Values, scattered};
use crate::measure::{Figure, Load, Resident, Storage, bytes_written, settle};
use crate::report::{Goal, Row};
use crate::run::found;
use crate::store::{Contender, Memory, Store};

/// Data is so many times the memory.
const TIMES_MEMORY: u64 = 8;
/// Background work that is still owed belongs to the phase; it is waited for so long.
const OWED_MAX: Duration = Duration::from_secs(60);

/// What the process of one store is told.
#[derive(Clone, Debug, Args)]
pub struct ChildOptions {
    /// The column
    #[arg(long)]
    store: String,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    value: usize,
    /// Bytes of memory
    #[arg(long)]
    memory: u64,
    /// Where the store is made
    #[arg(long)]
    at: PathBuf,
}

/// What one store did, phase by phase.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    phases: Vec<(Phase, Figure)>,
}

/// What is done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Load,
    Get,
    Scan,
    Overwrite,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Load, Self::Get, Self::Scan, Self::Overwrite];

    const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Load => ("large-load", "load, keys in no order, 1 thread"),
            Self::Get => ("large-get", "get of any key, 1 thread"),
            Self::Scan => ("large-scan", "scan of 100, 1 thread"),
            Self::Overwrite => ("large-overwrite", "put over any key, 1 thread"),
        }
    }
}

/// Measures one store in this process and prints its figures as JSON.
///
/// # Errors
/// When there is no such store, or it fails.
pub fn run_child(options: &ChildOptions) -> Result<ExitCode> {
    let named = |contender: &Contender| contender.to_string() == options.store;
    let contender = Contender::ALL.into_iter().find(named);
    let contender = contender.with_context(|| format!("no store {:?}", options.store))?;
    let resident_before_bytes = Resident::now()?;
    let child = Child {
        options,
        resident_before_bytes,
        values: Values::new(options.value),
        store: contender.open(&options.at, &Memory::divide(options.memory))?,
    };
    let phases = Phase::ALL
        .into_iter()
        .map(|phase| Ok((phase, child.phase(phase)?)));
    let phases = phases.collect::<Result<_>>()?;
    child.store.close()?;
    println!("{}", serde_json::to_string(&Answer { phases })?);
    Ok(ExitCode::SUCCESS)
}

struct Child<'a> {
    options: &'a ChildOptions,
    resident_before_bytes: u64,
    values: Values,
    store: Box<dyn Store>,
}

impl Child<'_> {
    fn phase(&self, phase: Phase) -> Result<Figure> {
        Resident::reset_peak()?;
        let written_before = bytes_written()?;
        let (keys, store) = (self.options.keys, &*self.store);
        let mut figure = match phase {
            Phase::Load => Load::operations(1, keys)
                .run(|number, _| store.put(&scattered(number), self.values.of(number)))?,
            Phase::Overwrite => Load::operations(1, keys).run(|number, dice| {
                store.put(&scattered(dice.below(keys)), self.values.of(number + 1))
            })?,
            Phase::Get => Load::operations(1, keys / 5)
                .run(|_, dice| found(store.get(&scattered(dice.below(keys)))?))?,
            Phase::Scan => Load::operations(1, keys / 200)
                .run(|_, dice| found(store.scan(&scattered(dice.below(keys)), 100)?))?,
        };
        let idle = settle(OWED_MAX);
        let data_bytes = keys * self.entry_bytes();
        let writes = matches!(phase, Phase::Load | Phase::Overwrite);
        let written = bytes_written()? - written_before;
        figure.storage = Some(Storage {
            resident_bytes: Resident::peak()?,
            resident_before_bytes: self.resident_before_bytes,
            budget_bytes: self.options.memory,
            written_per_byte: writes.then(|| written as f64 / data_bytes as f64),
            space_per_byte: space(&self.options.at)? as f64 / data_bytes as f64,
            idle,
        });
        Ok(figure)
    }

    const fn entry_bytes(&self) -> u64 {
        (KEY_BYTES + self.options.value) as u64
    }
}

/// Bytes that the files below a directory take on the disk.
fn space(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A file that compaction has removed meanwhile takes nothing.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            space(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

/// All phases on all stores, one round.
pub(super) fn measure(bench: &Bench<'_>, plan: &Plan) -> Result<Vec<Row>> {
    let data_bytes = bench.data_mib << 20;
    let keys = data_bytes / (KEY_BYTES + bench.options.value) as u64;
    let memory = data_bytes / TIMES_MEMORY;
    let head = format!("{keys} keys, {} MiB of memory: ", memory >> 20);
    let mut rows = Phase::ALL.map(|phase| {
        let (id, title) = phase.title();
        plan.row_as(id, &(head.clone() + title))
    });
    for contender in bench.measured(plan) {
        let dir = TempDir::new_in(bench.place.path())?;
        let child = Command::new(std::env::current_exe()?)
            .arg("large-child")
            .args(["--store", &contender.to_string()])
            .args(["--keys", &keys.to_string()])
            .args(["--value", &bench.options.value.to_string()])
            .args(["--memory", &memory.to_string(), "--at"])
            .arg(dir.path())
            .output()
            .context("cannot start the process of one store")?;
        let said = String::from_utf8_lossy(&child.stderr);
        ensure!(child.status.success(), "{contender}: {said}");
        let answer: Answer = serde_json::from_slice(&child.stdout)?;
        for (row, (_, figure)) in rows.iter_mut().zip(answer.phases) {
            row.note(&contender.to_string(), figure);
        }
    }
    for (row, phase) in rows.iter_mut().zip(Phase::ALL) {
        row.judge(goals(phase));
    }
    Ok(rows.into())
}

const fn goals(phase: Phase) -> &'static [Goal] {
    const BUDGET: Goal = Goal::memory("mantis interval", 1.1);
    const LESS_WRITTEN: Goal = Goal::written("mantis interval", 1.2, "rocksdb");
    match phase {
        Phase::Overwrite => &[BUDGET, LESS_WRITTEN],
        Phase::Load | Phase::Get | Phase::Scan => &[BUDGET],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_what_files_in_all_directories_take() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        let before = space(dir.path()).unwrap();
        std::fs::write(dir.path().join("in/file"), vec![1; 100_000]).unwrap();
        std::fs::File::open(dir.path().join("in/file"))
            .and_then(|file| file.sync_all())
            .unwrap();
        assert!(space(dir.path()).unwrap() >= before + 100_000);
    }
}
