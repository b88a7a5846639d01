//! The model itself: an ordered map that says what every call must answer.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use mantis_kv::{Batch, BatchOp, Condition, Entry, Expiry, List, OpDone, Put};
use mantis_session::{Command, Reply};
use mantis_types::{Code, Durability, Seq};

use super::act::{Act, Lives, Op, When, key_bytes};
use super::world::World;

const STALE: Seq = Seq::new(u64::MAX >> 2);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    value: Vec<u8>,
    /// The version; zero inside a unit that has no commit yet.
    version: Seq,
    /// Earliest and latest moment of expiry: the store's own clock reading lies between.
    expires_ms: Option<(u64, u64)>,
}

type Map = BTreeMap<Vec<u8>, Held>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Got(Option<Held>),
    Set { created: bool },
    Deleted(bool),
    Sum(i64),
}

/// The map, and the newest commit that was answered.
#[derive(Default)]
pub(crate) struct Shadow {
    map: Map,
    newest: Seq,
}

type Outcome = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, told: &T, expected: &T) -> Outcome {
    if told == expected {
        Ok(())
    } else {
        let (told, expected) = (format!("{told:?}"), format!("{expected:?}"));
        Err(format!(
            "{what}: told {told:.300}, expected {expected:.300}"
        ))
    }
}

impl Shadow {
    pub(crate) fn play(&mut self, world: &mut dyn World, act: &Act) -> Outcome {
        match act {
            Act::One(op) => self.one(world, op),
            Act::Batch(ops, true) => self.atomic(world, ops),
            Act::Batch(ops, false) => self.loose(world, ops),
            Act::List {
                from,
                to,
                reverse,
                limit,
                offset,
            } => {
                let (from, to) = (from.map(key_bytes), to.map(key_bytes));
                self.list(world, (from, to), *reverse, *limit, *offset)
            }
            Act::Pass(ms) => {
                world.pass(Duration::from_millis(*ms));
                self.compare_all(world)
            }
            Act::Flush => {
                world.flush();
                self.compare_all(world)
            }
            Act::Compact => {
                world.compact();
                self.compare_all(world)
            }
            Act::Reopen(ending) => {
                world.reopen(*ending);
                self.compare_all(world)
            }
        }
    }

    /// Everything by lists of two kinds and by gets.
    pub(crate) fn compare_all(&mut self, world: &dyn World) -> Outcome {
        for reverse in [false, true] {
            self.list(world, (None, None), reverse, 5, 0)?;
        }
        let keys: Vec<u8> = (0..14).collect();
        keys.into_iter()
            .try_for_each(|key| self.one(world, &Op::Get(key)))
    }

    fn one(&mut self, world: &dyn World, op: &Op) -> Outcome {
        let before = world.now_ms();
        let told = world.execute(self.command(op));
        let now = (before, world.now_ms());
        let mut after = self.map.clone();
        let expected = apply(&mut after, &self.pinned(op), now);
        let reply = match (told, &expected) {
            (Err(code), Err(expected)) => return same("code", &code, expected),
            (Err(code), Ok(expected)) => return Err(format!("told {code}, expected {expected:?}")),
            (Ok(reply), Err(expected)) => {
                return Err(format!("told {reply:?}, expected {expected}"));
            }
            (Ok(reply), Ok(_)) => reply,
        };
        let (told, seq) = match reply {
            Reply::KvGet(entry) => (Answer::Got(entry.map(|e| held(&e))), None),
            Reply::KvPut(done) => (
                Answer::Set {
                    created: done.created,
                },
                Some(done.committed.seq),
            ),
            Reply::KvDelete(done) => (
                Answer::Deleted(done.committed.is_some()),
                done.committed.map(|c| c.seq),
            ),
            Reply::KvIncrement(done) => (Answer::Sum(done.value), Some(done.committed.seq)),
            other => return Err(format!("a foreign reply {other:?}")),
        };
        compare(&told, expected.as_ref().expect("told apart above"))?;
        self.commit(after, seq)
    }

