//! docs/reliability.md: what was run and came out, what was only reasoned, and how to repeat it.

use std::fmt::Write;

use super::Row;
use super::escaped::ESCAPED;
use super::machine::Machine;
use super::parts::Part;
use super::record::Record;
use super::table::{headline, size_of};

/// What stands above the figures.
const INTRODUCTION: &str = "\
# Reliability

What was done to the store to break it, and what came out. `cargo xtask gate` writes this page; it is
not edited by hand. How the parts work, and what each control is, stands in
[internals/rig.md](internals/rig.md).

A part has *Passed* when nothing is wrong, its sums show what they must, and every control failed as
it must: without a control that fails, a zero means nothing. *partial* means that slices are missing
or that the sources have changed since; what is not Passed proves nothing.
";

/// What stands below the figures.
const REMARKS: &str = "\
## What the parts do not show

**Reasoned, not run:**

- *Rot in what was synced last, right after a power cut.* The mark, which says how far the log is on
  disk, is written after each sync, but synced itself only at the end of a segment: else a commit would
  cost two syncs. After a power cut the mark on disk may be old. Then a record that was synced and has
  rotted looks like a torn tail, if no later intact record of the segment names it as on disk, and is
  cut off without a word, with all that stands behind it. The bound: each record names what was on disk
  when it was made, so that only the last two synced groups can go unnamed (the records of the last one
  may have been made while the one before was still being synced), and only until the mark reaches the
  disk, which the kernel does within half a minute by itself. A kill of the process leaves the mark in
  memory: there the `flip` part finds every flip. It takes a rotten bit in those groups and a power cut
  within that time.
- *A disk that answers a sync and has not synced* loses what it promised. The `sim` part shows that
  the checks notice it; the store cannot.
- *Two faults at once* (a full disk in a compaction while the power goes) are met by chance only, in
  `sim`.
- *Other file systems* than ext4 and tmpfs, network file systems in particular.

**Run in a narrower form than the words may suggest:**

- A power cut is a shut-down of ext4 without a flush of its journal: what the drive's own cache would
  lose, tear or reorder is not part of it.
- `syscalls` and `faults` sweep a workload of some dozens of commits with flushes, compactions, a
  checkpoint and a shutdown; strace counts calls for each thread by itself.
- `faults` fails one call in each run, then the disk is whole again.
- A step that was on its way when a sync failed may still be acknowledged, as its commit may have been
  synced before; a step that begins after the store has said that it takes no more writes may not.
- `kill` and `power` count what was heard before the stop. What the writers say within the same moment
  proves nothing and is not asked for.
- `histories`, `txn-kill` and `once-kill` have server and clients in one process: requests go over
  loopback sockets, and nothing is lost between the two. Kills end both at once.
- `protocols` runs miniatures of the code as if every access to memory were sequentially consistent;
  row locks alone are the code itself.
- Live bytes, in `flip`, are those that docs/format.md calls needed. Some flips of them are harmless
  all the same: one slot of the mark stands in for the other, a large value in a table may have been
  overwritten since, and a filter or an index may not be asked.
- `fuzz` gives its time to the codecs and the recovery of the log, not to the front ends.
";

/// The page. `rows` are all parts.
pub(super) fn text(rows: &[Row], machine: &Machine) -> String {
    let mut page = INTRODUCTION.to_owned();
    // Writing to a string cannot fail.
    write(&mut page, rows, machine).unwrap_or_default();
    page
}

fn write(page: &mut String, rows: &[Row], machine: &Machine) -> std::fmt::Result {
    writeln!(page, "\n## Results\n\nThis machine: {machine}.\n")?;
    writeln!(
        page,
        "| part | size | seed | commit | outcome | seconds | key figures |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    for Row { part, record } in rows {
        let (commit, note) = (dash(&record.commit), &record.note);
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(" ({note})")
        };
        writeln!(
            page,
            "| {} | {} | {} | {commit} | {}{} | {:.0} | {} |",
            part.name,
            gate_size(record, part),
            record.seed,
            record.outcome.word(),
            cell(&note),
            record.seconds,
            cell(&headline(part.judge, record)),
        )?;
    }
    writeln!(page, "\n{REMARKS}")?;
    repeat(page)?;
    escaped(page)?;
    writeln!(
        page,
        "## Figures\n\nSums over all slices, each with its controls in the same run."
    )?;
    rows.iter().try_for_each(|row| figures(page, row))
}

