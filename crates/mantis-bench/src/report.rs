//! Rows of figures, the goals that hang on them, and how both are shown: a table, and JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::measure::{Commits, Figure, Latency, Machine, Storage, median};

/// What a goal compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Operations for each second.
    Rate,
    /// CPU time for each operation.
    Cpu,
    /// The slowest single operation.
    Worst,
    /// Bytes written to disks for each byte that was put.
    Written,
    /// Resident memory, over the store's budget and not over another store.
    Memory,
}

impl Measure {
    fn ratio(self, subject: &Figure, base: &Figure) -> Option<f64> {
        let written = |figure: &Figure| figure.storage?.written_per_byte;
        Some(match self {
            Self::Rate => subject.per_second / base.per_second,
            Self::Cpu => subject.cpu_us / base.cpu_us,
            Self::Worst => subject.latency?.max / base.latency?.max,
            Self::Written => written(subject)? / written(base)?,
            Self::Memory => {
                let storage = subject.storage?;
                let own = storage
                    .resident_bytes
                    .saturating_sub(storage.resident_before_bytes);
                own as f64 / storage.budget_bytes as f64
            }
        })
    }
}

/// Which side of the bound is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A ratio that a row is to reach: `subject` over `base`, both measured in the same round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) subject: &'static str,
    pub(crate) base: &'static str,
    pub(crate) measure: Measure,
    pub(crate) bound: Bound,
}

impl Goal {
    /// `subject` does at least `factor` times as many operations as `base`.
    pub(crate) const fn rate(subject: &'static str, factor: f64, base: &'static str) -> Self {
        Self {
            subject,
            base,
            measure: Measure::Rate,
            bound: Bound::AtLeast(factor),
        }
    }

    /// `subject` takes at most `factor` times the CPU time of `base`.
    pub(crate) const fn cpu(subject: &'static str, factor: f64, base: &'static str) -> Self {
        Self {
            subject,
            base,
            measure: Measure::Cpu,
            bound: Bound::AtMost(factor),
        }
    }

    /// The slowest operation of `subject` takes at most `factor` times that of `base`.
    pub(crate) const fn worst(subject: &'static str, factor: f64, base: &'static str) -> Self {
        Self {
            subject,
            base,
            measure: Measure::Worst,
            bound: Bound::AtMost(factor),
        }
    }

    /// `subject` writes at most `factor` times what `base` writes.
    pub(crate) const fn written(subject: &'static str, factor: f64, base: &'static str) -> Self {
        Self {
            subject,
            base,
            measure: Measure::Written,
            bound: Bound::AtMost(factor),
        }
    }

    /// The process of `subject` has at most `factor` times its budget resident.
    pub(crate) const fn memory(subject: &'static str, factor: f64) -> Self {
        Self {
            subject,
            base: subject,
            measure: Measure::Memory,
            bound: Bound::AtMost(factor),
        }
    }
}

/// One store in one row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    /// The store and its setting.
    pub(crate) store: String,
    /// One figure for each round.
    pub(crate) rounds: Vec<Figure>,
    /// Why there are none, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
}

impl Cell {
    pub(crate) fn rate(&self) -> Option<f64> {
        median(self.rounds.iter().map(|figure| figure.per_second))
    }

    pub(crate) fn cpu_us(&self) -> Option<f64> {
        median(self.rounds.iter().map(|figure| figure.cpu_us))
    }

    /// Medians of the rounds; of the slowest operation the slowest.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let of = |part: fn(&Latency) -> f64| {
            let latencies = self.rounds.iter().filter_map(|figure| figure.latency);
            median(latencies.map(|latency| part(&latency)))
        };
        let latencies = self.rounds.iter().filter_map(|figure| figure.latency);
        Some(Latency {
            p50: of(|l| l.p50)?,
            p99: of(|l| l.p99)?,
            p999: of(|l| l.p999)?,
            max: latencies.map(|latency| latency.max).fold(0.0, f64::max),
        })
    }

    /// Conflicts of all rounds; of commits for each sync the median.
    pub(crate) fn commits(&self) -> Option<Commits> {
        let commits = || self.rounds.iter().filter_map(|figure| figure.commits);
        commits().next()?;
        Some(Commits {
            conflicts: commits().map(|commits| commits.conflicts).sum(),
            per_sync: median(commits().filter_map(|commits| commits.per_sync)),
        })
    }
}