    fn atomic(&mut self, world: &dyn World, ops: &[Op]) -> Outcome {
        let before = world.now_ms();
        let told = world.execute(self.batch(ops, true));
        let now = (before, world.now_ms());
        let mut after = self.map.clone();
        let mut expected = Vec::new();
        let mut refused = None;
        for op in ops {
            match apply(&mut after, &self.pinned(op), now) {
                Ok(answer) => expected.push(answer),
                Err(code) => {
                    refused = Some(abort_code(code, ops.len()));
                    break;
                }
            }
        }
        match (told, refused) {
            (Err(code), Some(expected)) => same("code", &code, &expected),
            (Err(code), None) => Err(format!("told {code}, expected {expected:?}")),
            (Ok(reply), Some(code)) => Err(format!("told {reply:?}, expected {code}")),
            (Ok(Reply::KvBatch(done)), None) => {
                same("results", &done.results.len(), &expected.len())?;
                for (told, expected) in done.results.iter().zip(&expected) {
                    let told = told.as_ref().map_err(|error| format!("told {error}"))?;
                    compare(&answer(told), expected)?;
                }
                self.commit(after, done.committed.map(|c| c.seq))
            }
            (Ok(other), None) => Err(format!("a foreign reply {other:?}")),
        }
    }

    fn loose(&mut self, world: &dyn World, ops: &[Op]) -> Outcome {
        let before = world.now_ms();
        let told = world.execute(self.batch(ops, false));
        let now = (before, world.now_ms());
        let done = match told {
            Ok(Reply::KvBatch(done)) => done,
            other => return Err(format!("told {other:?}")),
        };
        same("results", &done.results.len(), &ops.len())?;
        let pinned: Vec<Pinned> = ops.iter().map(|op| self.pinned(op)).collect();
        for (told, op) in done.results.iter().zip(pinned) {
            let mut after = self.map.clone();
            match (told, apply(&mut after, &op, now)) {
                (Ok(told), Ok(expected)) => {
                    compare(&answer(told), &expected)?;
                    let seq = version_of(told);
                    self.map = after;
                    seq.map_or(Ok(()), |seq| self.stamp(seq))?;
                }
                (Err(error), Err(expected)) => same("code", &error.code(), &expected)?,
                (told, expected) => return Err(format!("told {told:?}, expected {expected:?}")),
            }
        }
        if let Some(committed) = done.committed {
            self.newest = self.newest.max(committed.seq);
        }
        Ok(())
    }

    fn list(
        &self,
        world: &dyn World,
        (from, to): (Option<Vec<u8>>, Option<Vec<u8>>),
        reverse: bool,
        limit: usize,
        offset: u64,
    ) -> Outcome {
        let now = world.now_ms();
        let inside = |key: &Vec<u8>| {
            from.as_ref().is_none_or(|from| key >= from) && to.as_ref().is_none_or(|to| key < to)
        };
        let mut expected: Vec<(Vec<u8>, Held)> = self
            .map
            .iter()
            .filter(|(key, held)| inside(key) && is_live(held, now))
            .map(|(key, held)| (key.clone(), held.clone()))
            .collect();
        let total = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        if reverse {
            expected.reverse();
        }
        let skipped = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(expected.len());
        let mut expected = expected.split_off(skipped).into_iter();
        let mut list = List {
            start: from.clone().map(Bytes::from),
            end: to.clone().map(Bytes::from),
            reverse,
            limit,
            offset,
            values: true,
            total: true,
            ..List::default()
        };
        loop {
            let page = match world.execute(Command::KvList(list.clone())) {
                Ok(Reply::KvList(page)) => page,
                other => return Err(format!("a list told {other:?}")),
            };
            same("total", &page.total, &Some(total))?;
            for item in &page.items {
                let entry = item.entry.as_ref().ok_or("a list item without entry")?;
                let told = (entry.key.to_vec(), held(entry));
                let expected = expected
                    .next()
                    .ok_or_else(|| format!("one too many: {told:?}"))?;
                same("key", &told.0, &expected.0)?;
                compare(&Answer::Got(Some(told.1)), &Answer::Got(Some(expected.1)))?;
            }
            let Some(cursor) = page.next_cursor else {
                break;
            };
            same("items of a page with a cursor", &page.items.len(), &limit)?;
            (list.cursor, list.offset) = (Some(cursor), 0);
        }
        same(
            "keys left over",
            &expected.next().map(|(key, _)| key),
            &None,
        )
    }

