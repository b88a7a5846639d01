//! Records: what stands behind a key. A short header that is read in place, then the payload.
//!
//! ```text
//! 0      u8   format version (1)
//! 1      u8   value kind
//! 2      u8   content type code (255: named in the attributes)
//! 3      u8   flags: 1 expiry, 2 modified, 4 attributes; other bits must be 0
//! 4..12  u64  commit Seq, little-endian; 0 until the commit is applied
//! [8]    u64  expiry, milliseconds since 1970          (flag 1)
//! [6]    u48  modified, milliseconds since 1970        (flag 2)
//! [2]    u16  length of the attribute block, then it   (flag 4)
//! rest        payload
//! ```
//! An attribute is a tag byte, a u16 length and its bytes.

use crate::codec::CodecError;
use crate::seq::Seq;

/// The format version that this code writes.
pub const RECORD_VERSION: u8 = 1;

const FIXED_LEN: usize = 12;
const FLAG_EXPIRY: u8 = 1;
const FLAG_MODIFIED: u8 = 2;
const FLAG_ATTRIBUTES: u8 = 4;
const ATTR_CONTENT_TYPE: u8 = 1;
const ATTR_TAG: u8 = 2;
const ATTR_CREATED: u8 = 3;
/// Milliseconds fit in 48 bits for 8,900 years.
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// What the payload is. The numbers are on disk: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// The value's own bytes.
    Bytes,
    /// A value over the chunk limit: the payload names the collection that holds its chunks.
    Chunked,
    /// A hash; its fields are members of the collection that the payload names.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A record of the engine's own bookkeeping (space Meta and Catalog).
    Meta,
}

impl ValueKind {
    /// The number on disk.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Bytes => 1,
            Self::Chunked => 2,
            Self::Hash => 3,
            Self::List => 4,
            Self::Set => 5,
            Self::SortedSet => 6,
            Self::Meta => 64,
        }
    }

    fn from_tag(tag: u8) -> Result<Self, CodecError> {
        Ok(match tag {
            1 => Self::Bytes,
            2 => Self::Chunked,
            3 => Self::Hash,
            4 => Self::List,
            5 => Self::Set,
            6 => Self::SortedSet,
            64 => Self::Meta,
            _ => return Err(CodecError::UnknownTag(tag)),
        })
    }
}

/// The media type of a value: a one-byte code for the common ones, its text otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentType<'a> {
    /// `application/octet-stream`.
    #[default]
    Octets,
    /// `text/plain; charset=utf-8`.
    Text,
    /// `application/json`.
    Json,
    /// Any other, as the writer named it.
    Named(&'a str),
}

impl<'a> ContentType<'a> {
    /// The media type as text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Octets => "application/octet-stream",
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Named(text) => text,
        }
    }

    /// The shortest form for `text`.
    #[must_use]
    pub fn from_text(text: &'a str) -> Self {
        match text {
            "application/octet-stream" => Self::Octets,
            "text/plain; charset=utf-8" | "text/plain;charset=utf-8" => Self::Text,
            "application/json" => Self::Json,
            other => Self::Named(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Octets => 0,
            Self::Text => 1,
            Self::Json => 2,
            Self::Named(_) => 255,
        }
    }
}

/// Builds the bytes of a record. The Seq is stamped later, when the commit is applied.
#[derive(Clone, Copy, Debug)]
pub struct RecordBuilder<'a> {
    kind: ValueKind,
    content_type: ContentType<'a>,
    expiry_ms: Option<u64>,
    modified_ms: Option<u64>,
    created_ms: Option<u64>,
    tags: &'a [String],
}

impl<'a> RecordBuilder<'a> {
    /// A record of this kind without expiry, times or attributes.
    #[must_use]
    pub const fn new(kind: ValueKind) -> Self {
        Self {
            kind,
            content_type: ContentType::Octets,
            expiry_ms: None,
            modified_ms: None,
            created_ms: None,
            tags: &[],
        }
    }

    /// Sets the media type.
    #[must_use]
    pub const fn content_type(mut self, content_type: ContentType<'a>) -> Self {
        self.content_type = content_type;
        self
    }

    /// The moment from which the record counts as absent, in milliseconds since 1970.
    #[must_use]
    pub const fn expiry_ms(mut self, at: Option<u64>) -> Self {
        self.expiry_ms = at;
        self
    }

    /// When this version was written, in milliseconds since 1970.
    #[must_use]
    pub const fn modified_ms(mut self, at: u64) -> Self {
        self.modified_ms = Some(at);
        self
    }

    /// When the first version was written, where that is known and differs from `modified_ms`.
    #[must_use]
    pub const fn created_ms(mut self, at: Option<u64>) -> Self {
        self.created_ms = at;
        self
    }

    /// Labels for invalidation by tag.
    #[must_use]
    pub const fn tags(mut self, tags: &'a [String]) -> Self {
        self.tags = tags;
        self
    }

