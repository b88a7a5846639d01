//! Floors about one thing: one commit, one entry, one record.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mantis_types::{Durability, RecordBuilder, RecordView, ValueKind};
use serde::Deserialize;

use super::Bench;
use super::figure::{Floor, Outcome, Side};
use crate::keys::{KEY_BYTES, Values, ordered, scattered};
use crate::measure::{Load, Resident, now, pause, settle, switches_of_others};

pub(super) const COMMIT_FLOORS: &[Floor] = &[
    Floor::at_most(
        "commit-syncs",
        "syncs for a commit alone",
        "sync",
        1.0,
        "syncs",
    ),
    Floor::at_most(
        "commit-hand-offs",
        "other threads woken for a commit alone",
        "sync",
        0.1,
        "threads",
    ),
];

pub(super) const ENTRY_FLOORS: &[Floor] = &[
    Floor::at_most(
        "entry-counted",
        "bytes of a memtable entry beside key and value, as counted",
        "memory",
        200.0,
        "B",
    ),
    Floor::at_most(
        "entry-resident",
        "the same as the process grew by it",
        "memory",
        200.0,
        "B",
    ),
];

pub(super) const RECORD_FLOORS: &[Floor] = &[Floor {
    id: "record-json",
    title: "reading a stored record against parsing JSON",
    class: "memory",
    floor: 10.0,
    unit: "x",
    side: Side::AtLeast,
}];

/// Commits of one thread with nothing else going on.
pub(super) fn one_commit(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    const COMMITS: u64 = 500;
    let library = bench.library("one-commit", Durability::Sync)?;
    // The log of a young store makes files in the background: that is not the commit's work.
    Load::operations(8, 4000).run(|number, _| library.put(&ordered(number), number))?;
    settle(Duration::from_secs(10));
    let log = || {
        library
            .storage()
            .database()
            .status()
            .log
            .context("it has a log")
    };
    let (log_before, switches_before) = (log()?, switches_of_others()?);
    let started = now();
    for number in 0..COMMITS {
        library.put(&scattered(number), number)?;
    }
    let (log_after, switches_after) = (log()?, switches_of_others()?);
    // Timers tick whether anybody commits or not: as long again without commits.
    pause(started.elapsed());
    let ticks = switches_of_others()?.saturating_sub(switches_after);
    library.storage().close()?;
    let records = log_after.records - log_before.records;
    ensure!(
        records >= COMMITS,
        "{records} records for {COMMITS} commits"
    );
    let each = |count: u64| count as f64 / COMMITS as f64;
    let [syncs, hand_offs] = COMMIT_FLOORS else {
        unreachable!("the table has these two rows")
    };
    let others = switches_after.saturating_sub(switches_before);
    Ok(vec![
        syncs.against(
            each(log_after.syncs - log_before.syncs),
            None,
            String::new(),
        ),
        hand_offs.against(
            each(others.saturating_sub(ticks)),
            None,
            format!("woken {others} times in {COMMITS} commits, {ticks} times without any"),
        ),
    ])
}

/// What an entry takes in the memtable beside its key and value.
pub(super) fn entry_overhead(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let library = bench.library("entries", Durability::None)?;
    let bytes = || library.storage().database().status().storage.memtable_bytes;
    // The first puts bring buffers into being that belong to no entry.
    (0..10_000).try_for_each(|number| library.put(&ordered(number), number))?;
    // A quarter of the write buffer is one memtable.
    let entries = bench.options.keys.min(100_000);
    let (counted_before, resident_before) = (bytes(), Resident::now()?);
    (0..entries).try_for_each(|number| library.put(&scattered(number), number))?;
    let counted = bytes().saturating_sub(counted_before);
    let resident = Resident::now()?.saturating_sub(resident_before);
    library.storage().close()?;
    let beside =
        |bytes: u64| bytes as f64 / entries as f64 - (KEY_BYTES + bench.options.value) as f64;
    let [as_counted, as_resident] = ENTRY_FLOORS else {
        unreachable!("the table has these two rows")
    };
    let note = "the log's buffer of up to 4 MiB included".to_owned();
    Ok(vec![
        as_counted.against(beside(counted), None, String::new()),
        as_resident.against(beside(resident), None, note),
    ])
}

/// The same entry as JSON, as a store of JSON text would keep it.
#[derive(Debug, Deserialize)]
struct Stored {
    version: u64,
    modified_ms: u64,
    value: String,
}

/// Reading header and payload in place, against parsing the same entry out of JSON.
pub(super) fn record_against_json(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let values = Values::new(bench.options.value);
    let text: String = values
        .of(0)
        .iter()
        .map(|byte| char::from(byte % 26 + b'a'))
        .collect();
    let mut record = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .modified_ms(1_700_000_000_000)
        .write(text.as_bytes(), &mut record)?;
    let json = format!(r#"{{"version":12345,"modified_ms":1700000000000,"value":"{text}"}}"#);
    let turns = bench.options.keys;
    let read = Load::operations(1, turns).run(|_, _| {
        let view = RecordView::parse(black_box(&record))?;
        black_box((view.seq(), view.modified_ms(), view.payload()));
        Ok(())
    })?;
    let parsed = Load::operations(1, turns).run(|_, _| {
        let stored: Stored = serde_json::from_str(black_box(&json))?;
        black_box((stored.version, stored.modified_ms, &stored.value));
        Ok(())
    })?;
    let note = format!(
        "{:.3} us CPU against {:.3}; what is read is borrowed",
        read.cpu_us, parsed.cpu_us
    );
    Ok(vec![RECORD_FLOORS[0].against(
        parsed.cpu_us / read.cpu_us,
        Some(read.cpu_us),
        note,
    )])
}
