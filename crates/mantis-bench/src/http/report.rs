//! Figures with their floors, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Floor {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(floor) => value >= floor,
            Self::AtMost(ceiling) => value <= ceiling,
        }
    }

    /// As the table shows it.
    fn verdict(self, value: f64) -> String {
        let (sign, bound) = match self {
            Self::AtLeast(bound) => (">=", bound),
            Self::AtMost(bound) => ("<=", bound),
        };
        let word = if self.is_met(value) { "met" } else { "MISSED" };
        format!("{sign} {:<9} {word}", number(bound))
    }
}

/// One measured value.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    floor: Option<Floor>,
}

/// The figures of one measurement.
#[derive(Clone, Debug, Default)]
pub struct Report {
    title: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// A measurement that cannot be made here.
    #[must_use]
    pub fn skipped(title: &str, reason: &str) -> Self {
        let mut report = Self::new(title);
        report.note(format!("SKIP {title}: {reason}"));
        report
    }

    /// Adds a figure that has no floor.
    pub fn say(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.add(name.into(), value, unit, None);
    }

    /// Adds a figure that is held against a floor.
    pub fn hold(&mut self, name: impl Into<String>, value: f64, unit: &'static str, floor: Floor) {
        self.add(name.into(), value, unit, Some(floor));
    }

    /// Adds a line of explanation.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn add(&mut self, name: String, value: f64, unit: &'static str, floor: Option<Floor>) {
        self.figures.push(Figure {
            name,
            value,
            unit,
            floor,
        });
    }

    /// Figures that miss their floor.
    #[must_use]
    pub fn missed(&self) -> usize {
        let misses = |figure: &&Figure| figure.floor.is_some_and(|f| !f.is_met(figure.value));
        self.figures.iter().filter(misses).count()
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{}\n", self.title);
        let width = self.figures.iter().map(|f| f.name.len()).max().unwrap_or(0);
        for Figure {
            name,
            value,
            unit,
            floor,
        } in &self.figures
        {
            let shown = number(*value);
            let verdict = floor.map_or_else(String::new, |floor| floor.verdict(*value));
            let line = format!("  {name:<width$} {shown:>12} {unit:<7} {verdict}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            writeln!(text, "  {note}").expect("writing to a string");
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|figure| {
                let floor = figure.floor.map(|floor| match floor {
                    Floor::AtLeast(bound) => json!({"at_least": bound}),
                    Floor::AtMost(bound) => json!({"at_most": bound}),
                });
                json!({
                    "name": figure.name,
                    "value": figure.value,
                    "unit": figure.unit,
                    "floor": floor,
                    "met": figure.floor.map(|floor| floor.is_met(figure.value)),
                })
            })
            .collect();
        json!({"title": self.title, "figures": figures, "notes": self.notes})
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_held_against_their_floors() {
        let mut report = Report::new("title");
        report.say("plain", 1.0, "s");
        report.hold("good", 2.0, "x", Floor::AtMost(2.0));
        report.hold("low", 1.9, "/s", Floor::AtLeast(2.0));
        assert_eq!(report.missed(), 1);
        let table = report.table();
        assert!(table.contains("met") && table.contains("MISSED"), "{table}");
        let figures = &report.json()["figures"];
        assert_eq!(figures[0]["met"], Value::Null);
        assert_eq!(figures[1]["met"], true);
        assert_eq!(figures[2]["met"], false);
    }
}