    /// Appends the record to `out`, header and payload.
    ///
    /// # Errors
    /// `TooLong` when content type and tags together pass 65,535 bytes.
    pub fn write(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let attributes = self.attributes()?;
        let mut flags = 0;
        flags |= if self.expiry_ms.is_some() {
            FLAG_EXPIRY
        } else {
            0
        };
        flags |= if self.modified_ms.is_some() {
            FLAG_MODIFIED
        } else {
            0
        };
        flags |= if attributes.is_empty() {
            0
        } else {
            FLAG_ATTRIBUTES
        };
        out.reserve(FIXED_LEN + 16 + attributes.len() + payload.len());
        out.extend([
            RECORD_VERSION,
            self.kind.tag(),
            self.content_type.code(),
            flags,
        ]);
        out.extend(0_u64.to_le_bytes());
        if let Some(at) = self.expiry_ms {
            out.extend(at.to_le_bytes());
        }
        if let Some(at) = self.modified_ms {
            put_u48(at, out);
        }
        if !attributes.is_empty() {
            let max = usize::from(u16::MAX);
            let len = u16::try_from(attributes.len()).map_err(|_| CodecError::TooLong {
                len: attributes.len(),
                max,
            })?;
            out.extend(len.to_le_bytes());
            out.extend(attributes);
        }
        out.extend_from_slice(payload);
        Ok(())
    }

    fn attributes(&self) -> Result<Vec<u8>, CodecError> {
        let mut block = Vec::new();
        let mut put = |tag: u8, bytes: &[u8]| {
            let max = usize::from(u16::MAX);
            let len = u16::try_from(bytes.len()).map_err(|_| CodecError::TooLong {
                len: bytes.len(),
                max,
            })?;
            block.push(tag);
            block.extend(len.to_le_bytes());
            block.extend_from_slice(bytes);
            Ok(())
        };
        if let ContentType::Named(text) = self.content_type {
            put(ATTR_CONTENT_TYPE, text.as_bytes())?;
        }
        for tag in self.tags {
            put(ATTR_TAG, tag.as_bytes())?;
        }
        if let Some(at) = self.created_ms {
            let mut bytes = Vec::with_capacity(6);
            put_u48(at, &mut bytes);
            put(ATTR_CREATED, &bytes)?;
        }
        Ok(block)
    }
}

fn put_u48(number: u64, out: &mut Vec<u8>) {
    out.extend(number.min(MILLIS_MAX).to_le_bytes().iter().take(6));
}

/// A record read in place: nothing is copied, nothing is parsed that is not asked for.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    kind: ValueKind,
    code: u8,
    seq: Seq,
    expiry_ms: Option<u64>,
    modified_ms: Option<u64>,
    attributes: &'a [u8],
    payload: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the header; O(1), no allocation.
    ///
    /// # Errors
    /// `Truncated`, `UnknownVersion` or `UnknownTag` when the bytes are no record of ours.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut input = Input(bytes);
        let [version, kind, code, flags] = input.take::<4>()?;
        if version != RECORD_VERSION {
            return Err(CodecError::UnknownVersion(version));
        }
        if flags & !(FLAG_EXPIRY | FLAG_MODIFIED | FLAG_ATTRIBUTES) != 0 {
            return Err(CodecError::UnknownTag(flags));
        }
        let kind = ValueKind::from_tag(kind)?;
        let seq = Seq::new(u64::from_le_bytes(input.take()?));
        let expiry_ms = if flags & FLAG_EXPIRY == 0 {
            None
        } else {
            Some(u64::from_le_bytes(input.take()?))
        };
        let modified_ms = if flags & FLAG_MODIFIED == 0 {
            None
        } else {
            Some(input.take_u48()?)
        };
        let attributes = if flags & FLAG_ATTRIBUTES == 0 {
            &[][..]
        } else {
            let len = usize::from(u16::from_le_bytes(input.take()?));
            input.take_slice(len)?
        };
        let view = Self {
            kind,
            code,
            seq,
            expiry_ms,
            modified_ms,
            attributes,
            payload: input.0,
        };
        if !matches!(code, 0..=2 | 255) {
            return Err(CodecError::UnknownTag(code));
        }
        Ok(view)
    }

    /// What the payload is.
    #[must_use]
    pub const fn kind(&self) -> ValueKind {
        self.kind
    }

    /// The commit that wrote this version; it is the `version` and the `ETag` of the outside.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The moment from which the record counts as absent.
    #[must_use]
    pub const fn expiry_ms(&self) -> Option<u64> {
        self.expiry_ms
    }

    /// Whether the record counts as absent for a reader whose time is `now_ms`.
    #[must_use]
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expiry_ms.is_some_and(|at| at <= now_ms)
    }

    /// When this version was written, if the writer said so.
    #[must_use]
    pub const fn modified_ms(&self) -> Option<u64> {
        self.modified_ms
    }

    /// When the first version was written, as far as it is known.
    #[must_use]
    pub fn created_ms(&self) -> Option<u64> {
        let stored = self.attributes_of(ATTR_CREATED).next();
        stored
            .and_then(|b| Input(b).take_u48().ok())
            .or(self.modified_ms)
    }

    /// The media type.
    #[must_use]
    pub fn content_type(&self) -> ContentType<'a> {
        match self.code {
            1 => ContentType::Text,
            2 => ContentType::Json,
            255 => self
                .attributes_of(ATTR_CONTENT_TYPE)
                .next()
                .and_then(|b| std::str::from_utf8(b).ok())
                .map_or(ContentType::Octets, ContentType::Named),
            _ => ContentType::Octets,
        }
    }

    /// Labels for invalidation by tag.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> {
        self.attributes_of(ATTR_TAG)
            .filter_map(|b| std::str::from_utf8(b).ok())
    }

    /// The bytes behind the header.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    fn attributes_of(&self, wanted: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut input = Input(self.attributes);
        std::iter::from_fn(move || {
            let [tag] = input.take::<1>().ok()?;
            let len = usize::from(u16::from_le_bytes(input.take().ok()?));
            Some((tag, input.take_slice(len).ok()?))
        })
        .filter_map(move |(tag, bytes)| (tag == wanted).then_some(bytes))
    }
}

