//! A client: carries out plans through a door, one after the other, and notes what it saw.

use std::collections::{BTreeMap, HashSet};

use mantis_txn::LockWait;
use mantis_types::{Code, Durability, Isolation};

use super::event::{Event, GHOST, Micro, Stage};
use super::journal::Journal;
use super::lists;
use super::plan::{Ending, Plan, Step};
use crate::door::{Door, Refusal, Txn, Wish};
use crate::rig::target::WRONG;

/// A client. After a transaction of unknown outcome it is another process, as histories want it.
#[derive(Clone, Debug)]
pub struct Client {
    process: u64,
    processes: u64,
    habits: Habits,
    /// What came of its transactions.
    pub seen: Seen,
}

/// How a client goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// What its commits wait for.
    pub durability: Durability,
    /// It reads lists in a transaction of their own, and writes them in another one: the control that
    /// no store can save.
    pub blind: bool,
}

/// What a client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Commits that were acknowledged.
    pub committed: u64,
    /// Transactions that the client gave up itself.
    pub given_up: u64,
    /// Refusals that surely had no effect, by code.
    pub refused: BTreeMap<String, u64>,
    /// Commits of unknown outcome.
    pub unknown: u64,
    /// Refusals that nobody should ever see here.
    pub strange: Vec<String>,
}

impl Seen {
    /// Adds what another client saw.
    pub fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.given_up += other.given_up;
        self.unknown += other.unknown;
        for (code, times) in other.refused {
            *self.refused.entry(code).or_default() += times;
        }
        self.strange.extend(other.strange);
    }

    /// All transactions.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.committed + self.given_up + self.unknown + self.refused.values().sum::<u64>()
    }

    /// Transactions that were refused with this code.
    #[must_use]
    pub fn refused_with(&self, code: Code) -> u64 {
        self.refused.get(code.as_str()).copied().unwrap_or(0)
    }
}

/// How a transaction ended.
enum End {
    Committed,
    GivenUp,
    Refused(Refusal),
}

impl Client {
    /// Client `process` of `processes`.
    #[must_use]
    pub fn new(process: u64, processes: u64, habits: Habits) -> Self {
        Self {
            process,
            processes,
            habits,
            seen: Seen::default(),
        }
    }

    /// Carries out a plan.
    pub fn carry_out(&mut self, plan: &Plan, door: &dyn Door, journal: &dyn Journal) {
        let asked = plan.asked();
        let level = plan.level;
        journal.note(self.event(level, Stage::Invoke, asked.clone()));
        journal.note(self.ghost(level, Stage::Invoke, Vec::new()));
        let mut done = Vec::new();
        let end = self
            .transact(plan, door, &mut done)
            .unwrap_or_else(End::Refused);
        let stage = self.take(end);
        let (micros, read) = match stage {
            Stage::Ok => (done, Vec::new()),
            _ => (asked, read_of_others(done)),
        };
        journal.note(self.event(level, stage, micros));
        let ghost = if read.is_empty() {
            Stage::Fail
        } else {
            Stage::Ok
        };
        journal.note(self.ghost(level, ghost, read));
        if stage == Stage::Info {
            self.process += self.processes;
        }
    }

    fn event(&self, level: Isolation, stage: Stage, micros: Vec<Micro>) -> Event {
        Event {
            process: self.process,
            level,
            stage,
            micros,
        }
    }

    /// What a transaction reads is promised even if it does not commit: it is judged as a transaction
    /// that has done nothing else.
    fn ghost(&self, level: Isolation, stage: Stage, micros: Vec<Micro>) -> Event {
        Event {
            process: GHOST + self.process,
            ..self.event(level, stage, micros)
        }
    }

    fn take(&mut self, end: End) -> Stage {
        let seen = &mut self.seen;
        match end {
            End::Committed => {
                seen.committed += 1;
                Stage::Ok
            }
            End::GivenUp => {
                seen.given_up += 1;
                Stage::Fail
            }
            End::Refused(Refusal {
                code,
                text,
                unknown,
                ..
            }) => {
                if !is_ordinary(&code) && !unknown {
                    seen.strange.push(format!("{code}: {text}"));
                }
                if unknown {
                    seen.unknown += 1;
                    return Stage::Info;
                }
                *seen.refused.entry(code).or_default() += 1;
                Stage::Fail
            }
        }
    }