/// The size, and the gate's own when this is less.
fn gate_size(record: &Record, part: &Part) -> String {
    let size = size_of(record, part.unit);
    if record.is_whole() && record.done < part.size {
        return format!("{size}; the gate's is {}", part.size);
    }
    size
}

fn repeat(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## To repeat it\n\n```text\n\
         cargo xtask gate                         all of it: hours, as root\n\
         cargo xtask gate kill flip               these parts\n\
         cargo xtask gate kill --size kill=100    another size\n\
         cargo xtask gate --seed 7 --again        from the beginning, with a seed\n\
         cargo xtask gate --budget 60             stops after an hour; the next one goes on\n\
         cargo xtask crash --kill 100 --seed 7    one slice: its seed is the part's plus the units before it\n\
         ```\n"
    )
}

fn escaped(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## Bugs that escaped\n\nFound after the change that brought them in, each with a test that \
         fails without the repair.\n\n| what went wrong | found by | test |\n|---|---|---|"
    )?;
    for bug in ESCAPED {
        let tests = bug.tests.iter().map(|test| format!("`{test}`"));
        let tests = tests.collect::<Vec<_>>().join(", ");
        writeln!(page, "| {} | {} | {tests} |", bug.what, bug.found_by)?;
    }
    writeln!(page)
}

fn figures(page: &mut String, Row { part, record }: &Row) -> std::fmt::Result {
    if record.figures.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n### {}\n\n{}. {}.\n",
        part.name,
        sentence(part.about),
        record.machine
    )?;
    for (subject, figures) in &record.figures {
        let shown = figures.iter().filter(|(name, n)| {
            let is_text = name.starts_with("note ");
            !is_text && (**n > 0 || MUST_SHOW.contains(&name.as_str()))
        });
        let list: Vec<String> = shown.map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(page, "- **{subject}**: {}", list.join(", "))?;
    }
    for finding in &record.findings {
        writeln!(page, "- finding: {}", cell(finding))?;
    }
    Ok(())
}

/// Figures that stand there when they are zero, too: that they are zero is the result.
const MUST_SHOW: &[&str] = &[
    "lost", "unopened", "findings", "silent", "crashed", "broken", "failed", "wrong",
];

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Text in one cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::gate::parts::PARTS;
    use crate::gate::record::Outcome;

    fn page(record: &Record) -> String {
        let rows: Vec<Row> = PARTS
            .iter()
            .map(|part| Row {
                part: *part,
                record: record.clone(),
            })
            .collect();
        text(&rows, &Machine::default())
    }

    #[test]
    fn the_page_says_what_is_short_partial_or_found() {
        let figures = BTreeMap::from([("lost".to_owned(), 0), ("note x".to_owned(), 3)]);
        let record = Record {
            size: 1,
            done: 1,
            slices: 1,
            outcome: Outcome::Failed,
            note: "a | b".to_owned(),
            findings: vec!["something is gone".to_owned()],
            figures: BTreeMap::from([("store".to_owned(), figures)]),
            ..Record::default()
        };
        let page = page(&record);
        assert!(page.contains("1 kills; the gate's is 1000"), "{page}");
        assert!(page.contains("FAILED (a / b)"), "{page}");
        assert!(page.contains("- **store**: lost 0\n"), "{page}");
        assert!(page.contains("- finding: something is gone"), "{page}");
        assert!(page.contains("| ci | 1 runs |"), "{page}");
    }

    #[test]
    fn parts_that_never_ran_have_no_figures() {
        let page = page(&Record::default());
        assert!(!page.contains("### kill"), "{page}");
        assert!(page.contains("partial"), "{page}");
    }
}
