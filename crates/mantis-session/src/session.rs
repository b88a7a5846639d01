//! A session: who asks, and what that principal may do.

use std::time::Duration;

use bytes::Bytes;
use mantis_kv::{EntryScan, List, Terms};
use mantis_types::{Access, Durability, Origin};

use crate::{Command, Database, Reply, SessionError};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Owns the data: may read and write everything, but not administer the server.
    Owner,
    /// May do everything.
    Admin,
    /// Has shown no credentials, and no role was given to such callers.
    Anonymous,
}

impl Principal {
    /// What models demand of those who read, or write, too.
    pub(crate) fn grant(self, writes: bool) -> Result<Access, SessionError> {
        match self {
            Self::Owner | Self::Admin => Ok(Access::grant()),
            Self::Anonymous => Err(SessionError::Forbidden { writes }),
        }
    }
}

/// One caller's door to the database. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct Session {
    database: Database,
    principal: Principal,
    deadline: Option<Duration>,
    origin: Origin,
}

impl Session {
    pub(crate) const fn new(database: Database, principal: Principal) -> Self {
        Self {
            database,
            principal,
            deadline: None,
            origin: Origin::Rust,
        }
    }

    /// The same door, for calls that must have ended at a moment of the environment's monotonic
    /// clock: a write waits no longer for a row that a transaction has locked. Default: for ever.
    #[must_use]
    pub fn until(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same door under its name, which stands in every commit. Default: the library.
    #[must_use]
    pub const fn through(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Who asks.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.principal
    }

    /// Executes a command. Blocks: on table reads, on back-pressure, and on the fsync that the
    /// command's durability asks for.
    ///
    /// # Errors
    /// `Forbidden` for a principal that may not; else what the model answers.
    pub fn execute(&self, command: Command) -> Result<Reply, SessionError> {
        let access = self.access(&command)?;
        let kv = self.database.kv();
        Ok(match command {
            Command::KvGet { key } => Reply::KvGet(kv.get(access, key)?),
            Command::KvPut { put, durability } => {
                Reply::KvPut(kv.put(access, put, self.terms(durability))?)
            }
            Command::KvDelete {
                key,
                condition,
                durability,
            } => Reply::KvDelete(kv.delete(access, key, condition, self.terms(durability))?),
            Command::KvIncrement {
                key,
                by,
                initial,
                durability,
            } => {
                let terms = self.terms(durability);
                Reply::KvIncrement(kv.increment(access, key, by, initial, terms)?)
            }
            Command::KvList(list) => Reply::KvList(kv.list(access, &list)?),
            Command::KvBatch(batch) => {
                Reply::KvBatch(kv.batch_on(access, &batch, self.terms(batch.durability))?)
            }
        })
    }

    /// Executes a read at once if memory holds the answer; `None` when it must block, and for every
    /// write. Never blocks.
    pub fn execute_ready(&self, command: &Command) -> Option<Result<Reply, SessionError>> {
        let Command::KvGet { key } = command else {
            return None;
        };
        let found = match self.access(command) {
            Ok(access) => self
                .database
                .kv()
                .get_ready(access, key)?
                .map_err(SessionError::from),
            Err(error) => Err(error),
        };
        Some(found.map(Reply::KvGet))
    }

    /// Whole entries with a prefix, one after the other, from one snapshot. Each step may read
    /// tables.
    ///
    /// # Errors
    /// `Forbidden` for a principal that may not read; `TooLarge` for a prefix over the key limit.
    pub fn scan(&self, prefix: &Bytes) -> Result<EntryScan, SessionError> {
        let access = self.access(&Command::KvList(List::default()))?;
        Ok(self.database.kv().scan(access, prefix)?)
    }

    const fn terms(&self, durability: Durability) -> Terms {
        Terms {
            durability,
            deadline: self.deadline,
            origin: self.origin,
        }
    }

    fn access(&self, command: &Command) -> Result<Access, SessionError> {
        self.principal.grant(command.writes())
    }

    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}
