//! What the parent heard from a writing child, and what therefore must stay.

use mantis_types::Durability;

use super::oracle::Promise;
use super::script::Script;
use super::wire::{Ack, Line};

/// The outcome of one step as the parent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Acknowledged.
    Acked(Ack),
    /// Refused, and surely without effect.
    NotDone,
    /// Refused or on its way when the child died: it may have happened.
    Unknown,
}

/// How the store stopped; it decides which durability classes are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The process ended: what is in the log file stays.
    Process,
    /// The power went: what is synced stays.
    Power,
}

/// Everything that a writing child said.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    outcomes: Vec<Vec<Tried>>,
    /// Lines that say that something must not be.
    pub violations: Vec<String>,
    /// Codes of refused steps, with their number of times.
    pub refused: std::collections::BTreeMap<String, u64>,
    /// The error that ended the child, if it said one.
    pub fatal: Option<(String, String, String)>,
    /// Parts of the plan that ended well, in order.
    pub ended: Vec<String>,
    /// Parts of the plan that failed: part and code.
    pub failed: Vec<(String, String)>,
    /// Parts of the plan that have begun.
    pub begun: Vec<String>,
    /// Free text.
    pub notes: Vec<String>,
    /// The process id.
    pub pid: Option<i32>,
    /// Whether the store was opened.
    pub opened: bool,
    /// Whether the plan was done to its end.
    pub done: bool,
    /// Whether a flush and a compaction were running when last heard.
    pub phase: (bool, bool),
    /// How often each of them was heard to start.
    pub phases_seen: (u64, u64),
}

impl Heard {
    /// Takes the next line.
    pub fn take(&mut self, line: Line) {
        match line {
            Line::Pid(pid) => self.pid = Some(pid),
            Line::Opened => self.opened = true,
            Line::Ack(ack) => self.outcome(ack.writer, ack.index, Tried::Acked(ack)),
            Line::Refused {
                writer,
                index,
                unknown,
                code,
            } => {
                *self.refused.entry(code).or_default() += 1;
                let tried = if unknown {
                    Tried::Unknown
                } else {
                    Tried::NotDone
                };
                self.outcome(writer, index, tried);
            }
            Line::Begin(what) => self.begun.push(what),
            Line::End(what) => self.ended.push(what),
            Line::Failed { what, code } => self.failed.push((what, code)),
            Line::Phase { flush, compact } => {
                self.phases_seen.0 += u64::from(flush && !self.phase.0);
                self.phases_seen.1 += u64::from(compact && !self.phase.1);
                self.phase = (flush, compact);
            }
            Line::Violation(text) => self.violations.push(text),
            Line::Fatal { at, code, text } => self.fatal = Some((at, code, text)),
            Line::Note(text) => self.notes.push(text),
            Line::Done(_) => self.done = true,
            Line::Pair { .. } | Line::Event(_) => {
                self.violations.push("no writer says that".to_owned());
            }
        }
    }

    fn outcome(&mut self, writer: u32, index: u64, tried: Tried) {
        let place = usize::try_from(writer).unwrap_or(usize::MAX);
        if place >= 10_000 {
            return self.violations.push(format!("no writer {writer}"));
        }
        if self.outcomes.len() <= place {
            self.outcomes.resize(place + 1, Vec::new());
        }
        let Some(list) = self.outcomes.get_mut(place) else {
            return;
        };
        if usize::try_from(index).is_ok_and(|index| index == list.len()) {
            list.push(tried);
        } else {
            let text = format!(
                "writer {writer} said step {index} after {} steps",
                list.len()
            );
            self.violations.push(text);
        }
    }

    /// Whether a flush and a compaction are running, as far as was heard.
    #[must_use]
    pub fn busy(&self) -> (bool, bool) {
        let open = |part: &str| {
            let begun = self.begun.iter().filter(|begun| *begun == part).count();
            let ended = self.ended.iter().filter(|ended| *ended == part).count();
            begun
                > ended
                    + self
                        .failed
                        .iter()
                        .filter(|(failed, _)| failed == part)
                        .count()
        };
        (
            self.phase.0 || open("flush"),
            self.phase.1 || open("compact"),
        )
    }

    /// All acknowledged steps.
    #[must_use]
    pub fn acks_count(&self) -> u64 {
        let acks = self
            .outcomes
            .iter()
            .flatten()
            .filter(|t| matches!(t, Tried::Acked(_)));
        u64::try_from(acks.count()).unwrap_or(u64::MAX)
    }

    /// The outcomes of `writer`, with the step that may have been on its way at the end.
    #[must_use]
    pub fn tried(&self, writer: u32) -> Vec<Tried> {
        let place = usize::try_from(writer).unwrap_or(usize::MAX);
        let mut list = self.outcomes.get(place).cloned().unwrap_or_default();
        list.push(Tried::Unknown);
        list
    }

    /// What must stay after `stop`, given what had been heard before it happened.
    #[must_use]
    pub fn promise(&self, script: &Script, stop: Stop) -> Promise {
        let weakest = match stop {
            Stop::Process => Durability::Interval,
            Stop::Power => Durability::Sync,
        };
        let acks = |writer: u32| {
            let place = usize::try_from(writer).unwrap_or(usize::MAX);
            self.outcomes
                .get(place)
                .into_iter()
                .flatten()
                .filter_map(|tried| match tried {
                    Tried::Acked(ack) => Some(*ack),
                    _ => None,
                })
        };
        // A promised commit promises every commit before it, of whatever class.
        let horizon = (0..script.writers)
            .filter(|&w| script.class(w) >= weakest)
            .flat_map(acks)
            .map(|ack| ack.seq)
            .max()
            .unwrap_or(0);
        let must = (0..script.writers).map(|writer| {
            let promised = |ack: &Ack| ack.seq > 0 && ack.seq <= horizon;
            acks(writer)
                .filter(promised)
                .map(|ack| ack.index + 1)
                .max()
                .unwrap_or(0)
        });
        Promise {
            must: must.collect(),
        }
    }
}
