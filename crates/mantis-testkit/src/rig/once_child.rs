//! The child that is killed amid retries: a server with clients that send each write several times at
//! once under one key; and the ear of its parent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mantis_env::Env;
use serde_json::{Value, json};
use ureq::http::Method;

use super::child::Ear;
use super::voice::Voice;
use super::wire::Line;
use crate::door::rest::Rest;
use crate::door::rest::caller::{Caller, JSON};
use crate::door::{Door, Refusal};

/// Clients of a child, each with some requests at a time.
const CLIENTS: usize = 3;
/// The same request is sent by one to so many at once.
const RACERS_MAX: u64 = 3;
/// Writes are spread over so many counters.
pub const COUNTERS: u64 = 5;

/// What a child does. A write adds one to a counter, and half of them leave a mark in the same commit.
#[derive(Clone, Debug)]
pub struct Retrying {
    /// Where the store lives.
    pub dir: PathBuf,
    /// Whether requests have a key; without one each takes effect.
    pub keyed: bool,
    /// Writes of earlier lives that are sent again.
    pub again: Vec<u64>,
    /// The first new write; without one the child ends after the old ones, and says the counters.
    pub first: Option<u64>,
}

/// The counter of a write.
#[must_use]
pub const fn counter(write: u64) -> u64 {
    write % COUNTERS
}

impl Retrying {
    /// Sends until it is killed, or all is done.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn perform(&self) -> io::Result<()> {
        Line::Pid(rustix::process::getpid().as_raw_nonzero().get()).say()?;
        let voice = Voice::default();
        if let Err(error) = self.serve(&voice) {
            voice.say(&Line::Fatal {
                at: "serve".to_owned(),
                code: "serve".to_owned(),
                text: format!("{error:#}"),
            });
        }
        Line::Done(0).say()
    }

    fn serve(&self, voice: &Voice) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let door = Rest::on_disk(&Env::real(), &self.dir)?;
        Line::Opened.say()?;
        let caller = door.caller();
        let next = AtomicUsize::new(0);
        let send_some = || {
            while let Some(write) = self.write(next.fetch_add(1, Ordering::Relaxed)) {
                self.send(write, caller, voice);
            }
        };
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(send_some);
            }
        });
        for number in 0..COUNTERS {
            let path = format!("/api/v1/kv/counter-{number}?format=json");
            let value = caller
                .send(Method::GET, &path, &[], &[])
                .and_then(|answer| answer.data());
            let value = value.map_or(0, |data| data["value"].as_i64().unwrap_or(-1));
            voice.say(&Word::Counter(number, value).line());
        }
        let closed = door.close();
        closed.map_err(|refusal| anyhow::anyhow!("not closed: {}", refusal.text))
    }

    /// The write in place `place`: the old ones first.
    fn write(&self, place: usize) -> Option<u64> {
        match self.again.get(place) {
            Some(old) => Some(*old),
            None => {
                let new = u64::try_from(place - self.again.len()).ok()?;
                self.first.map(|first| first + new)
            }
        }
    }

    /// Sends one write, several times at once.
    fn send(&self, write: u64, caller: &Caller, voice: &Voice) {
        voice.say(&Word::Begun(write).line());
        let racers = 1 + write % RACERS_MAX;
        let answers: Vec<Result<(i64, bool), Refusal>> = thread::scope(|scope| {
            let racers: Vec<_> = (0..racers)
                .map(|_| scope.spawn(|| self.request(write, caller)))
                .collect();
            let ended = racers.into_iter().map(thread::ScopedJoinHandle::join);
            let panicked = |_| Err(Refusal::new("panic", "a racer panicked"));
            ended.map(|end| end.unwrap_or_else(panicked)).collect()
        });
        for answer in answers {
            voice.say(&match answer {
                Ok((value, is_replayed)) => Word::Done(write, value, is_replayed).line(),
                Err(refusal) => Line::Violation(format!("{}: {}", refusal.code, refusal.text)),
            });
        }
    }

    /// Sends it until it is answered; answers the counter afterwards, and whether that was said before.
    fn request(&self, write: u64, caller: &Caller) -> Result<(i64, bool), Refusal> {
        let counter = format!("counter-{}", counter(write));
        let key = format!("write-{write}");
        let mut headers = vec![JSON];
        headers.extend(self.keyed.then_some(("idempotency-key", &*key)));
        let (path, body) = match write.is_multiple_of(2) {
            true => (
                format!("/api/v1/kv/{counter}/increment"),
                json!({ "by": 1 }),
            ),
            false => (
                "/api/v1/kv".to_owned(),
                json!({ "atomic": true, "operations": [
                    { "op": "increment", "key": counter, "by": 1 },
                    { "op": "set", "key": format!("mark-{write}"), "value": "x" },
                ] }),
            ),
        };
        let body = body.to_string();
        loop {
            let answer = caller.send(Method::POST, &path, &headers, body.as_bytes())?;
            let data = match answer.data() {
                // The other one takes longer than a request may.
                Err(refusal) if refusal.code == "in_progress" => continue,
                other => other?,
            };
            let value = match data.get("results") {
                Some(results) => results[0]["value"].as_i64(),
                None => data.get("value").and_then(Value::as_i64),
            };
            let value = value.ok_or_else(|| Refusal::new("shape", format!("no value: {data}")))?;
            return Ok((value, answer.is_replayed));
        }
    }
}

