//! The oracle: what a store must hold after a crash, given the script and the acknowledgements.
//!
//! Each writer does one step after the other on keys of its own, so what it left behind must be the
//! state after exactly its first N steps, where N covers every step that was promised to stay and at
//! most the one step that was still on its way. One comparison therefore finds lost writes, halves
//! of batches, values that nobody wrote, deleted keys that came back and counters that drifted.

use std::collections::{BTreeMap, BTreeSet};

use super::heard::{Heard, Tried};
use super::script::{Change, Digest, SHARED_COUNTER, Script, Step};
use super::wire::{Ack, Answer};

/// Outcomes of unknown steps are tried in all combinations up to this many.
const UNKNOWN_STEPS_MAX: usize = 6;
/// A verdict names at most this many findings of one writer.
const FINDINGS_SHOWN_MAX: usize = 4;

/// What a reader found in the store.
pub type Contents = BTreeMap<Vec<u8>, Found>;

/// One pair that a reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The commit that wrote it.
    pub seq: u64,
    /// Of its value.
    pub digest: Digest,
}

/// What must have stayed, as counts of steps for each writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// The first so many steps of each writer must be there.
    pub must: Vec<u64>,
}

/// What the comparison says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Promised steps that are gone, all writers together.
    pub lost: u64,
    /// Everything that must not be, in words; empty when the store is right.
    pub findings: Vec<String>,
    /// Promised steps that were checked.
    pub promised: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.findings.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    digest: Digest,
    number: Option<i64>,
    /// Known once the step was acknowledged.
    seq: Option<u64>,
}

type Model = BTreeMap<Vec<u8>, Cell>;

/// Knows what every writer has left behind in the epochs so far.
#[derive(Clone, Debug)]
pub struct Oracle {
    script: Script,
    epoch: u64,
    models: Vec<Model>,
    shared: i64,
}

impl Oracle {
    /// The oracle of an empty store.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let models = (0..script.writers).map(|_| Model::new()).collect();
        Self {
            script,
            epoch: 0,
            models,
            shared: 0,
        }
    }

    /// The epoch that the next start of the writing process has.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Checks what was found after one epoch, and takes it as the base of the next one.
    pub fn judge(&mut self, heard: &Heard, promise: &Promise, found: &Contents) -> Verdict {
        let mut verdict = Verdict::default();
        let mut shared = (self.shared, self.shared);
        for writer in 0..self.script.writers {
            let tried = heard.tried(writer);
            let place = usize::try_from(writer).unwrap_or(usize::MAX);
            let must = promise.must.get(place).copied().unwrap_or(0);
            verdict.promised += acked_below(&tried, must);
            let base = self.models.get(place).cloned().unwrap_or_default();
            let trial = Trial {
                script: &self.script,
                epoch: self.epoch,
                writer,
                found,
                must,
            };
            let fit = trial.fit(&base, &tried);
            shared.0 += fit.shared.0;
            shared.1 += fit.shared.1;
            verdict.lost += fit.lost;
            verdict.findings.extend(fit.findings);
            if let Some(model) = self.models.get_mut(place) {
                *model = fit.model;
            }
        }
        self.judge_shared(shared, found, &mut verdict);
        judge_strangers(self.script.writers, found, &mut verdict);
        self.epoch += 1;
        verdict
    }

    fn judge_shared(&mut self, (low, high): (i64, i64), found: &Contents, verdict: &mut Verdict) {
        let at_hand = found.get(SHARED_COUNTER).map(|f| f.digest);
        let fits = |sum: &i64| match at_hand {
            Some(digest) => digest == number_digest(*sum),
            None => *sum == 0,
        };
        match (low..=high).find(fits) {
            Some(sum) => self.shared = sum,
            None => {
                verdict
                    .findings
                    .push(format!("shared counter is not within {low}..={high}"));
            }
        }
    }
}

fn acked_below(tried: &[Tried], must: u64) -> u64 {
    let below = usize::try_from(must).unwrap_or(usize::MAX);
    let acked = tried
        .iter()
        .take(below)
        .filter(|tried| matches!(tried, Tried::Acked(_)));
    u64::try_from(acked.count()).unwrap_or(u64::MAX)
}

fn judge_strangers(writers: u32, found: &Contents, verdict: &mut Verdict) {
    let known = |key: &[u8]| {
        key == SHARED_COUNTER || (0..writers).any(|w| key.starts_with(&Script::prefix(w)))
    };
    for key in found
        .keys()
        .filter(|key| !known(key))
        .take(FINDINGS_SHOWN_MAX)
    {
        verdict
            .findings
            .push(format!("a key that nobody wrote: {}", key.escape_ascii()));
    }
}

