//! Stores behind one trait: what a transaction does on each of them.

use anyhow::Result;

use super::mix::Step;
use super::model::Model;
use crate::keys::{Key, scattered};
use crate::run::found;

/// A store with transactions.
pub(crate) trait Transactional: Send + Sync {
    type Txn<'a>: Txn
    where
        Self: 'a;

    fn begin(&self) -> Result<Self::Txn<'_>>;

    /// Puts one value, by itself.
    fn put(&self, key: &Key, value: &[u8]) -> Result<()>;

    /// The newest value.
    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>>;

    /// Moves everything into tables, merged.
    fn settle(&self) -> Result<()>;
}

/// A transaction of one of them. Dropping it rolls it back.
pub(crate) trait Txn {
    /// Bytes of the value that it sees, 0 when there is none.
    fn get(&mut self, key: &Key) -> Result<usize>;

    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()>;

    fn commit(self) -> Result<Outcome>;
}

/// How a commit ended, where nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed,
    /// Another one came first; nothing was written.
    Conflict,
}

/// The same without its own type of transactions: what rows call. A call is a whole transaction.
pub(super) trait Store: Send + Sync {
    /// One transaction, run again until it commits; answers how often it was refused.
    fn transact(&self, step: &Step, model: &Model<'_>, round: u8) -> Result<u64>;

    /// As [`Transactional::put`].
    fn load(&self, key: &Key, value: &[u8]) -> Result<()>;

    /// As [`Transactional::value`].
    fn newest(&self, key: &Key) -> Result<Option<Vec<u8>>>;

    /// As [`Transactional::settle`].
    fn merge_tables(&self) -> Result<()>;
}

impl<S: Transactional> Store for S {
    fn transact(&self, step: &Step, model: &Model<'_>, round: u8) -> Result<u64> {
        let mut refused = 0;
        loop {
            let mut txn = self.begin()?;
            for number in step.reads() {
                found(txn.get(&scattered(*number))?)?;
            }
            for number in step.writes() {
                txn.put(&scattered(*number), model.value(*number, round))?;
            }
            match txn.commit()? {
                Outcome::Committed => return Ok(refused),
                Outcome::Conflict => refused += 1,
            }
        }
    }

    fn load(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.put(key, value)
    }

    fn newest(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        self.value(key)
    }

    fn merge_tables(&self) -> Result<()> {
        self.settle()
    }
}