/// What a child says about its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It is about to be sent.
    Begun(u64),
    /// It was answered: the counter, and whether that was stored.
    Done(u64, i64, bool),
    /// A counter in the end.
    Counter(u64, i64),
}

impl Word {
    fn line(self) -> Line {
        Line::Note(match self {
            Self::Begun(write) => format!("begun {write}"),
            Self::Done(write, value, is_replayed) => {
                format!("done {write} {value} {}", u8::from(is_replayed))
            }
            Self::Counter(number, value) => format!("counter {number} {value}"),
        })
    }

    fn parse(note: &str) -> Option<Self> {
        let words: Vec<&str> = note.split(' ').collect();
        match *words {
            ["begun", write] => Some(Self::Begun(write.parse().ok()?)),
            ["done", write, value, is_replayed] => Some(Self::Done(
                write.parse().ok()?,
                value.parse().ok()?,
                is_replayed == "1",
            )),
            ["counter", number, value] => {
                Some(Self::Counter(number.parse().ok()?, value.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// What was heard of such a child.
#[derive(Clone, Debug, Default)]
pub struct Retold {
    pid: Option<i32>,
    /// Writes that were sent.
    pub begun: BTreeSet<u64>,
    /// Answers, in order: the write, the counter afterwards, whether that was a stored answer.
    pub done: Vec<(u64, i64, bool)>,
    /// The counters in the end.
    pub counters: BTreeMap<u64, i64>,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Ear for Retold {
    fn hear(&mut self, line: Line) {
        match line {
            Line::Pid(pid) => self.pid = Some(pid),
            Line::Note(note) => match Word::parse(&note) {
                Some(Word::Begun(write)) => drop(self.begun.insert(write)),
                Some(Word::Done(write, value, is_replayed)) => {
                    self.done.push((write, value, is_replayed));
                }
                Some(Word::Counter(number, value)) => drop(self.counters.insert(number, value)),
                // Torn by the kill.
                None => {}
            },
            Line::Violation(text) | Line::Fatal { text, .. } => self.violations.push(text),
            _ => {}
        }
    }

    fn pid(&self) -> Option<i32> {
        self.pid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for word in [
            Word::Begun(7),
            Word::Done(7, -3, true),
            Word::Done(8, 4, false),
            Word::Counter(1, 99),
        ] {
            let Line::Note(note) = word.line() else {
                panic!("no note");
            };
            assert_eq!(Word::parse(&note), Some(word));
        }
        assert_eq!(Word::parse("done 7"), None);
    }
}