/// One kind of work on several stores.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What `--only` selects it by.
    pub(crate) id: String,
    /// What is done.
    pub(crate) title: String,
    pub(crate) cells: Vec<Cell>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A goal and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// The row it belongs to.
    pub(crate) row: String,
    /// In words.
    pub(crate) goal: String,
    /// Median of the rounds' ratios; `None` when one side was not measured.
    pub(crate) ratio: Option<f64>,
    pub(crate) met: Option<bool>,
    /// How far one has come: over 100 is met.
    pub(crate) percent: Option<f64>,
}

impl Row {
    pub(crate) fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            cells: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Notes one round's figure of a store.
    pub(crate) fn note(&mut self, store: &str, figure: Figure) {
        self.cell(store).rounds.push(figure);
    }

    /// Notes why a store has no figures.
    pub(crate) fn note_missing(&mut self, store: &str, why: &str) {
        self.cell(store).missing = Some(why.to_owned());
    }

    fn cell(&mut self, store: &str) -> &mut Cell {
        let place = match self.cells.iter().position(|cell| cell.store == store) {
            Some(place) => place,
            None => {
                self.cells.push(Cell {
                    store: store.to_owned(),
                    rounds: Vec::new(),
                    missing: None,
                });
                self.cells.len() - 1
            }
        };
        &mut self.cells[place]
    }

    /// Compares what was measured with the goals.
    pub(crate) fn judge(&mut self, goals: &[Goal]) {
        self.verdicts = goals.iter().map(|goal| self.verdict(goal)).collect();
    }

    fn verdict(&self, goal: &Goal) -> Verdict {
        let rounds = |store: &str| {
            let cell = self.cells.iter().find(|cell| cell.store == store);
            cell.map_or(&[][..], |cell| &cell.rounds)
        };
        let pairs = rounds(goal.subject).iter().zip(rounds(goal.base));
        let ratio = median(pairs.filter_map(|(ours, theirs)| goal.measure.ratio(ours, theirs)));
        let (words, percent): (_, fn(f64, f64) -> f64) = match goal.bound {
            Bound::AtLeast(_) => (">=", |ratio, factor| ratio / factor),
            Bound::AtMost(_) => ("<=", |ratio, factor| factor / ratio),
        };
        let (Bound::AtLeast(factor) | Bound::AtMost(factor)) = goal.bound;
        let base = match goal.measure {
            Measure::Rate => goal.base.to_owned(),
            Measure::Cpu => format!("{} (CPU)", goal.base),
            Measure::Worst => format!("{} (slowest)", goal.base),
            Measure::Written => format!("{} (bytes written)", goal.base),
            Measure::Memory => "its budget (resident)".to_owned(),
        };
        let percent = ratio.map(|ratio| percent(ratio, factor) * 100.0);
        Verdict {
            row: self.id.clone(),
            goal: format!("{} {words} {factor} x {base}", goal.subject),
            ratio,
            met: percent.map(|percent| percent >= 100.0),
            percent,
        }
    }
}

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The load average when it was over.
    pub(crate) load_average_after: f64,
    /// The settings of the run, name and value.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Prints the goals of all rows.
    pub(crate) fn print_summary(&self) {
        let verdicts: Vec<_> = self.rows.iter().flat_map(|row| &row.verdicts).collect();
        if verdicts.is_empty() {
            return;
        }
        println!("\n{:22} {:56} {:>7} {:>6}", "row", "goal", "ratio", "%");
        for verdict in &verdicts {
            println!("{}", verdict_line(verdict));
        }
        let met = verdicts.iter().filter(|v| v.met == Some(true)).count();
        let known = verdicts.iter().filter(|v| v.met.is_some()).count();
        println!(
            "{met} of {known} goals met, load average now {:.2}",
            self.load_average_after
        );
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn verdict_line(verdict: &Verdict) -> String {
    let Verdict {
        row,
        goal,
        ratio,
        met,
        percent,
    } = verdict;
    let (Some(ratio), Some(met), Some(percent)) = (ratio, met, percent) else {
        return format!("{row:22} {goal:56} {:>7} {:>6} not measured", "-", "-");
    };
    let word = if *met { "met" } else { "MISSED" };
    format!("{row:22} {goal:56} {ratio:>7.2} {percent:>6.0} {word}")
}

/// Prints a row: one line for each store, with its ratio to `base` where there is one.
pub(crate) fn print_row(row: &Row, base: &str) {
    let base_rate = row.cells.iter().find(|cell| cell.store == base);
    let base_rate = base_rate.and_then(Cell::rate);
    println!("\n{}  [{}]", row.title, row.id);
    let head = ["thousand/s", "us CPU", "ratio"];
    println!(
        "  {:24} {:>11} {:>9} {:>8}  rounds",
        "", head[0], head[1], head[2]
    );
    for cell in &row.cells {
        let (Some(rate), Some(cpu_us)) = (cell.rate(), cell.cpu_us()) else {
            let why = cell.missing.as_deref().unwrap_or("not measured");
            println!("  {:24} {why}", cell.store);
            continue;
        };
        let ratio = base_rate.map(|base| format!("{:.2}", rate / base));
        let ratio = ratio.unwrap_or_else(|| "-".to_owned());
        let rounds = cell
            .rounds
            .iter()
            .map(|f| format!("{:.1}", f.per_second / 1e3));
        let rounds: Vec<_> = rounds.collect();
        let latency = cell.latency().map_or(String::new(), |l| latency_text(&l));
        let storage = cell.rounds.iter().find_map(|figure| figure.storage);
        let storage = storage.map_or(String::new(), |storage| storage_text(&storage));
        let commits = cell.commits().map_or(String::new(), |c| commits_text(&c));
        println!(
            "  {:24} {:>11.1} {cpu_us:>9.2} {ratio:>8}  {}{latency}{storage}{commits}",
            cell.store,
            rate / 1e3,
            rounds.join(" ")
        );
    }
    for verdict in &row.verdicts {
        println!("  {}", verdict_line(verdict));
    }
}

fn latency_text(latency: &Latency) -> String {
    let Latency {
        p50,
        p99,
        p999,
        max,
    } = latency;
    format!("  p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} max {max:.0} us")
}

fn storage_text(storage: &Storage) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let Storage {
        resident_bytes,
        resident_before_bytes,
        budget_bytes,
        written_per_byte,
        space_per_byte,
        idle,
    } = storage;
    let written = written_per_byte.map_or(String::new(), |w| format!(", written {w:.2} B/B"));
    let owed = if *idle { "" } else { ", still at work" };
    format!(
        "  resident {} MiB, {} before, budget {}{written}, space {space_per_byte:.2} B/B{owed}",
        mib(*resident_bytes),
        mib(*resident_before_bytes),
        mib(*budget_bytes)
    )
}

