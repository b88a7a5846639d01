//! `cargo xtask gate`: the long forms, for hours, before a release; one table and one page.

mod escaped;
mod fuzz;
mod judge;
mod machine;
mod page;
mod parts;
mod record;
mod request;
mod rig;
mod run;
mod sources;
mod table;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::tree::root;
use parts::{PARTS, Part};
use record::{Outcome, Record, Store};
use request::{HELP, Request};
use run::Runner;

/// Runs the parts that are named, or all, and says what they came to.
///
/// # Errors
/// When a part has no such name, or the state cannot be kept. A red part is an exit code.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::parse(arguments)?;
    if request.list {
        table::list(&request);
        return Ok(ExitCode::SUCCESS);
    }
    let root = root()?;
    let store = Store::open(&root)?;
    let runner = Runner::new(&root, &store, &request);
    let mut rows = Vec::new();
    for part in &request.parts {
        rows.push(Row {
            part: *part,
            record: if request.show {
                stored(&root, &store, part)?
            } else {
                runner.part(part)?
            },
        });
    }
    let commit = sources::commit(&root)?;
    let machine = machine::Machine::here(&root);
    println!("\n{}", table::text(&rows, &commit, &machine));
    let mut all = Vec::new();
    for part in PARTS {
        let record = stored(&root, &store, part)?;
        all.push(Row {
            part: *part,
            record,
        });
    }
    let page = page::text(&all, &machine);
    std::fs::write(root.join("docs/reliability.md"), page).context("cannot write the page")?;
    let green = rows.iter().all(|row| row.record.outcome == Outcome::Passed);
    Ok(ExitCode::from(u8::from(!green)))
}

/// A part and what it came to.
#[derive(Debug)]
struct Row {
    part: Part,
    record: Record,
}

/// What is stored of a part. What was exercised in another form counts as partial.
fn stored(root: &Path, store: &Store, part: &Part) -> Result<Record> {
    let mut record = store.load(part.name)?.unwrap_or_else(|| Record {
        note: "not run".to_owned(),
        size: part.size,
        ..Record::default()
    });
    let is_old = !record.sources.is_empty() && record.sources != sources::key(root, &part.paths())?;
    if is_old {
        record.outcome = Outcome::Partial;
        "its sources have changed since".clone_into(&mut record.note);
    }
    Ok(record)
}
