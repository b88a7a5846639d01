//! The store as a target of the rig: everything goes through a session, as a front end would do it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Batch, BatchOp, Command, Condition, Database, DatabaseOptions, Entry, KvError, List, ListItem,
    OpDone, Principal, Put, Reply, Session, SessionError,
};
use mantis_types::{Code, Durability, ErrorKind, Limits};

use super::script::{Change, Digest, Step};
use super::target::{Done, Refusal, StoreSize, Target, WRONG};
use super::wire::Answer;

const PAGE: usize = 100;
/// From so many sorted runs in level 0 on a compaction is running or about to.
const COMPACTION_RUNS: usize = 4;

/// An opened store.
#[derive(Debug)]
pub struct MantisStore {
    database: Database,
    session: Session,
}

impl MantisStore {
    /// Opens the store in `dir`, made when absent.
    ///
    /// # Errors
    /// When it does not open.
    pub fn open(dir: &Path, size: StoreSize) -> Result<Self, Refusal> {
        Self::over(Database::open(options(Env::real(), dir, size)))
    }

    /// The same over a database that was opened in another way.
    ///
    /// # Errors
    /// When it was not opened.
    pub fn over(opened: Result<Database, SessionError>) -> Result<Self, Refusal> {
        let database = opened.map_err(|error| refusal(&error))?;
        let session = database.session(Principal::Owner);
        Ok(Self { database, session })
    }

