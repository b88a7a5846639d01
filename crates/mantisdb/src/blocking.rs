//! The database with transactions, for threads: the same names as at the root, without a runtime.
//!
//! ```
//! # fn main() -> Result<(), mantisdb::Error> {
//! # use mantisdb::{IsolationLevel, blocking::Database};
//! let db = Database::open_in_memory()?;                    // or Database::open(dir)
//! db.transact(IsolationLevel::Serializable, |tx| {
//!     let stock = tx.get("stock")?.map_or(10, |bytes| bytes[0]);
//!     tx.put("stock", vec![stock - 1])
//! })?;
//! assert_eq!(db.storage().get("stock")?.as_deref(), Some(&[9][..]));
//! # Ok(())
//! # }
//! ```

mod database;
mod transaction;

pub use database::{CommitFeed, Database};
pub use transaction::Transaction;
pub(crate) use transaction::finished;
