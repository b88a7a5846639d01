//! The gate's one table, for the terminal.

use std::fmt::Write;

use super::Row;
use super::machine::Machine;
use super::parts::How;
use super::record::Record;
use super::request::Request;

/// Prints the parts without running them.
pub(super) fn list(request: &Request) {
    println!("{:<13} {:>16} {:>6}  what", "part", "size", "slice");
    for part in &request.parts {
        let size = format!("{} {}", request.size_of(part), part.unit);
        println!(
            "{:<13} {size:>16} {:>6}  {}",
            part.name, part.slice, part.about
        );
        if let How::Steps(steps) = part.how {
            crate::runner::list(steps);
        }
    }
}

/// The table of what the parts came to.
pub(super) fn text(rows: &[Row], commit: &str, machine: &Machine) -> String {
    let mut out = format!("commit {commit}; {machine}\n");
    let head = ("part", "size", "seed", "outcome", "seconds");
    let (part, size, seed, outcome, seconds) = head;
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(format!(
        "{part:<13} {size:>18} {seed:>12} {outcome:<12} {seconds:>8}  key figures"
    ));
    for Row { part, record } in rows {
        let (size, outcome) = (size_of(record, part.unit), record.outcome.word());
        line(format!(
            "{:<13} {size:>18} {:>12} {outcome:<12} {:>8.0}  {}",
            part.name,
            record.seed,
            record.seconds,
            headline(part.judge, record)
        ));
        if !record.note.is_empty() {
            line(format!("{:<13} {}", "", record.note));
        }
        for finding in record.findings.iter().take(5) {
            line(format!("{:<13} finding: {finding}", ""));
        }
        if !record.commit.is_empty() && record.commit != commit {
            line(format!("{:<13} begun at {}", "", record.commit));
        }
    }
    let passed = rows
        .iter()
        .filter(|row| row.record.outcome == super::Outcome::Passed);
    let passed = passed.count();
    // Writing to a string cannot fail.
    write!(out, "{passed} of {} parts passed", rows.len()).unwrap_or_default();
    out
}

/// `300 of 1000 kills`, or `1000 kills` when it is whole.
pub(super) fn size_of(record: &Record, unit: &str) -> String {
    if record.is_whole() {
        format!("{} {unit}", record.done)
    } else {
        format!("{} of {} {unit}", record.done, record.size)
    }
}

/// The key figures, when something was run.
pub(super) fn headline(judge: super::judge::Judge, record: &Record) -> String {
    if record.slices == 0 {
        return "-".to_owned();
    }
    judge(record).headline
}
