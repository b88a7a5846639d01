//! `check` and `repair`: a data directory that no server has open.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use mantis_engine::VerifyReport;
use mantis_env::Env;
use mantis_log::{Dropped, LogReport};
use mantis_session::StoreDir;
use mantis_types::Seq;
use serde_json::{Value, json};

use crate::cli::{CheckArgs, OutputFormat, RepairArgs};
use crate::exit::{Failure, Outcome};
use crate::table;

/// What was found in a data directory.
#[derive(Debug)]
struct Examination {
    /// `None` when the tables cannot even be opened: `findings` say why.
    tables: Option<VerifyReport>,
    log: Option<LogReport>,
    findings: Vec<String>,
}

/// `mantisdb check DIR`.
pub(crate) fn check(arguments: &CheckArgs, out: &mut dyn Write) -> Outcome {
    let env = Env::real();
    let store = open(&env, &arguments.dir)?;
    let found = examine(&env, &store);
    match arguments.output {
        OutputFormat::Json => writeln!(out, "{:#}", found.json())?,
        OutputFormat::Table => found.print(out)?,
    }
    if found.findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::Negative)
    }
}

/// `mantisdb repair DIR`.
pub(crate) fn repair(arguments: &RepairArgs, out: &mut dyn Write) -> Outcome {
    let env = Env::real();
    let store = open(&env, &arguments.dir)?;
    let found = examine(&env, &store);
    found.print(out)?;
    if found.findings.is_empty() {
        writeln!(out, "there is nothing to repair")?;
        return Ok(());
    }
    if arguments.dry_run {
        found.print_plan(out)?;
        return Ok(());
    }
    let mut replay_from = found
        .tables
        .as_ref()
        .map_or(Seq::new(1), |tables| tables.replay_from);
    if found
        .tables
        .as_ref()
        .is_none_or(|tables| !tables.damages.is_empty())
    {
        replay_from = repair_tables(&env, &store, out)?;
    }
    if found.log.as_ref().is_none_or(|log| !log.is_sound()) {
        let report = mantis_log::repair(&env, &store.log(), replay_from)
            .context("the log cannot be repaired; nothing of it was changed")?;
        for dropped in &report.dropped {
            writeln!(
                out,
                "dropped {}; kept in the directory of the log",
                dropped_text(dropped)
            )?;
        }
        writeln!(out, "the log now ends with commit {}", report.last_seq)?;
    }
    let left = examine(&env, &store).findings;
    if left.is_empty() {
        writeln!(out, "the store is whole again, without what was dropped")?;
        return Ok(());
    }
    for finding in left {
        writeln!(out, "still damaged: {finding}")?;
    }
    Err(Failure::Negative)
}

fn repair_tables(env: &Env, store: &StoreDir, out: &mut dyn Write) -> anyhow::Result<Seq> {
    let report = mantis_engine::repair(env, &store.tables())
        .context("the tables cannot be repaired; nothing was changed")?;
    writeln!(
        out,
        "tables made anew: {} whole, {} damaged; {} entries taken over, {} lost",
        report.tables_whole, report.tables_damaged, report.entries, report.entries_lost
    )?;
    if report.entries_lost > 0 {
        writeln!(
            out,
            "older versions of lost entries, and keys deleted in them, may have come back"
        )?;
    }
    writeln!(
        out,
        "the old tables are kept in {}",
        report.kept_aside.display()
    )?;
    Ok(report.replay_from)
}

/// Locks a directory that holds a store; makes none.
fn open(env: &Env, dir: &Path) -> anyhow::Result<StoreDir> {
    let name = dir.display();
    let there = env.fs().exists(&dir.join("store"));
    if !there.with_context(|| format!("cannot read {name}"))? {
        bail!("{name} holds no store");
    }
    StoreDir::open(env, dir).with_context(|| format!("cannot examine {name}"))
}