    /// The database itself.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    fn execute(&self, command: Command) -> Result<Reply, Refusal> {
        self.session
            .execute(command)
            .map_err(|error| refusal(&error))
    }

    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, Refusal> {
        match self.execute(Command::KvGet {
            key: Bytes::copy_from_slice(key),
        })? {
            Reply::KvGet(entry) => Ok(entry),
            other => Err(foreign(&other)),
        }
    }

    fn one(&self, change: &Change, durability: Durability) -> Result<Done, Refusal> {
        let command = match BatchOp::from(change) {
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
            BatchOp::Get { key } => Command::KvGet { key },
        };
        let reply = match self.session.execute(command) {
            Err(error) if error.code() == Code::PreconditionFailed => {
                return Ok(Done {
                    seq: 0,
                    answer: Answer::NotMet,
                });
            }
            other => other.map_err(|error| refusal(&error))?,
        };
        Ok(match reply {
            Reply::KvPut(done) => {
                let answer = Answer::Changed(done.created);
                Done {
                    seq: done.committed.seq.get(),
                    answer,
                }
            }
            Reply::KvDelete(done) => {
                let seq = done.committed.map_or(0, |committed| committed.seq.get());
                Done {
                    seq,
                    answer: Answer::Changed(seq > 0),
                }
            }
            Reply::KvIncrement(done) => Done {
                seq: done.committed.seq.get(),
                answer: Answer::Counter(done.value),
            },
            other => return Err(foreign(&other)),
        })
    }

    fn batch(&self, changes: &[Change], durability: Durability) -> Result<Done, Refusal> {
        let ops = changes.iter().map(BatchOp::from).collect();
        match self.execute(Command::KvBatch(Batch {
            ops,
            atomic: true,
            durability,
        }))? {
            Reply::KvBatch(done) => {
                done.results.iter().try_for_each(is_write)?;
                let seq = done.committed.map_or(0, |committed| committed.seq.get());
                Ok(Done {
                    seq,
                    answer: Answer::Plain,
                })
            }
            other => Err(foreign(&other)),
        }
    }

    /// All entries by pages; `each` takes an entry or, in reverse, a key and its version.
    fn pages(&self, reverse: bool, each: &mut dyn FnMut(Entry)) -> Result<(), Refusal> {
        let mut cursor = None;
        loop {
            let list = List {
                reverse,
                limit: PAGE,
                cursor,
                values: true,
                ..List::default()
            };
            let Reply::KvList(page) = self.execute(Command::KvList(list))? else {
                return Err(Refusal::new("foreign", "not a list"));
            };
            for item in page.items {
                each(entry_in(item)?);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

impl Target for MantisStore {
    fn run(&self, step: &Step, class: Durability) -> Result<Done, Refusal> {
        match step.changes.as_slice() {
            [change] if !step.batch => self.one(change, class),
            changes => self.batch(changes, class),
        }
    }

    /// By a list forward; the same by a list in reverse and by single gets must be equal.
    fn read_all(&self, each: &mut dyn FnMut(&[u8], u64, Digest)) -> Result<(), Refusal> {
        let mut forward = BTreeMap::new();
        let digest = |entry: &Entry| (entry.version.get(), Digest::of(&entry.value));
        self.pages(false, &mut |entry| {
            let (seq, of_value) = digest(&entry);
            each(&entry.key, seq, of_value);
            forward.insert(entry.key, (seq, of_value));
        })?;
        let mut backward = BTreeMap::new();
        self.pages(true, &mut |entry| {
            let found = digest(&entry);
            backward.insert(entry.key, found);
        })?;
        for (key, found) in &forward {
            if backward.remove(key) != Some(*found) {
                return Err(wrong(
                    key,
                    "differs between a list forward and one in reverse",
                ));
            }
            let got = self.entry(key)?.map(|entry| digest(&entry));
            if got != Some(*found) {
                return Err(wrong(key, "differs between a list and a get"));
            }
        }
        match backward.keys().next() {
            Some(key) => Err(wrong(key, "is in a list in reverse only")),
            None => Ok(()),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<(u64, Digest)>, Refusal> {
        let entry = self.entry(key)?;
        Ok(entry.map(|entry| (entry.version.get(), Digest::of(&entry.value))))
    }

    fn phase(&self) -> (bool, bool) {
        let storage = self.database.status().storage;
        (
            storage.memtables_sealed > 0,
            storage.level0_runs >= COMPACTION_RUNS,
        )
    }

    fn flush(&self) -> Result<(), Refusal> {
        self.database.flush().map_err(|error| refusal(&error))
    }

    fn compact(&self) -> Result<(), Refusal> {
        self.database.compact().map_err(|error| refusal(&error))
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), Refusal> {
        self.database
            .checkpoint(dir)
            .map(drop)
            .map_err(|error| refusal(&error))
    }

    fn close(&self) -> Result<(), Refusal> {
        self.database.close().map_err(|error| refusal(&error))
    }
}

fn is_write(result: &Result<OpDone, KvError>) -> Result<(), Refusal> {
    match result {
        Ok(OpDone::Got(_)) => Err(Refusal::new("foreign", "a get among the results")),
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::new("batch", error)),
    }
}

/// The entry of a list's item, if the two agree.
fn entry_in(item: ListItem) -> Result<Entry, Refusal> {
    let entry = item
        .entry
        .ok_or_else(|| Refusal::new(WRONG, "a key without value"))?;
    if entry.version == item.version && entry.key == item.key {
        Ok(entry)
    } else {
        Err(wrong(&item.key, "differs within one item of a list"))
    }
}

impl From<&Change> for BatchOp {
    fn from(change: &Change) -> Self {
        let key = Bytes::copy_from_slice(change.key());
        let put = |value: &super::script::Value, condition| {
            Self::Set(Put {
                condition,
                ..Put::new(key.clone(), value.bytes())
            })
        };
        match change {
            Change::Put { value, .. } => put(value, Condition::Always),
            Change::PutIfAbsent { value, .. } => put(value, Condition::IfAbsent),
            Change::Delete { .. } => Self::Delete {
                key,
                condition: Condition::Always,
            },
            Change::Add { by, .. } => Self::Increment {
                key,
                by: *by,
                initial: None,
            },
        }
    }
}

/// The options of a size.
#[must_use]
pub fn options(env: Env, dir: &Path, size: StoreSize) -> DatabaseOptions {
    let mut options = DatabaseOptions::new(env, dir);
    match size {
        StoreSize::Default => {}
        StoreSize::Small | StoreSize::Tight => {
            options.buffer_bytes = 2 << 20;
            options.cache_bytes = 2 << 20;
            options.log.segment_bytes = 1 << 20;
            options.limits = Limits {
                value_bytes_max: 1 << 20,
                batch_bytes_max: 3 << 19,
                chunk_bytes: 64 << 10,
                ..Limits::default()
            };
            let free = if size == StoreSize::Tight { 0 } else { 4 << 20 };
            options.min_free_bytes = free;
        }
        StoreSize::Capped => {
            options.buffer_bytes = 32 << 20;
            options.cache_bytes = 48 << 20;
            options.log.segment_bytes = 16 << 20;
            options.limits.value_bytes_max = 16 << 20;
            options.limits.batch_bytes_max = 24 << 20;
        }
    }
    options
}

/// What is wrong with what was read; the reader says it as a finding and not as an error.
fn wrong(key: &[u8], how: &str) -> Refusal {
    Refusal::new(WRONG, format!("key {} {how}", key.escape_ascii()))
}

fn foreign(reply: &Reply) -> Refusal {
    Refusal::new(
        "foreign",
        format!("an answer to another command: {reply:?}"),
    )
}

fn refusal(error: &SessionError) -> Refusal {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let kind = error.kind();
    let code = error.code().as_str().to_owned();
    // A full disk and a bad request are told before anything happens; the rest may have happened.
    let not_done = matches!(
        kind,
        ErrorKind::Exhausted | ErrorKind::Invalid | ErrorKind::Precondition | ErrorKind::Conflict
    );
    Refusal {
        code,
        text,
        unknown: !not_done,
        is_final: kind == ErrorKind::ReadOnly,
    }
}
