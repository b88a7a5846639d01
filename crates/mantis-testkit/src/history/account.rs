//! What no cycle shows: numbers that are gone, that came from nowhere, or that came in part.
//!
//! The checker infers the order of a list from its longest read; an append that was acknowledged and
//! that nobody ever saw stands behind that for it. Here the lists at the end are compared with the ends
//! of all transactions.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event::{Event, History, Stage};

/// At most so many findings of one history are kept.
const FINDINGS_MAX: usize = 20;

/// Every list at the end.
pub type Lists = BTreeMap<u64, Vec<u64>>;

/// What the comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Appends that were acknowledged, and had to be there.
    pub promised: u64,
    /// Those of them that are gone.
    pub lost: u64,
    /// Transactions of unknown outcome that are there, and that are not.
    pub unknown: (u64, u64),
    /// What must not be, in words.
    pub findings: Vec<String>,
}

impl Account {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.lost == 0 && self.findings.is_empty()
    }

    fn find(&mut self, text: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(text);
        }
    }
}

/// Compares the ends of all transactions, and what they read, with the lists at the end.
#[must_use]
pub fn account(history: &History, at_end: &Lists) -> Account {
    let mut account = Account::default();
    let ends: HashMap<(u64, u64), Stage> = ended(history)
        .flat_map(|event| event.appends().map(|append| (append, event.stage)))
        .collect();
    let mut present = HashSet::new();
    for (&key, list) in at_end {
        for &value in list {
            let end = ends.get(&(key, value));
            if !present.insert((key, value)) {
                account.find(format!("{value} stands in list {key} twice"));
            } else if end.is_none() {
                account.find(format!("{value} in list {key} came from nowhere"));
            } else if end == Some(&Stage::Fail) {
                account.find(format!("{value} in list {key} was never committed"));
            }
        }
    }
    for event in ended(history) {
        weigh(event, &present, &mut account);
        for (key, list) in event.reads() {
            let strange = list
                .iter()
                .find(|value| !ends.contains_key(&(key, **value)));
            if let Some(value) = strange {
                account.find(format!("{value} read in list {key} came from nowhere"));
            }
        }
    }
    account
}

fn ended(history: &History) -> impl Iterator<Item = &Event> {
    let events = history.events.iter();
    events.filter(|event| event.stage != Stage::Invoke)
}

fn weigh(event: &Event, present: &HashSet<(u64, u64)>, account: &mut Account) {
    let (here, gone): (Vec<_>, Vec<_>) =
        event.appends().partition(|append| present.contains(append));
    match event.stage {
        Stage::Ok => {
            let count = |list: &Vec<_>| u64::try_from(list.len()).unwrap_or(u64::MAX);
            account.promised += count(&here) + count(&gone);
            account.lost += count(&gone);
            for (key, value) in gone {
                account.find(format!(
                    "{value} of list {key} was acknowledged and is gone"
                ));
            }
        }
        Stage::Info if here.is_empty() => account.unknown.1 += 1,
        Stage::Info if gone.is_empty() => account.unknown.0 += 1,
        Stage::Info => account.find(format!(
            "half of a transaction: {here:?} is there, {gone:?} is not"
        )),
        Stage::Invoke | Stage::Fail => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::controls::history;
    use super::*;

    fn check(transactions: &[&str], at_end: &[(u64, &[u64])], lost: u64, finding: &str) {
        let lists = at_end.iter().map(|(key, list)| (*key, list.to_vec()));
        let found = account(&history(transactions, false), &lists.collect());
        assert_eq!(found.lost, lost, "{found:?}");
        if finding.is_empty() {
            assert!(found.is_right(), "{found:?}");
        } else {
            assert!(!found.is_right());
            assert!(
                found.findings.iter().any(|text| text.contains(finding)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_was_acknowledged_must_be_there() {
        check(&["ok x+1 y+1"], &[(1, &[1]), (2, &[1])], 0, "");
        check(&["ok x+1 y+1"], &[(1, &[1])], 1, "is gone");
    }

    #[test]
    fn what_has_an_unknown_outcome_is_whole_or_absent() {
        check(&["info x+1 y+1"], &[(1, &[1]), (2, &[1])], 0, "");
        check(&["info x+1 y+1"], &[], 0, "");
        check(&["info x+1 y+1"], &[(2, &[1])], 0, "half of");
    }

    #[test]
    fn nothing_is_there_that_nobody_committed() {
        check(&["fail x+1"], &[], 0, "");
        check(&["fail x+1"], &[(1, &[1])], 0, "never committed");
        check(&["ok x+1"], &[(1, &[1, 2])], 0, "from nowhere");
        check(&["ok x+1"], &[(1, &[1, 1])], 0, "twice");
        check(&["ok x=3"], &[], 0, "read in list 1 came from nowhere");
    }
}
