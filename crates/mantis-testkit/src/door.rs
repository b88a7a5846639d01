//! Ways into a store with transactions, so that the same histories and scripts run through each.

pub mod embedded;
pub mod half;
pub mod kind;
pub mod naive;
pub mod rest;
mod served;
pub mod store;

use std::time::Duration;

use mantis_txn::LockWait;
use mantis_types::{Code, Durability, ErrorKind, Isolation};

pub use crate::rig::target::Refusal;

/// A way into a store.
pub trait Door: Send + Sync {
    /// Begins a transaction.
    ///
    /// # Errors
    /// When the store takes none.
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal>;

    /// Closes what is behind it, if that holds files. Nothing may be begun afterwards.
    ///
    /// # Errors
    /// When it does not close in order.
    fn close(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Door for Box<dyn Door> {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        (**self).begin(wish)
    }

    fn close(&self) -> Result<(), Refusal> {
        (**self).close()
    }
}

/// What a transaction is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its level.
    pub isolation: Isolation,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// What its commit waits for.
    pub durability: Durability,
    /// It may take so long.
    pub span: Option<Duration>,
}

impl Wish {
    /// A transaction that writes, as durable as by default, with all the time of the world.
    #[must_use]
    pub const fn at(isolation: Isolation) -> Self {
        Self {
            isolation,
            read_only: false,
            durability: Durability::Sync,
            span: None,
        }
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A transaction that was begun; dropping it rolls it back. After an error of any call but
/// [`Self::try_lock`] it can only be rolled back.
pub trait Txn: Send {
    /// Begins a statement.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn statement(&mut self) -> Result<(), Refusal>;

    /// Reads a key.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal>;

    /// Reads the keys from the first bound, included, to the second, excluded, in order.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal>;

    /// Writes a key.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal>;

    /// Removes a key, there or not.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal>;

    /// Locks a key against other writers, and reads it.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal>;

    /// Locks a key if nobody holds it.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal>;

    /// Opens a savepoint.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn savepoint(&mut self, name: &str) -> Result<(), Refusal>;

    /// Takes back what was written since the savepoint.
    ///
    /// # Errors
    /// When the transaction cannot go on.
    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal>;

    /// Commits; answers the commit's number, if the door tells it.
    ///
    /// # Errors
    /// With the refusal's `unknown`, when it may have happened all the same.
    fn commit(self: Box<Self>) -> Result<Option<u64>, Refusal>;

    /// Ends it without a trace.
    fn rollback(self: Box<Self>);
}

/// What the documentation of commits says about their errors.
pub(crate) fn may_have_happened(code: Code) -> bool {
    let surely_not = matches!(
        code.kind(),
        ErrorKind::Conflict | ErrorKind::Exhausted | ErrorKind::Invalid | ErrorKind::Closed
    ) || matches!(code, Code::DeadlineExceeded | Code::ReadOnly);
    !surely_not
}

/// A refusal with a code of the product, that surely had no effect.
#[must_use]
pub fn refused(code: Code) -> Refusal {
    Refusal::new(code.as_str(), code)
}
