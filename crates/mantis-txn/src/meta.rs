//! The bookkeeping keys of a database: counters, generations, the expiry index, the reclaim queue.
//!
//! They stand in space Meta, where the owner id is the number of a table of ours.

use mantis_types::{
    CodecError, DatabaseId, EncodedKey, OwnerId, RecordBuilder, Space, ValueKind,
    WriteBatchBuilder, encode_ordered, split_key,
};

/// Counters by name; payload: u64 little-endian.
pub const COUNTERS: OwnerId = OwnerId::new(1);
/// Generation of each keyspace, keyed by its number (ordered varint); payload: u64 little-endian.
pub const KEYSPACES: OwnerId = OwnerId::new(2);
/// Expiry index: u64 big-endian milliseconds, then the encoded key that expires; no payload.
pub const EXPIRIES: OwnerId = OwnerId::new(3);
/// Reclaim queue: space tag, owner id (ordered varint) of a range that nothing refers to; no payload.
pub const RECLAIM: OwnerId = OwnerId::new(4);

/// Receipts of requests that take effect once: a byte for the principal, then the request's key. They
/// expire like any other record.
pub const RECEIPTS: OwnerId = OwnerId::new(5);

/// Ids below this are never given out by the counter: generations of keyspaces that were never
/// emptied are their number + 1.
pub const FIRST_ID: u64 = 1024;

/// A key of one of the tables above.
///
/// # Errors
/// `KeyTooLong`.
pub fn meta_key(db: DatabaseId, table: OwnerId, key: &[u8]) -> Result<EncodedKey, CodecError> {
    EncodedKey::new(db, Space::Meta, table, key)
}

/// The expiry index entry of `key` (encoded).
///
/// # Errors
/// `KeyTooLong`.
pub fn expiry_key(db: DatabaseId, at_ms: u64, key: &[u8]) -> Result<EncodedKey, CodecError> {
    let mut user_key = Vec::with_capacity(8 + key.len());
    user_key.extend(at_ms.to_be_bytes());
    user_key.extend_from_slice(key);
    meta_key(db, EXPIRIES, &user_key)
}

/// Takes an expiry index entry apart: when, and which key.
///
/// # Errors
/// `Truncated` when it is no such entry.
pub fn split_expiry(entry: &[u8]) -> Result<(u64, &[u8]), CodecError> {
    let (_, _, _, user_key) = split_key(entry)?;
    let (at, key) = user_key
        .split_first_chunk::<8>()
        .ok_or(CodecError::Truncated)?;
    Ok((u64::from_be_bytes(*at), key))
}

/// The reclaim entry of everything below (`space`, `owner`).
///
/// # Errors
/// None in practice: such keys are short.
pub fn reclaim_key(db: DatabaseId, space: Space, owner: OwnerId) -> Result<EncodedKey, CodecError> {
    let mut user_key = vec![space.tag()];
    encode_ordered(owner.get(), &mut user_key);
    meta_key(db, RECLAIM, &user_key)
}

/// Puts a bookkeeping record.
///
/// # Errors
/// As [`WriteBatchBuilder::put_with`].
pub fn put_meta(
    batch: &mut WriteBatchBuilder,
    key: &EncodedKey,
    payload: &[u8],
) -> Result<(), CodecError> {
    batch.put_with(key.as_bytes(), |out| {
        RecordBuilder::new(ValueKind::Meta).write(payload, out)
    })
}