fn number_digest(number: i64) -> Digest {
    Digest::of(number.to_string().as_bytes())
}

/// One writer's part of a comparison.
struct Trial<'a> {
    script: &'a Script,
    epoch: u64,
    writer: u32,
    found: &'a Contents,
    must: u64,
}

#[derive(Debug, Default)]
struct Fit {
    model: Model,
    shared: (i64, i64),
    lost: u64,
    findings: Vec<String>,
}

impl Trial<'_> {
    /// Finds the number of steps that explains what was found.
    fn fit(&self, base: &Model, tried: &[Tried]) -> Fit {
        let last_acked = tried.iter().rposition(|t| matches!(t, Tried::Acked(_)));
        // Behind the promise nothing has to be explained one way or the other: reads that fail after a
        // power cut make steps of unknown outcome there, and commits of class none go on between.
        let promised = usize::try_from(self.must).unwrap_or(usize::MAX);
        let unknown: Vec<usize> = tried
            .iter()
            .enumerate()
            .take(promised)
            .filter(|&(at, t)| *t == Tried::Unknown && last_acked.is_some_and(|l| at < l))
            .map(|(at, _)| at)
            .collect();
        if unknown.len() > UNKNOWN_STEPS_MAX {
            let text = format!("writer {}: {} unknown outcomes", self.writer, unknown.len());
            return Fit {
                findings: vec![text],
                ..Fit::default()
            };
        }
        let mut worst = None;
        for choice in 0..1_u32 << unknown.len() {
            let happened = |at: usize| {
                unknown
                    .iter()
                    .position(|&u| u == at)
                    .is_none_or(|bit| choice >> bit & 1 == 1)
            };
            let fit = self.fit_one(base, tried, &happened);
            if fit.findings.is_empty() {
                return fit;
            }
            worst.get_or_insert(fit);
        }
        worst.unwrap_or_default()
    }

    fn fit_one(&self, base: &Model, tried: &[Tried], happened: &dyn Fn(usize) -> bool) -> Fit {
        let mut state = Matched::new(base.clone(), self.found, &Script::prefix(self.writer));
        let mut search = Search::default();
        search.look(&state, 0, self.must);
        // Answers behind an unknown step that is behind the promise follow from what nobody knows.
        let mut answers_count = true;
        for (at, outcome) in tried.iter().enumerate() {
            let done = u64::try_from(at + 1).unwrap_or(u64::MAX);
            answers_count &= *outcome != Tried::Unknown || done <= self.must;
            if *outcome != Tried::NotDone && happened(at) {
                let wrong = self.take(&mut state, at, outcome);
                search.wrong_answers.extend(wrong.filter(|_| answers_count));
            }
            search.look(&state, done, self.must);
        }
        let mut fit = self.conclude(search);
        fit.findings.truncate(FINDINGS_SHOWN_MAX);
        self.fill_in_seqs(&mut fit.model);
        fit
    }

    fn take(&self, state: &mut Matched<'_>, at: usize, outcome: &Tried) -> Option<String> {
        let index = u64::try_from(at).unwrap_or(u64::MAX);
        let step = self.script.step(self.epoch, self.writer, index);
        let ack = if let Tried::Acked(ack) = outcome {
            Some(ack)
        } else {
            None
        };
        let wrong = state.take(&step, ack)?;
        Some(format!("writer {} step {index}: {wrong}", self.writer))
    }

    fn conclude(&self, search: Search) -> Fit {
        let (writer, must) = (self.writer, self.must);
        let mut fit = Fit {
            findings: search.wrong_answers,
            ..Fit::default()
        };
        if let Some((model, low, high)) = search.chosen {
            fit.model = model;
            fit.shared = (low, high);
        } else if let Some(steps) = search.earlier {
            fit.lost = must - steps;
            fit.findings.push(format!(
                "writer {writer}: {steps} steps of {must} promised ones"
            ));
        } else {
            fit.lost = 1;
            fit.findings.push(format!(
                "writer {writer}: not the state after any number of steps"
            ));
            let wrong = search.wrong_at_must.into_iter();
            fit.findings
                .extend(wrong.map(|w| format!("writer {writer}: {w}")));
        }
        fit
    }

    fn fill_in_seqs(&self, model: &mut Model) {
        for (key, cell) in model.iter_mut().filter(|(_, cell)| cell.seq.is_none()) {
            cell.seq = self.found.get(key).map(|f| f.seq);
        }
    }
}

