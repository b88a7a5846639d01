//! Many clients at once through one door, and the judgement of what they wrote down.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use mantis_types::Isolation;

use super::account::{Lists, account};
use super::client::{Client, Habits, Seen};
use super::event::{Event, History, Micro, Stage};
use super::journal::{Journal, Recorder};
use super::judge::{Verdict, judge};
use super::lists;
use super::model::Model;
use super::plan::Mix;
use super::project::project;
use crate::door::{Door, Refusal, Wish};
use crate::rig::specimen::Tally;

/// All transactions of a run, in a tally.
pub const TRANSACTIONS: &str = "transactions";

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is drawn.
    pub mix: Mix,
    /// How many clients.
    pub clients: u64,
    /// The number of the first client: behind all processes of the runs before, in one history.
    pub process: u64,
    /// How they go about it.
    pub habits: Habits,
    /// How many transactions, over all clients.
    pub transactions: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What the clients saw.
    pub seen: Seen,
    /// What they wrote down.
    pub history: History,
    /// Appends that were acknowledged and checked.
    pub promised: u64,
    /// Those of them that are gone.
    pub lost: u64,
    /// Everything that must not be, in words.
    pub findings: Vec<String>,
}

impl Outcome {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.lost == 0 && self.findings.is_empty()
    }
}

impl Outcome {
    /// Adds it to a tally; `whose` stands before each finding.
    pub fn add_to(&self, tally: &mut Tally, whose: &str) {
        tally.rounds += 1;
        tally.acks += self.seen.committed;
        tally.promised += self.promised;
        tally.lost += self.lost;
        tally.count(TRANSACTIONS, self.seen.all());
        tally.count("given up", self.seen.given_up);
        tally.count("unknown", self.seen.unknown);
        for (code, times) in &self.seen.refused {
            tally.count(&format!("refused {code}"), *times);
        }
        for finding in &self.findings {
            tally.find(format!("{whose}: {finding}"));
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen {
            committed,
            given_up,
            unknown,
            refused,
            ..
        } = &self.seen;
        write!(
            f,
            "{committed} committed, {given_up} given up, {unknown} unknown, refused {refused:?}, \
             promised {}, lost {}",
            self.promised, self.lost
        )?;
        let texts = self.findings.iter();
        texts
            .into_iter()
            .try_for_each(|text| write!(f, "\n  finding: {text}"))
    }
}

impl Run {
    /// Runs it and judges it.
    #[must_use]
    pub fn perform(&self, door: &dyn Door) -> Outcome {
        let recorder = Recorder::default();
        let seen = self.let_run(0, door, &recorder);
        let end = self.mix.lists_end(self.transactions);
        let at_end = read_all(door, end, &recorder);
        examine(recorder.into_history(), seen, at_end)
    }

    /// Lets the clients run, from transaction `first` on.
    pub fn let_run(&self, first: u64, door: &dyn Door, journal: &dyn Journal) -> Seen {
        let next = &AtomicU64::new(first);
        let end = first.saturating_add(self.transactions);
        let numbers = move || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            (number < end).then_some(number)
        };
        let carry_out_some = move |process| {
            let mut client = Client::new(process, self.clients, self.habits);
            while let Some(number) = numbers() {
                client.carry_out(&self.mix.plan(number), door, journal);
            }
            client.seen
        };
        let mut seen = Seen::default();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients)
                .map(|number| scope.spawn(move || carry_out_some(self.process + number)))
                .collect();
            for client in clients {
                match client.join() {
                    Ok(own) => seen.add(own),
                    Err(_) => seen.strange.push("a client panicked".to_owned()),
                }
            }
        });
        seen
    }
}

/// Reads every list below `end` in one transaction, which becomes part of the history.
///
/// # Errors
/// When the store refuses.
pub fn read_all(door: &dyn Door, end: u64, journal: &dyn Journal) -> Result<Lists, Refusal> {
    let level = Isolation::Serializable;
    let event = |stage, micros| Event {
        process: u64::from(u32::MAX),
        level,
        stage,
        micros,
    };
    journal.note(event(Stage::Invoke, Vec::new()));
    let mut txn = door.begin(&Wish {
        read_only: true,
        ..Wish::at(level)
    })?;
    let rows = txn.scan(&lists::key(0), &lists::key(end))?;
    txn.commit()?;
    let mut all = Lists::new();
    for (key, value) in rows {
        let number = lists::number(&key);
        let number = number.ok_or_else(|| Refusal::new("foreign", "a key that is no list's"))?;
        all.insert(number, lists::decode(Some(&value))?);
    }
    let micros = all.iter().map(|(key, list)| Micro::Read {
        key: *key,
        list: Some(list.clone()),
    });
    journal.note(event(Stage::Ok, micros.collect()));
    Ok(all)
}

/// Judges a history, with what the clients saw and the lists at the end.
#[must_use]
pub fn examine(history: History, seen: Seen, at_end: Result<Lists, Refusal>) -> Outcome {
    let mut outcome = Outcome::default();
    let findings = &mut outcome.findings;
    findings.extend(seen.strange.iter().map(|text| format!("a refusal: {text}")));
    match at_end {
        Ok(lists) => {
            let account = account(&history, &lists);
            (outcome.promised, outcome.lost) = (account.promised, account.lost);
            findings.extend(account.findings);
        }
        Err(refusal) => findings.push(format!("not read at the end: {}", refusal.text)),
    }
    findings.extend(judge_levels(&history));
    outcome.seen = seen;
    outcome.history = history;
    outcome
}

/// Judges a history for each level in it, with the order in time and without.
#[must_use]
pub fn judge_levels(history: &History) -> Vec<String> {
    // The transaction that reads all in the end is serializable, whatever the others are.
    let writes = |event: &&Event| event.stage == Stage::Invoke && !event.micros.is_empty();
    let levels: BTreeSet<Isolation> = history
        .events
        .iter()
        .filter(writes)
        .map(|event| event.level)
        .collect();
    let mut findings = Vec::new();
    for level in levels {
        let part = project(history, level);
        let model = Model::of(level);
        for model in [model, model.in_time()] {
            let verdict = judge(&part, model);
            if verdict != Verdict::Valid {
                findings.push(format!("{level} under {}: {verdict}", model.name()));
            }
        }
    }
    findings
}