    fn commit(&mut self, after: Map, seq: Option<Seq>) -> Outcome {
        self.map = after;
        seq.map_or(Ok(()), |seq| self.stamp(seq))
    }

    /// Gives the version to what the last unit wrote.
    fn stamp(&mut self, seq: Seq) -> Outcome {
        if seq <= self.newest {
            return Err(format!("version {seq} after {}", self.newest));
        }
        self.newest = seq;
        for held in self
            .map
            .values_mut()
            .filter(|held| held.version == Seq::ZERO)
        {
            held.version = seq;
        }
        Ok(())
    }

    /// Versions in conditions are those before the call.
    fn condition(&self, key: u8, when: When) -> Condition {
        match when {
            When::Always => Condition::Always,
            When::Absent => Condition::IfAbsent,
            When::Present => Condition::IfPresent,
            When::Stale => Condition::IfVersion(STALE),
            When::Current => {
                let held = self.map.get(&key_bytes(key));
                Condition::IfVersion(held.map_or(STALE, |held| held.version))
            }
        }
    }

    /// The same operation, its condition resolved as the store was given it.
    fn pinned(&self, op: &Op) -> Pinned {
        let condition = match op {
            Op::Put(key, _, when, _) | Op::Delete(key, when) => self.condition(*key, *when),
            _ => Condition::Always,
        };
        Pinned {
            op: op.clone(),
            condition,
        }
    }

    fn batch_op(&self, op: &Op) -> BatchOp {
        let condition = self.pinned(op).condition;
        match op {
            Op::Get(key) => BatchOp::Get {
                key: key_bytes(*key).into(),
            },
            Op::Put(key, value, _, lives) => {
                let expiry = match lives {
                    Lives::Forever => Expiry::Never,
                    Lives::Keep => Expiry::Keep,
                    Lives::For(ms) => Expiry::AfterMs(*ms),
                };
                let put = Put::new(key_bytes(*key), value.clone());
                BatchOp::Set(Put {
                    expiry,
                    condition,
                    ..put
                })
            }
            Op::Delete(key, _) => BatchOp::Delete {
                key: key_bytes(*key).into(),
                condition,
            },
            Op::Add(key, by, initial) => BatchOp::Increment {
                key: key_bytes(*key).into(),
                by: *by,
                initial: *initial,
            },
        }
    }

    fn command(&self, op: &Op) -> Command {
        let durability = Durability::Sync;
        match self.batch_op(op) {
            BatchOp::Get { key } => Command::KvGet { key },
            BatchOp::Set(put) => Command::KvPut { put, durability },
            BatchOp::Delete { key, condition } => Command::KvDelete {
                key,
                condition,
                durability,
            },
            BatchOp::Increment { key, by, initial } => Command::KvIncrement {
                key,
                by,
                initial,
                durability,
            },
        }
    }

    fn batch(&self, ops: &[Op], atomic: bool) -> Command {
        let ops = ops.iter().map(|op| self.batch_op(op)).collect();
        Command::KvBatch(Batch {
            ops,
            atomic,
            durability: Durability::Sync,
        })
    }
}

/// In a batch of several, a condition that does not hold aborts the others.
fn abort_code(code: Code, ops_count: usize) -> Code {
    if code == Code::PreconditionFailed && ops_count > 1 {
        Code::BatchAborted
    } else {
        code
    }
}

