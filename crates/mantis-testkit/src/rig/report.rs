//! What a part of the rig came to: for people in words, for the gate as one line of JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::calibration::Calibration;
use super::flip::FlipTally;
use super::specimen::Tally;

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing wrong, and every control failed as it must.
    Passed,
    /// Something is wrong with the store.
    Failed,
    /// A control did not fail as it must, or failed though it must not: the part proves nothing.
    Uncalibrated(String),
    /// This machine cannot run it.
    Skipped(String),
}

/// The report of one part.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which part.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Whatever was tested, and every control, with its figures; in the order of their being added.
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug)]
struct Subject {
    name: String,
    /// For people.
    text: String,
    figures: BTreeMap<String, u64>,
    findings: Vec<String>,
}

impl Report {
    /// A part that did not run.
    #[must_use]
    pub fn skipped(name: &str, reason: &anyhow::Error) -> Self {
        Self {
            name: name.to_owned(),
            outcome: Outcome::Skipped(format!("{reason:#}")),
            subjects: Vec::new(),
        }
    }

    /// A part that ran: whether its controls did as they must, and whether nothing is wrong.
    #[must_use]
    pub fn new(name: &str, calibration: &Calibration, right: bool) -> Self {
        let outcome = match (calibration.is_met(), right) {
            (_, false) => Outcome::Failed,
            (false, true) => Outcome::Uncalibrated(calibration.reason()),
            (true, true) => Outcome::Passed,
        };
        Self {
            name: name.to_owned(),
            outcome,
            subjects: Vec::new(),
        }
    }

    /// Adds what is tested; its name begins with `store`.
    #[must_use]
    pub fn store(mut self, name: &str, tally: &Tally) -> Self {
        self.subjects.push(Subject {
            name: name.to_owned(),
            text: tally.to_string(),
            figures: tally.as_figures(),
            findings: tally.findings.clone(),
        });
        self
    }

    /// Adds a control, whose findings are wanted.
    #[must_use]
    pub fn control(self, name: &str, tally: &Tally) -> Self {
        let tally = Tally {
            findings: Vec::new(),
            ..tally.clone()
        };
        self.store(&format!("control {name}"), &tally)
    }

    /// Adds the flips of what is tested.
    #[must_use]
    pub fn flips(mut self, name: &str, tally: &FlipTally) -> Self {
        self.subjects.push(Subject {
            name: name.to_owned(),
            text: format!("\n{tally}"),
            figures: tally.as_figures(),
            findings: tally.findings.clone(),
        });
        self
    }

    /// Adds the flips of a control, whose findings are wanted.
    #[must_use]
    pub fn flipped_control(self, name: &str, tally: &FlipTally) -> Self {
        let tally = FlipTally {
            findings: Vec::new(),
            ..tally.clone()
        };
        self.flips(&format!("control {name}"), &tally)
    }

    /// Adds figures that no tally keeps.
    #[must_use]
    pub fn figures<const N: usize>(mut self, name: &str, figures: [(&str, u64); N]) -> Self {
        let figures = figures.map(|(figure, n)| (figure.to_owned(), n));
        let figures = BTreeMap::from(figures);
        let text = figures.iter().map(|(figure, n)| format!("{figure} {n}"));
        self.subjects.push(Subject {
            name: name.to_owned(),
            text: text.collect::<Vec<_>>().join(", "),
            figures,
            findings: Vec::new(),
        });
        self
    }

    /// Adds findings to what was added last.
    #[must_use]
    pub fn finding(mut self, findings: &[String]) -> Self {
        if let Some(subject) = self.subjects.last_mut() {
            subject.findings.extend_from_slice(findings);
            for finding in findings {
                subject.text = format!("{}\n  finding: {finding}", subject.text);
            }
        }
        self
    }

    /// One line for a program.
    #[must_use]
    pub fn line(&self) -> String {
        let (outcome, reason) = match &self.outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed => ("failed", ""),
            Outcome::Uncalibrated(reason) => ("uncalibrated", reason.as_str()),
            Outcome::Skipped(reason) => ("skipped", reason.as_str()),
        };
        let figures = self
            .subjects
            .iter()
            .map(|s| (s.name.clone(), json!(s.figures)));
        let figures: serde_json::Map<String, Value> = figures.collect();
        let findings = self.subjects.iter().flat_map(|subject| {
            let name = &subject.name;
            subject
                .findings
                .iter()
                .map(move |finding| format!("{name}: {finding}"))
        });
        let findings: Vec<String> = findings.collect();
        json!({
            "name": self.name,
            "outcome": outcome,
            "reason": reason,
            "figures": figures,
            "findings": findings,
        })
        .to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Skipped(reason) => write!(f, "SKIP {}: {reason}", self.name),
            other => {
                write!(f, "{}: {other:?}", self.name)?;
                self.subjects
                    .iter()
                    .try_for_each(|s| write!(f, "\n{}: {}", s.name, s.text.trim_end()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_holds_every_figure_and_the_findings_of_the_store_alone() {
        let mut tally = Tally {
            lost: 3,
            ..Tally::default()
        };
        tally.find("gone");
        let report = Report::new("kill", &Calibration::default(), false)
            .control("that loses", &tally)
            .store("store", &tally);
        let line = report.line();
        let back: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["outcome"], "failed");
        assert_eq!(back["figures"]["store"]["lost"], 3);
        assert_eq!(back["figures"]["control that loses"]["lost"], 3);
        assert_eq!(back["findings"], json!(["store: gone"]));
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_failure_weighs_more_than_a_control() {
        let met = Calibration::default();
        let unmet = Calibration::of_cap(true, true);
        assert_eq!(Report::new("a", &unmet, false).outcome, Outcome::Failed);
        assert_eq!(Report::new("a", &met, false).outcome, Outcome::Failed);
        assert_eq!(Report::new("a", &met, true).outcome, Outcome::Passed);
        let report = Report::new("a", &unmet, true);
        assert_eq!(report.outcome, Outcome::Uncalibrated(unmet.reason()));
        assert!(report.line().contains("the one over the cap is killed"));
    }
}
