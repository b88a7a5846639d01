//! The nouns of MantisDB: what a key, a record, a sequence number, a batch and an error kind are.
//!
//! Every other crate speaks in these types. Nothing here does I/O, reads a clock or allocates
//! without a bound; the byte layouts are drawn in `docs/format.md`.
//!
//! ```
//! use mantis_types::{DatabaseId, EncodedKey, OwnerId, Space};
//!
//! let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), b"user:1")?;
//! assert_eq!(key.user_key(), b"user:1");
//! # Ok::<(), mantis_types::CodecError>(())
//! ```
//!
//! It is not: a place for helpers without a noun, nor for anything that a single crate needs.
#![deny(clippy::indexing_slicing)]

mod access;
mod batch;
mod codec;
mod durability;
mod isolation;
mod key;
mod kind;
mod limits;
mod origin;
mod record;
mod seq;

pub use access::Access;
pub use batch::{BatchEntries, BatchEntry, BatchHead, BatchOp, WriteBatch, WriteBatchBuilder};
pub use codec::{CodecError, decode_ordered, encode_ordered};
pub use durability::Durability;
pub use isolation::Isolation;
pub use key::{DatabaseId, EncodedKey, KEY_BYTES_MAX, OwnerId, Space, prefix_end, split_key};
pub use kind::{Code, ErrorKind};
pub use limits::Limits;
pub use origin::Origin;
pub use record::{
    ContentType, RECORD_VERSION, RecordBuilder, RecordView, ValueKind, seq_of, stamp_seq,
};
pub use seq::Seq;