    fn transact(
        &self,
        plan: &Plan,
        door: &dyn Door,
        done: &mut Vec<Micro>,
    ) -> Result<End, Refusal> {
        let wish = Wish {
            isolation: plan.level,
            read_only: plan.read_only,
            durability: self.habits.durability,
            span: plan.span,
        };
        let mut txn = door.begin(&wish)?;
        let mut beside = self.habits.blind.then(|| door.begin(&wish)).transpose()?;
        let gives_up = plan.ending != Ending::Commit;
        for (place, step) in plan.steps.iter().enumerate() {
            if gives_up && place == plan.given_up_after {
                break;
            }
            let reader = beside.as_deref_mut();
            Carrying {
                level: plan.level,
                txn: &mut *txn,
                reader,
            }
            .step(step, done)?;
            // Between two statements others have their turn, however few processors there are.
            std::thread::yield_now();
        }
        match plan.ending {
            Ending::Commit => txn.commit().map(|_| End::Committed),
            Ending::RollBack => {
                txn.rollback();
                Ok(End::GivenUp)
            }
            Ending::WalkAway => Ok(End::GivenUp),
        }
    }
}

/// The reads of lists that the transaction itself had not written by then.
fn read_of_others(done: Vec<Micro>) -> Vec<Micro> {
    let mut written = HashSet::new();
    let keep = |micro: &Micro| match micro {
        Micro::Append { key, .. } => {
            written.insert(*key);
            false
        }
        Micro::Read { key, .. } => !written.contains(key),
    };
    let mut done = done;
    done.retain(keep);
    done
}

/// Refusals that any client must expect.
fn is_ordinary(code: &str) -> bool {
    let ordinary = [
        Code::SerializationFailure,
        Code::Deadlock,
        Code::DeadlineExceeded,
        // A snapshot that keeps small memtables from being freed is ended after a while.
        Code::SnapshotTooOld,
    ];
    ordinary.iter().any(|ordinary| ordinary.as_str() == code)
}

/// A transaction under way.
struct Carrying<'a> {
    level: Isolation,
    txn: &'a mut dyn Txn,
    /// Where a blind client reads what it is going to write.
    reader: Option<&'a mut (dyn Txn + 'static)>,
}

impl Carrying<'_> {
    fn step(&mut self, step: &Step, done: &mut Vec<Micro>) -> Result<(), Refusal> {
        self.txn.statement()?;
        match *step {
            Step::Append {
                key,
                value,
                locks,
                rewrites,
            } => {
                self.append(key, value, locks, rewrites)?;
                done.push(Micro::Append { key, value });
            }
            Step::Read(key) => {
                let list = lists::decode(self.txn.get(&lists::key(key))?.as_deref())?;
                done.push(read(key, list));
            }
            Step::Range(from, to) => done.extend(self.range(from, to)?),
            Step::Undone(ref appends) => {
                self.txn.savepoint("here")?;
                for (key, value) in appends {
                    self.append(*key, *value, false, false)?;
                }
                self.txn.rollback_to("here")?;
            }
        }
        Ok(())
    }

    fn append(&mut self, key: u64, value: u64, locks: bool, rewrites: bool) -> Result<(), Refusal> {
        let key = lists::key(key);
        let found = match &mut self.reader {
            Some(reader) => reader.get(&key)?,
            // Elsewhere the commit finds out that somebody else has written it.
            None if locks || self.level == Isolation::ReadCommitted => {
                self.txn.get_for_update(&key, LockWait::Wait)?
            }
            None => self.txn.get(&key)?,
        };
        let mut list = lists::decode(found.as_deref())?;
        list.push(value);
        if rewrites {
            self.txn.delete(&key)?;
        }
        self.txn.put(&key, &lists::encode(&list))
    }

    /// A list that is not in the range was read, too: it is empty.
    fn range(&mut self, from: u64, to: u64) -> Result<Vec<Micro>, Refusal> {
        let rows = self.txn.scan(&lists::key(from), &lists::key(to))?;
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = rows.into_iter().collect();
        let micros = (from..to).map(|key| {
            let value = found.remove(&lists::key(key));
            Ok(read(key, lists::decode(value.as_deref())?))
        });
        let micros = micros.collect::<Result<_, Refusal>>()?;
        match found.keys().next() {
            Some(key) => {
                let text = format!("{} is not in {from}..{to}", key.escape_ascii());
                Err(Refusal::new(WRONG, text))
            }
            None => Ok(micros),
        }
    }
}

fn read(key: u64, list: Vec<u64>) -> Micro {
    Micro::Read {
        key,
        list: Some(list),
    }
}
