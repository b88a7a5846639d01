//! Keys of the one ordered keyspace: database, space, owner, user key.

use std::fmt;

use crate::codec::{CodecError, decode_ordered, encode_ordered};

/// The longest encoded key in bytes: what a table of the engine can hold.
pub const KEY_BYTES_MAX: usize = 65_535;

/// A database (tenant). Transactions live in one. Database 0 belongs to the engine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseId(u32);

impl DatabaseId {
    /// Reserved for the engine's own marks; no user key may stand in it.
    pub const ENGINE: Self = Self(0);
    /// The database that every store has.
    pub const DEFAULT: Self = Self(1);

    /// Wraps a number from the catalog.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What kind of thing a key names. The numbers are on disk: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Space {
    /// Counters, generations of keyspaces, the reclaim queue.
    Meta,
    /// Top-level keys of the key-value model; the owner is the generation of their keyspace.
    Kv,
    /// Members of collections and chunks of large values; the owner is the collection's id.
    Member,
    /// Databases, tables, indexes, roles and policies.
    Catalog,
    /// Rows of tables; the owner is the table's generation.
    Row,
    /// Entries of secondary indexes; the owner is the index's generation.
    Index,
    /// Documents; the owner is the collection's generation.
    Document,
    /// Manifests and indexes of columnar tables.
    Columnar,
}

impl Space {
    /// Every space, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Kv,
        Self::Member,
        Self::Catalog,
        Self::Row,
        Self::Index,
        Self::Document,
        Self::Columnar,
    ];

    /// The number on disk.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Meta => 1,
            Self::Kv => 2,
            Self::Member => 3,
            Self::Catalog => 4,
            Self::Row => 5,
            Self::Index => 6,
            Self::Document => 7,
            Self::Columnar => 8,
        }
    }

    /// The space with this number.
    ///
    /// # Errors
    /// `UnknownTag` for a number that is not in use.
    pub fn from_tag(tag: u8) -> Result<Self, CodecError> {
        Self::ALL
            .into_iter()
            .find(|s| s.tag() == tag)
            .ok_or(CodecError::UnknownTag(tag))
    }
}

/// The generation of a keyspace or table, or the id of a collection: whatever owns the user keys
/// below it. Giving something a new owner id empties it in O(1); the old range is reclaimed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(u64);

impl OwnerId {
    /// Wraps a number from the store's id counter.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A whole key as the engine orders it. Its bytes compare as (database, space, owner, user key) do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodedKey {
    bytes: Vec<u8>,
    prefix_len: usize,
}

impl EncodedKey {
    /// Builds the key. One allocation.
    ///
    /// # Errors
    /// `KeyTooLong` when the encoded form has more than [`KEY_BYTES_MAX`] bytes.
    pub fn new(
        database: DatabaseId,
        space: Space,
        owner: OwnerId,
        user_key: &[u8],
    ) -> Result<Self, CodecError> {
        let mut key = Self::prefix(database, space, owner, user_key.len());
        key.bytes.extend_from_slice(user_key);
        let len = key.bytes.len();
        if len > KEY_BYTES_MAX {
            return Err(CodecError::KeyTooLong {
                len,
                max: KEY_BYTES_MAX,
            });
        }
        Ok(key)
    }

    /// The prefix that all keys of one owner share, with room for `more` bytes.
    #[must_use]
    pub fn prefix(database: DatabaseId, space: Space, owner: OwnerId, more: usize) -> Self {
        let mut bytes = Vec::with_capacity(16 + more);
        encode_ordered(u64::from(database.get()), &mut bytes);
        bytes.push(space.tag());
        encode_ordered(owner.get(), &mut bytes);
        Self {
            prefix_len: bytes.len(),
            bytes,
        }
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded bytes, by value.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The caller's own part of the key.
    #[must_use]
    pub fn user_key(&self) -> &[u8] {
        self.bytes.get(self.prefix_len..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for EncodedKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for EncodedKey {
    /// Shows the length only: keys belong to their owners and not into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedKey({} bytes)", self.bytes.len())
    }
}

/// Takes an encoded key apart without copying.
///
/// # Errors
/// `Truncated`, `NotCanonical` or `UnknownTag` when the bytes are no key of ours.
pub fn split_key(bytes: &[u8]) -> Result<(DatabaseId, Space, OwnerId, &[u8]), CodecError> {
    let (database, rest) = decode_ordered(bytes)?;
    let database = u32::try_from(database).map_err(|_| CodecError::NotCanonical)?;
    let (&tag, rest) = rest.split_first().ok_or(CodecError::Truncated)?;
    let space = Space::from_tag(tag)?;
    let (owner, user_key) = decode_ordered(rest)?;
    Ok((DatabaseId(database), space, OwnerId(owner), user_key))
}

/// The smallest byte string above every string that begins with `prefix`; `None` when there is none
/// (all bytes are 0xFF, or the prefix is empty).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|&b| b != 0xFF)?;
    let mut end = prefix.get(..=keep)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_database_space_owner_then_user_key() {
        let make = |d, s, o, k: &[u8]| {
            EncodedKey::new(DatabaseId::new(d), s, OwnerId::new(o), k)
                .unwrap()
                .into_bytes()
        };
        let ordered = [
            make(1, Space::Meta, 9, b"z"),
            make(1, Space::Kv, 1, b""),
            make(1, Space::Kv, 1, b"\0"),
            make(1, Space::Kv, 1, b"a"),
            make(1, Space::Kv, 247, b"a"),
            make(1, Space::Kv, 248, b"a"),
            make(1, Space::Kv, 70_000, b""),
            make(1, Space::Member, 0, b""),
            make(2, Space::Meta, 0, b""),
            make(300, Space::Meta, 0, b""),
        ];
        assert!(ordered.is_sorted());
        for key in &ordered {
            let (d, s, o, k) = split_key(key).unwrap();
            assert_eq!(&EncodedKey::new(d, s, o, k).unwrap().into_bytes(), key);
        }
    }

    #[test]
    fn a_key_over_the_limit_is_refused() {
        let fits = vec![7; KEY_BYTES_MAX - 3];
        let make = |k: &[u8]| EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), k);
        assert_eq!(make(&fits).unwrap().as_bytes().len(), KEY_BYTES_MAX);
        let over = [fits, vec![7]].concat();
        let refused = make(&over).unwrap_err();
        assert_eq!(
            refused,
            CodecError::KeyTooLong {
                len: KEY_BYTES_MAX + 1,
                max: KEY_BYTES_MAX
            }
        );
    }

    #[test]
    fn prefix_end_is_the_first_string_after_all_with_the_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xFF\xFF"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xFF"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