fn version_of(done: &OpDone) -> Option<Seq> {
    match done {
        OpDone::Set { version, .. } | OpDone::Incremented { version, .. } => Some(*version),
        OpDone::Deleted { .. } | OpDone::Got(_) => None,
    }
}

/// An operation whose condition was resolved when the store was given it.
struct Pinned {
    op: Op,
    condition: Condition,
}

fn is_live(held: &Held, now_ms: u64) -> bool {
    held.expires_ms
        .is_none_or(|(earliest, _)| now_ms < earliest)
}

/// Does the operation on the map and says what it answers; `now` is the time before and after.
fn apply(map: &mut Map, pinned: &Pinned, now: (u64, u64)) -> Result<Answer, Code> {
    let key = match &pinned.op {
        Op::Get(key) | Op::Put(key, ..) | Op::Delete(key, _) | Op::Add(key, ..) => key_bytes(*key),
    };
    let found = map.get(&key).filter(|held| is_live(held, now.1)).cloned();
    let holds = match pinned.condition {
        Condition::Always => true,
        Condition::IfAbsent => found.is_none(),
        Condition::IfPresent => found.is_some(),
        Condition::IfVersion(version) => found.as_ref().is_some_and(|h| h.version == version),
    };
    if !holds {
        return Err(Code::PreconditionFailed);
    }
    Ok(match &pinned.op {
        Op::Get(_) => Answer::Got(found),
        Op::Put(_, value, _, lives) => {
            let created = found.is_none();
            let expires_ms = match lives {
                Lives::Forever => None,
                Lives::Keep => found.and_then(|held| held.expires_ms),
                Lives::For(ms) => Some((now.0 + ms, now.1 + ms)),
            };
            map.insert(
                key,
                Held {
                    value: value.clone(),
                    version: Seq::ZERO,
                    expires_ms,
                },
            );
            Answer::Set { created }
        }
        Op::Delete(..) => {
            map.remove(&key);
            Answer::Deleted(found.is_some())
        }
        Op::Add(_, by, initial) => {
            let base = match &found {
                Some(held) => integer(&held.value).ok_or(Code::WrongType)?,
                None => initial.unwrap_or(0),
            };
            let sum = base.checked_add(*by).ok_or(Code::InvalidValue)?;
            let expires_ms = found.and_then(|held| held.expires_ms);
            let value = sum.to_string().into_bytes();
            map.insert(
                key,
                Held {
                    value,
                    version: Seq::ZERO,
                    expires_ms,
                },
            );
            Answer::Sum(sum)
        }
    })
}

/// Integers as they are written by an increment; the drawn values hold no other forms.
fn integer(value: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value).then_some(number)
}

fn held(entry: &Entry) -> Held {
    let expires_ms = entry.expires_ms.map(|at| (at, at));
    Held {
        value: entry.value.to_vec(),
        version: entry.version,
        expires_ms,
    }
}

fn answer(done: &OpDone) -> Answer {
    match done {
        OpDone::Got(entry) => Answer::Got(entry.as_ref().map(held)),
        OpDone::Set { created, .. } => Answer::Set { created: *created },
        OpDone::Deleted { deleted } => Answer::Deleted(*deleted),
        OpDone::Incremented { value, .. } => Answer::Sum(*value),
    }
}

/// Equal, where the expected version may be open and the expected expiry is a span.
fn compare(told: &Answer, expected: &Answer) -> Outcome {
    let (Answer::Got(Some(told)), Answer::Got(Some(expected))) = (told, expected) else {
        return same("answer", told, expected);
    };
    same("value", &told.value, &expected.value)?;
    if expected.version != Seq::ZERO {
        same("version", &told.version, &expected.version)?;
    }
    match (told.expires_ms, expected.expires_ms) {
        (Some((at, _)), Some((earliest, latest))) if (earliest..=latest).contains(&at) => Ok(()),
        (told, expected) => same("expiry", &told, &expected),
    }
}
