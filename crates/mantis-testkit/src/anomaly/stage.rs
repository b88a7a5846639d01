//! Playing a script: one thread does the steps of all. A step that would wait for a row lock is put
//! off, and with it what its transaction does afterwards, until somebody else has got on.

use std::collections::{BTreeMap, VecDeque};

use mantis_types::{Code, Isolation};

use super::played::{End, Played, Rows};
use super::script::{Act, Course};
use crate::door::{Door, Refusal, Txn, Wish};
use crate::rig::target::WRONG;

/// Plays a course at a level, on keys that begin with `prefix`.
///
/// # Errors
/// A refusal that no conflict explains.
pub fn play(
    door: &dyn Door,
    level: Isolation,
    prefix: &str,
    course: &Course,
) -> Result<Played, Refusal> {
    let mut setup = door.begin(&Wish::at(Isolation::Snapshot))?;
    for (key, value) in &course.before {
        setup.put(&full(prefix, key), value.to_string().as_bytes())?;
    }
    setup.commit()?;
    let mut stage = Stage {
        door,
        level,
        prefix,
        actors: BTreeMap::new(),
        played: Played::default(),
    };
    for step in &course.steps {
        let actor = stage.actors.entry(step.who).or_default();
        actor.ahead.push_back(step.act);
        stage.go_on()?;
    }
    stage.break_circles()?;
    let mut reader = door.begin(&Wish::at(Isolation::Snapshot))?;
    stage.played.after = rows(&mut *reader, prefix, ("", "~"))?;
    reader.rollback();
    Ok(stage.played)
}

fn full(prefix: &str, key: &str) -> Vec<u8> {
    format!("{prefix}/{key}").into_bytes()
}

fn number(value: &[u8]) -> Result<i64, Refusal> {
    let text = std::str::from_utf8(value).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Refusal::new(WRONG, "a value that nobody wrote"))
}

fn rows(txn: &mut dyn Txn, prefix: &str, (from, to): (&str, &str)) -> Result<Rows, Refusal> {
    let found = txn.scan(&full(prefix, from), &full(prefix, to))?;
    let skip = prefix.len() + 1;
    let rows = found.into_iter().map(|(key, value)| {
        let key = key.get(skip..).unwrap_or_default();
        Ok((String::from_utf8_lossy(key).into_owned(), number(&value)?))
    });
    rows.collect()
}

struct Stage<'a> {
    door: &'a dyn Door,
    level: Isolation,
    prefix: &'a str,
    actors: BTreeMap<usize, Actor>,
    played: Played,
}

#[derive(Default)]
struct Actor {
    txn: Option<Box<dyn Txn>>,
    /// Steps to be done.
    ahead: VecDeque<Act>,
}

/// What became of a step.
enum Acted {
    Done,
    Waits,
    Ended(End),
}

impl Stage<'_> {
    /// Everybody gets as far as possible.
    fn go_on(&mut self) -> Result<(), Refusal> {
        let mut moved = true;
        while moved {
            moved = false;
            let all: Vec<usize> = self.actors.keys().copied().collect();
            for who in all {
                moved |= self.next_step(who)?;
            }
        }
        Ok(())
    }

    /// When all that are left wait for each other, the last one is sent away.
    fn break_circles(&mut self) -> Result<(), Refusal> {
        loop {
            let mut waiting = self.actors.iter().rev();
            let Some((&who, _)) = waiting.find(|(_, actor)| !actor.ahead.is_empty()) else {
                return Ok(());
            };
            self.end(who, End::Refused(Code::Deadlock.as_str().to_owned()));
            self.go_on()?;
        }
    }

    /// One step of `who`; answers whether it was done.
    fn next_step(&mut self, who: usize) -> Result<bool, Refusal> {
        let Some(mut actor) = self.actors.remove(&who) else {
            return Ok(false);
        };
        let Some(act) = actor.ahead.front().copied() else {
            self.actors.insert(who, actor);
            return Ok(false);
        };
        if self.played.ends.contains_key(&who) {
            actor.ahead.clear();
            self.actors.insert(who, actor);
            return Ok(false);
        }
        let acted = match self.act(who, &mut actor, act) {
            Err(refusal) if is_conflict(&refusal) => Acted::Ended(End::Refused(refusal.code)),
            other => other?,
        };
        let done = !matches!(acted, Acted::Waits);
        if done {
            actor.ahead.pop_front();
        }
        self.actors.insert(who, actor);
        if let Acted::Ended(end) = acted {
            self.end(who, end);
        }
        Ok(done)
    }

    fn act(&mut self, who: usize, actor: &mut Actor, act: Act) -> Result<Acted, Refusal> {
        let txn = match &mut actor.txn {
            Some(txn) => txn,
            none => none.insert(self.door.begin(&Wish::at(self.level))?),
        };
        txn.statement()?;
        let locked = match act {
            // What follows would wait for the lock.
            Act::Write(key, _) | Act::Remove(key) if self.level == Isolation::ReadCommitted => {
                txn.try_lock(&full(self.prefix, key))?
            }
            _ => true,
        };
        if !locked {
            return Ok(Acted::Waits);
        }
        match act {
            Act::Read(key) => {
                let value = txn.get(&full(self.prefix, key))?;
                let value = value.map(|value| number(&value)).transpose()?;
                self.played.reads.push((who, key.to_owned(), value));
            }
            Act::Range(from, to) => {
                let rows = rows(&mut **txn, self.prefix, (from, to))?;
                self.played.ranges.push((who, rows));
            }
            Act::Write(key, value) => {
                txn.put(&full(self.prefix, key), value.to_string().as_bytes())?;
            }
            Act::Remove(key) => txn.delete(&full(self.prefix, key))?,
            Act::Commit => {
                if let Some(txn) = actor.txn.take() {
                    txn.commit()?;
                }
                return Ok(Acted::Ended(End::Committed));
            }
            Act::Abort => {
                if let Some(txn) = actor.txn.take() {
                    txn.rollback();
                }
                return Ok(Acted::Ended(End::Aborted));
            }
        }
        Ok(Acted::Done)
    }

    fn end(&mut self, who: usize, end: End) {
        self.played.ends.entry(who).or_insert(end);
        if let Some(actor) = self.actors.get_mut(&who) {
            actor.ahead.clear();
            actor.txn = None;
        }
    }
}

fn is_conflict(refusal: &Refusal) -> bool {
    let codes = [Code::SerializationFailure, Code::Deadlock];
    codes.iter().any(|code| code.as_str() == refusal.code)
}