fn examine(env: &Env, store: &StoreDir) -> Examination {
    let mut findings = Vec::new();
    let tables = match mantis_engine::verify(&store.tables()) {
        Ok(report) => {
            findings.extend(report.damages.iter().cloned());
            Some(report)
        }
        Err(error) => {
            findings.push(format!("tables: {:#}", anyhow::Error::new(error)));
            None
        }
    };
    let replay_from = tables
        .as_ref()
        .map_or(Seq::new(1), |tables| tables.replay_from);
    let log = match mantis_log::verify(env, &store.log(), replay_from) {
        Ok(report) => {
            findings.extend(report.damage.map(|damage| format!("log: {damage}")));
            Some(report)
        }
        Err(error) => {
            findings.push(format!("log: {:#}", anyhow::Error::new(error)));
            None
        }
    };
    Examination {
        tables,
        log,
        findings,
    }
}

fn dropped_text(dropped: &Dropped) -> String {
    let Dropped {
        segment,
        offset,
        bytes,
        first_seq,
        last_seq,
    } = dropped;
    let commits = match (first_seq, last_seq) {
        (Some(first), Some(last)) if first == last => format!("commit {first}"),
        (Some(first), Some(last)) => format!("commits {first} to {last}"),
        (Some(first), None) => format!("commits from {first} on"),
        _ => "commits that cannot be told".to_owned(),
    };
    let size = table::bytes(*bytes);
    format!("{size} of log segment {segment} from byte {offset} on: {commits}")
}

impl Examination {
    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        if let Some(tables) = &self.tables {
            let (count, bytes) = (tables.tables, table::bytes(tables.bytes));
            writeln!(
                out,
                "tables: {count} read, {bytes}, {} entries",
                tables.entries
            )?;
        }
        if let Some(log) = &self.log {
            let records: u64 = log.segments.iter().map(|segment| segment.records).sum();
            let bytes = log.segments.iter().map(|segment| segment.bytes).sum();
            let (segments, bytes) = (log.segments.len(), table::bytes(bytes));
            writeln!(
                out,
                "log: {segments} segments read, {bytes}, {records} commits"
            )?;
            if let Some(torn) = &log.torn {
                writeln!(
                    out,
                    "log: a write of {} bytes was cut short and never acknowledged; the next start removes it",
                    torn.bytes
                )?;
            }
            for finding in &log.findings {
                writeln!(out, "log: {finding} (harmless)")?;
            }
        }
        for finding in &self.findings {
            writeln!(out, "DAMAGED {finding}")?;
        }
        match self.findings.len() {
            0 => writeln!(out, "everything is as it was written"),
            1 => writeln!(out, "1 finding"),
            count => writeln!(out, "{count} findings"),
        }
    }

    /// What a repair would do.
    fn print_plan(&self, out: &mut dyn Write) -> std::io::Result<()> {
        if self
            .tables
            .as_ref()
            .is_none_or(|tables| !tables.damages.is_empty())
        {
            writeln!(
                out,
                "would make the tables anew from what can be read, and keep the old ones beside them"
            )?;
        }
        for dropped in self.log.iter().flat_map(|log| &log.would_drop) {
            writeln!(out, "would drop {}", dropped_text(dropped))?;
        }
        writeln!(out, "nothing was changed")
    }

    fn json(&self) -> Value {
        let tables = self.tables.as_ref().map(|tables| {
            json!({ "tables": tables.tables, "bytes": tables.bytes, "entries": tables.entries })
        });
        let log = self.log.as_ref().map(|log| {
            let records: u64 = log.segments.iter().map(|segment| segment.records).sum();
            let oddities: Vec<_> = log.findings.iter().map(ToString::to_string).collect();
            json!({
                "segments": log.segments.len(),
                "commits": records,
                "torn_bytes": log.torn.map(|torn| torn.bytes),
                "oddities": oddities,
            })
        });
        json!({
            "sound": self.findings.is_empty(),
            "findings": self.findings,
            "tables": tables,
            "log": log,
        })
    }
}