/// The Seq in the header of a record that is known to be whole; zero for bytes that are too short.
#[must_use]
pub fn seq_of(record: &[u8]) -> Seq {
    let bytes = record
        .get(4..FIXED_LEN)
        .and_then(|b| b.try_into().ok())
        .unwrap_or_default();
    Seq::new(u64::from_le_bytes(bytes))
}

/// Writes the commit's Seq into the header of a record.
pub fn stamp_seq(record: &mut [u8], seq: Seq) {
    if let Some(place) = record.get_mut(4..FIXED_LEN) {
        place.copy_from_slice(&seq.get().to_le_bytes());
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn take_u48(&mut self) -> Result<u64, CodecError> {
        let low = self.take::<6>()?;
        Ok(low.iter().rev().fold(0, |n, &b| (n << 8) | u64::from(b)))
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(builder: RecordBuilder<'_>, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        builder.write(payload, &mut out).unwrap();
        out
    }

    #[test]
    fn a_plain_record_has_twelve_bytes_of_header() {
        let mut bytes = build(RecordBuilder::new(ValueKind::Bytes), b"value");
        assert_eq!(bytes.len(), 12 + 5);
        stamp_seq(&mut bytes, Seq::new(7));
        assert_eq!(seq_of(&bytes), Seq::new(7));
        let view = RecordView::parse(&bytes).unwrap();
        assert_eq!((view.seq(), view.payload()), (Seq::new(7), &b"value"[..]));
        assert_eq!((view.expiry_ms(), view.modified_ms()), (None, None));
    }

    #[test]
    fn every_member_comes_back() {
        let tags = ["a".to_owned(), "longer tag".to_owned()];
        let builder = RecordBuilder::new(ValueKind::Bytes)
            .content_type(ContentType::Named("image/png"))
            .expiry_ms(Some(u64::MAX))
            .modified_ms(1_700_000_000_123)
            .created_ms(Some(1_600_000_000_456))
            .tags(&tags);
        let bytes = build(builder, b"");
        let view = RecordView::parse(&bytes).unwrap();
        assert_eq!(view.content_type(), ContentType::Named("image/png"));
        assert_eq!(view.expiry_ms(), Some(u64::MAX));
        assert_eq!(view.modified_ms(), Some(1_700_000_000_123));
        assert_eq!(view.created_ms(), Some(1_600_000_000_456));
        assert_eq!(view.tags().collect::<Vec<_>>(), ["a", "longer tag"]);
        assert_eq!(view.payload(), b"");
    }

    #[test]
    fn expiry_is_the_first_moment_of_absence() {
        let bytes = build(
            RecordBuilder::new(ValueKind::Bytes).expiry_ms(Some(100)),
            b"",
        );
        let view = RecordView::parse(&bytes).unwrap();
        assert!(!view.expired(99));
        assert!(view.expired(100));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let good = build(RecordBuilder::new(ValueKind::Bytes).modified_ms(1), b"");
        for len in 0..good.len() {
            assert_eq!(
                RecordView::parse(&good[..len]).unwrap_err(),
                CodecError::Truncated
            );
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            RecordView::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(0, 9), CodecError::UnknownVersion(9));
        assert_eq!(with(1, 99), CodecError::UnknownTag(99));
        assert_eq!(with(2, 9), CodecError::UnknownTag(9));
        assert_eq!(with(3, 0x80), CodecError::UnknownTag(0x80));
    }
}
