//! The verdict on a history: the checker's, with everything that is neither valid nor invalid told apart.

use std::fmt;
use std::time::Duration;

use adya::{History as Checked, Opts, Valid, Workload, check};

use super::event::History;
use super::model::Model;

/// The checker may search for a cycle in one knot of transactions for so long.
const SEARCH_MAX: Duration = Duration::from_secs(20);

/// What a history is under a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that the model forbids.
    Valid,
    /// At least one anomaly that the model forbids.
    Invalid(Vec<Anomaly>),
    /// The checker cannot say: too little in it, too much, or malformed. Never good.
    Undecided(String),
}

/// Something that a model forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The checker's name for it.
    pub kind: String,
    /// The transactions, and why it is one.
    pub why: String,
}

impl Verdict {
    /// Whether an anomaly of this kind was found.
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        matches!(self, Self::Invalid(found) if found.iter().any(|anomaly| anomaly.kind == kind))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Undecided(why) => write!(f, "undecided: {why}"),
            Self::Invalid(found) => found
                .iter()
                .try_for_each(|Anomaly { kind, why }| write!(f, "[{kind}] {why} ")),
        }
    }
}

/// Judges a history. Cost: grows with the history, about a second for 50,000 transactions.
#[must_use]
pub fn judge(history: &History, model: Model) -> Verdict {
    judge_lines(&history.lines(), model)
}

/// Judges lines of JSON, of whatever origin.
#[must_use]
pub fn judge_lines(lines: &str, model: Model) -> Verdict {
    let history = match Checked::from_json(lines) {
        Ok(history) => history,
        Err(error) => return Verdict::Undecided(error.to_string()),
    };
    let opts = Opts {
        models: vec![model.name().to_owned()],
        timeout: SEARCH_MAX,
        ..Opts::default()
    };
    let report = check(&history, Workload::ListAppend, &opts);
    let first_of_each = report.anomalies.into_iter().filter_map(|(kind, found)| {
        let why = found.into_iter().next()?.explanation;
        Some(Anomaly { kind, why })
    });
    let found: Vec<Anomaly> = first_of_each.collect();
    match report.valid {
        Valid::True => Verdict::Valid,
        Valid::False => Verdict::Invalid(found),
        Valid::Unknown => Verdict::Undecided(Verdict::Invalid(found).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_undecided() {
        let empty = judge(&History::default(), Model::Serializable);
        assert!(matches!(empty, Verdict::Undecided(_)), "{empty}");
        let torn = judge_lines("{\"type\":\"ok\",", Model::Serializable);
        assert!(matches!(torn, Verdict::Undecided(_)), "{torn}");
    }
}
