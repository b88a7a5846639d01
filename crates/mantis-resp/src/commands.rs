//! What commands do. Each takes its arguments without the name, and answers a reply.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Begin, Command, Condition, Entry, Expiry, LockWait, Principal, Put, Session, Transaction,
};
use mantis_types::{Durability, Isolation};

use crate::failure::{Failure, Outcome};
use crate::number;
use crate::reply::{Protocol, Reply};
use crate::server::Shared;
use crate::table;

pub(crate) mod connection;
pub(crate) mod counters;
pub(crate) mod expiry;
pub(crate) mod keys;
pub(crate) mod server;
pub(crate) mod set;
pub(crate) mod strings;

/// What stands behind a name. It may block.
pub(crate) type Act = fn(&mut Client, &[Bytes]) -> Outcome;

/// A command waits for a row that another transaction has locked at most so long.
const ROW_PATIENCE: Duration = Duration::from_secs(30);

/// A connection's own state.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) peer: IpAddr,
    pub(crate) session: Session,
    pub(crate) protocol: Protocol,
    pub(crate) name: Bytes,
    /// The connection is to end behind the replies so far.
    pub(crate) is_leaving: bool,
}

/// What becomes of a key that was looked at.
pub(crate) enum Fate {
    Stays,
    Goes,
    Holds(Put),
}

impl Client {
    pub(crate) fn is_stranger(&self) -> bool {
        self.session.principal() == Principal::Anonymous
    }

    /// Carries a request out; errors are replies, too.
    pub(crate) fn answer(&mut self, request: &[Bytes]) -> Reply {
        let done = self.carry_out(request);
        done.unwrap_or_else(|failure| {
            self.shared.counts.count_error();
            failure.reply()
        })
    }

    fn carry_out(&mut self, request: &[Bytes]) -> Outcome {
        self.shared.counts.count_command();
        let Some((name, arguments)) = request.split_first() else {
            return Err(Failure::new("ERR unknown command ''"));
        };
        let Some(command) = table::find(name) else {
            return Err(unknown(name));
        };
        if !command.takes(request.len()) {
            return Err(Failure::wrong_count(command.name));
        }
        if self.is_stranger() && !command.flags.contains(&"no_auth") {
            return Err(Failure::new("NOAUTH Authentication required."));
        }
        (command.act)(self, arguments)
    }

    pub(crate) fn env(&self) -> &Env {
        self.shared.database.env()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.shared.rules.durability()
    }

    pub(crate) fn get(&self, key: &Bytes) -> Result<Option<Entry>, Failure> {
        let key = key.clone();
        match self.session.execute(Command::KvGet { key })? {
            mantis_session::Reply::KvGet(entry) => Ok(entry),
            _ => Err(strange()),
        }
    }

    /// Writes a value if the condition holds; answers whether it does.
    pub(crate) fn put(&self, put: Put) -> Result<bool, Failure> {
        let durability = self.durability();
        let conditional = put.condition != Condition::Always;
        match self.session.execute(Command::KvPut { put, durability }) {
            Ok(_) => Ok(true),
            Err(error) if conditional && error.code() == mantis_types::Code::PreconditionFailed => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at a key, decides, and writes, with nobody in between.
    pub(crate) fn update(
        &self,
        key: &Bytes,
        decide: impl FnOnce(Option<&Entry>) -> Result<(Fate, Reply), Failure>,
    ) -> Outcome {
        let mut txn = self.begin()?;
        let found = txn.get_for_update(key.clone(), LockWait::Wait)?;
        let (fate, reply) = decide(found.as_ref())?;
        let durability = Durability::None;
        let command = match fate {
            Fate::Stays => return Ok(reply),
            Fate::Holds(put) => Command::KvPut { put, durability },
            Fate::Goes => Command::KvDelete {
                key: key.clone(),
                condition: Condition::Always,
                durability,
            },
        };
        txn.execute(command)?;
        txn.commit(None)?;
        Ok(reply)
    }

    fn begin(&self) -> Result<Transaction, Failure> {
        let mut txn = self.session.begin(Begin {
            durability: self.durability(),
            ..Begin::at(Isolation::ReadCommitted)
        })?;
        let now = self.env().clock().monotonic();
        txn.set_row_deadline(Some(now + ROW_PATIENCE));
        Ok(txn)
    }
}

/// A session's reply that does not belong to its command.
pub(crate) fn strange() -> Failure {
    Failure::new("ERR internal error")
}

fn unknown(name: &Bytes) -> Failure {
    let shown = String::from_utf8_lossy(name.get(..name.len().min(128)).unwrap_or_default());
    Failure::new(if table::is_missing(name) {
        format!("ERR command '{shown}' is not supported yet")
    } else {
        format!("ERR unknown command '{shown}'")
    })
}

/// The same value under the same key with everything that belongs to it, to change a part of it.
pub(crate) fn same(entry: &Entry) -> Put {
    Put {
        key: entry.key.clone(),
        value: entry.value.clone(),
        content_type: Some(entry.content_type.clone()),
        tags: entry.tags.clone(),
        expiry: Expiry::Keep,
        condition: Condition::Always,
    }
}

pub(crate) fn integer(text: &Bytes) -> Result<i64, Failure> {
    number::integer(text).ok_or_else(Failure::no_integer)
}

pub(crate) fn is_word(argument: &Bytes, word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

pub(crate) fn text(argument: &Bytes) -> Result<&str, Failure> {
    std::str::from_utf8(argument).map_err(|_| Failure::new("ERR an argument is no text"))
}
