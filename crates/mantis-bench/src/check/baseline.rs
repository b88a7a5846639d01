//! The baseline, and what a figure beside it means.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::count::Counter;
use super::workload::Workload;

/// What each workload cost when the baseline was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// The compiler that it was built with: another one makes other instructions.
    compiler: String,
    /// Instructions of an operation.
    instructions: BTreeMap<String, f64>,
    /// CPU time of an operation, over that of the fixed workload.
    cpu_time: BTreeMap<String, f64>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub(super) fn write(&mut self, path: &Path) -> Result<()> {
        self.compiler = compiler();
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn get(&self, counter: Counter, workload: Workload) -> Option<f64> {
        self.figures(counter).get(&workload.to_string()).copied()
    }

    /// Forgets the figures of a counter, so that workloads that are gone do not stay.
    pub(super) fn clear(&mut self, counter: Counter) {
        match counter {
            Counter::Instructions => self.instructions.clear(),
            Counter::CpuTime => self.cpu_time.clear(),
        }
    }

    /// Rounded: the digits behind are noise in every diff.
    pub(super) fn set(&mut self, counter: Counter, workload: Workload, figure: f64) {
        let (figures, digits) = match counter {
            Counter::Instructions => (&mut self.instructions, 1.0),
            Counter::CpuTime => (&mut self.cpu_time, 100.0),
        };
        figures.insert(workload.to_string(), (figure * digits).round() / digits);
    }

    fn figures(&self, counter: Counter) -> &BTreeMap<String, f64> {
        match counter {
            Counter::Instructions => &self.instructions,
            Counter::CpuTime => &self.cpu_time,
        }
    }

    /// Says so when the compiler is another one.
    pub(super) fn note_about_compiler(&self) -> Option<String> {
        let here = compiler();
        let differs = here != self.compiler;
        differs.then(|| {
            let before = &self.compiler;
            format!("the baseline was written with {before}, this is {here}: figures may differ")
        })
    }
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// What a figure beside its baseline means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finding {
    /// Within what repetition alone changes.
    Same,
    /// More, by this share.
    Worse(f64),
    /// Less, by this share: the baseline should be written anew, or a later loss stays unseen.
    Better(f64),
    /// The baseline does not know the workload.
    New,
}

impl Finding {
    pub(super) const fn is_bad(self) -> bool {
        matches!(self, Self::Worse(_) | Self::New)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => write!(f, "same"),
            Self::Worse(share) => write!(f, "WORSE by {:.1} %", share * 100.0),
            Self::Better(share) => write!(f, "better by {:.1} %: update it", share * 100.0),
            Self::New => write!(f, "NOT IN THE BASELINE"),
        }
    }
}

/// Compares a figure with the baseline. `tolerance` is the share that repetition may change.
pub(super) fn decide(baseline: Option<f64>, figure: f64, tolerance: f64) -> Finding {
    let Some(baseline) = baseline else {
        return Finding::New;
    };
    // A baseline of nothing cannot be compared with; it was not measured.
    if baseline <= 0.0 {
        return Finding::New;
    }
    let change = figure / baseline - 1.0;
    if change > tolerance {
        Finding::Worse(change)
    } else if change < -tolerance {
        Finding::Better(-change)
    } else {
        Finding::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_no_finding_and_a_slowdown_is_one() {
        for (figure, expected) in [
            (1000.0, Finding::Same),
            (1049.0, Finding::Same),
            (951.0, Finding::Same),
            (1200.0, Finding::Worse(0.2)),
            (500.0, Finding::Better(0.5)),
        ] {
            let finding = decide(Some(1000.0), figure, 0.05);
            let close = match (finding, expected) {
                (Finding::Worse(a), Finding::Worse(b))
                | (Finding::Better(a), Finding::Better(b)) => (a - b).abs() < 1e-9,
                (finding, expected) => finding == expected,
            };
            assert!(close, "{figure}: {finding:?}");
        }
    }

    #[test]
    fn what_has_no_baseline_fails() {
        assert_eq!(decide(None, 10.0, 0.05), Finding::New);
        assert_eq!(decide(Some(0.0), 10.0, 0.05), Finding::New);
        assert!(Finding::New.is_bad() && Finding::Worse(0.1).is_bad());
        assert!(!Finding::Same.is_bad() && !Finding::Better(0.1).is_bad());
    }

    #[test]
    fn a_twenty_percent_loop_is_over_the_bound_of_instructions() {
        let tolerance = Counter::Instructions.tolerance();
        assert!(decide(Some(100.0), 120.0, tolerance).is_bad());
        assert!(!decide(Some(100.0), 101.0, tolerance).is_bad());
    }

    #[test]
    fn a_baseline_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baseline.json");
        let mut baseline = Baseline::default();
        for (counter, figure) in [(Counter::Instructions, 1234.6), (Counter::CpuTime, 0.126)] {
            baseline.set(counter, Workload::KvGet, figure);
        }
        baseline.write(&path).unwrap();
        let read = Baseline::read(&path).unwrap();
        assert_eq!(read, baseline);
        assert_eq!(
            read.get(Counter::Instructions, Workload::KvGet),
            Some(1235.0)
        );
        assert_eq!(read.get(Counter::CpuTime, Workload::KvGet), Some(0.13));
        assert_eq!(read.get(Counter::CpuTime, Workload::KvPut), None);
        baseline.clear(Counter::CpuTime);
        assert_eq!(baseline.get(Counter::CpuTime, Workload::KvGet), None);
        assert!(
            baseline
                .get(Counter::Instructions, Workload::KvGet)
                .is_some()
        );
    }

    #[test]
    fn the_baseline_of_the_repository_knows_every_workload() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/operations.json");
        let baseline = Baseline::read(Path::new(path)).unwrap();
        for workload in Workload::ALL {
            for counter in [Counter::Instructions, Counter::CpuTime] {
                assert!(
                    baseline.get(counter, workload).is_some(),
                    "{workload} {counter:?}"
                );
            }
        }
    }
}