/// What was seen while the steps were gone through.
#[derive(Default)]
struct Search {
    /// The state that fits, and the lowest and highest sum that the shared counter got.
    chosen: Option<(Model, i64, i64)>,
    /// The last number of steps below the promise that would fit.
    earlier: Option<u64>,
    wrong_at_must: Vec<String>,
    wrong_answers: Vec<String>,
}

impl Search {
    fn look(&mut self, state: &Matched<'_>, done: u64, must: u64) {
        match (state.is_equal(), done >= must) {
            (true, true) => {
                let (_, low, high) = self
                    .chosen
                    .get_or_insert_with(|| (state.model.clone(), state.shared, state.shared));
                *low = state.shared.min(*low);
                *high = state.shared.max(*high);
            }
            (true, false) => self.earlier = Some(done),
            (false, true) if self.wrong_at_must.is_empty() => {
                self.wrong_at_must = state.describe();
            }
            (false, _) => {}
        }
    }
}

/// A model that always knows at which keys it differs from what was found.
struct Matched<'a> {
    model: Model,
    found: &'a Contents,
    wrong: BTreeSet<Vec<u8>>,
    shared: i64,
}

impl<'a> Matched<'a> {
    fn new(model: Model, found: &'a Contents, prefix: &[u8]) -> Self {
        let mut state = Self {
            model,
            found,
            wrong: BTreeSet::new(),
            shared: 0,
        };
        let own = found
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        let keys: BTreeSet<Vec<u8>> = own
            .map(|(key, _)| key.clone())
            .chain(state.model.keys().cloned())
            .collect();
        for key in keys {
            state.compare(&key);
        }
        state
    }

    fn is_equal(&self) -> bool {
        self.wrong.is_empty()
    }

    fn compare(&mut self, key: &[u8]) {
        let equal = match (self.model.get(key), self.found.get(key)) {
            (None, None) => true,
            (Some(cell), Some(found)) => {
                cell.digest == found.digest && cell.seq.is_none_or(|seq| seq == found.seq)
            }
            _ => false,
        };
        if equal {
            self.wrong.remove(key);
        } else {
            self.wrong.insert(key.to_vec());
        }
    }

    fn describe(&self) -> Vec<String> {
        let of = |key: &Vec<u8>| {
            let expected = self.model.get(key).map(|c| (c.seq, c.digest));
            let found = self.found.get(key).map(|f| (f.seq, f.digest));
            format!(
                "key {}: expected {expected:?}, found {found:?}",
                key.escape_ascii()
            )
        };
        self.wrong.iter().take(FINDINGS_SHOWN_MAX).map(of).collect()
    }

    /// Takes a step; answers what is wrong with its acknowledgement, if anything.
    fn take(&mut self, step: &Step, ack: Option<&Ack>) -> Option<String> {
        let seq = ack.map(|a| a.seq);
        let mut expected = Answer::Plain;
        for change in &step.changes {
            expected = self.change(change, seq);
        }
        let told = ack.map(|a| a.answer)?;
        let same = step.batch || told == Answer::Plain || told == expected || self.may_be(step);
        (!same).then(|| format!("answered {told:?}, expected {expected:?}"))
    }

    /// The shared counter's answers depend on the other writers.
    fn may_be(&self, step: &Step) -> bool {
        step.changes
            .iter()
            .any(|change| change.key() == SHARED_COUNTER)
    }

    fn change(&mut self, change: &Change, seq: Option<u64>) -> Answer {
        let key = change.key();
        let was = self.model.get(key).copied();
        let answer = match change {
            Change::PutIfAbsent { .. } if was.is_some() => return Answer::NotMet,
            Change::Put { value, .. } | Change::PutIfAbsent { value, .. } => {
                let cell = Cell {
                    digest: value.digest(),
                    number: None,
                    seq,
                };
                self.model.insert(key.to_vec(), cell);
                Answer::Changed(was.is_none())
            }
            Change::Delete { .. } => Answer::Changed(self.model.remove(key).is_some()),
            Change::Add { by, .. } if key == SHARED_COUNTER => {
                self.shared += by;
                return Answer::Plain;
            }
            Change::Add { by, .. } => {
                let sum = was.and_then(|c| c.number).unwrap_or(0) + by;
                let cell = Cell {
                    digest: number_digest(sum),
                    number: Some(sum),
                    seq,
                };
                self.model.insert(key.to_vec(), cell);
                Answer::Counter(sum)
            }
        };
        self.compare(key);
        answer
    }
}

#[cfg(test)]
mod tests;