fn commits_text(commits: &Commits) -> String {
    let Commits {
        conflicts,
        per_sync,
    } = commits;
    let per_sync = per_sync.map_or(String::new(), |n| format!(", {n:.1} commits a sync"));
    format!("  {conflicts} conflicts{per_sync}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(per_second: f64, cpu_us: f64) -> Figure {
        Figure {
            per_second,
            cpu_us,
            ..Figure::default()
        }
    }

    fn row() -> Row {
        let mut row = Row::new("put", "puts");
        for (ours, theirs) in [(90.0, 10.0), (40.0, 20.0), (60.0, 20.0)] {
            row.note("ours", figure(ours, 1.0));
            row.note("theirs", figure(theirs, 4.0));
        }
        row.note_missing("absent", "not here");
        row
    }

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_within_rounds() {
        let mut row = row();
        row.judge(&[
            Goal::rate("ours", 2.0, "theirs"),
            Goal::rate("ours", 4.0, "theirs"),
        ]);
        let verdicts: Vec<_> = row.verdicts.iter().map(|v| (v.ratio, v.met)).collect();
        assert_eq!(
            verdicts,
            [(Some(3.0), Some(true)), (Some(3.0), Some(false))]
        );
        assert_eq!(row.verdicts[1].percent, Some(75.0));
    }

    #[test]
    fn an_upper_bound_is_met_from_below() {
        let mut row = row();
        let goals = [0.5, 0.2].map(|most| Goal::cpu("ours", most, "theirs"));
        row.judge(&goals);
        let met: Vec<_> = row.verdicts.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [Some(true), Some(false)]);
    }

    #[test]
    fn a_goal_over_a_store_that_is_missing_is_neither_met_nor_missed() {
        let mut row = row();
        row.judge(&[Goal::rate("ours", 1.0, "absent")]);
        assert_eq!(row.verdicts[0].met, None);
        assert!(verdict_line(&row.verdicts[0]).contains("not measured"));
    }
}
