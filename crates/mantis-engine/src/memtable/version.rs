//! One version of one key, as a node of the skiplist holds it: 40 bytes and one allocation.
//!
//! A search visits some thirty nodes and is bound by the cache lines that it touches, not by what it
//! compares. So a node holds what comparisons need and nothing else: the first 24 bytes of the key
//! as three words, and one word for the key's length and the Seq. Key and record stand together
//! behind one thin pointer, which a search follows only for longer keys that agree so far.

use std::cmp::Ordering as Order;
use std::fmt;

use mantis_types::{BatchEntry, Seq, stamp_seq};
use triomphe::{Arc, ThinArc};

/// Key bytes inside the node.
const HEAD_WORDS: usize = 3;
const HEAD_BYTES: usize = HEAD_WORDS * 8;
/// Bits of the Seq in the tail word: at a million commits a second enough for 2,283 years.
const SEQ_BITS: u32 = 56;
const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;
/// The length in the tail word of keys that do not fit into the head.
const LONG: u64 = HEAD_BYTES as u64 + 1;
/// Counter, length and header of a body.
const BODY_OVERHEAD: usize = 3 * 8;

/// Key and record of a version, shared by all who read it.
#[derive(Clone)]
pub(crate) struct Body(ThinArc<BodyHeader, u8>);

#[derive(Clone, Copy)]
struct BodyHeader {
    key_len: u16,
    deleted: bool,
}

impl Body {
    /// The entry's key and record in one copy, the record with its Seq.
    fn of(entry: &BatchEntry<'_>, seq: Seq) -> Self {
        let header = BodyHeader {
            key_len: entry.key_len(),
            deleted: entry.record().is_none(),
        };
        let mut body = ThinArc::from_header_and_slice(header, entry.bytes());
        let record = usize::from(header.key_len)..;
        // Nobody shares it yet. A delete has no record to stamp.
        body.with_arc_mut(|body| {
            Arc::get_mut(body)
                .and_then(|body| body.slice_mut().get_mut(record))
                .map(|record| stamp_seq(record, seq))
        });
        Self(body)
    }

    pub(crate) fn key(&self) -> &[u8] {
        let key_len = usize::from(self.0.header.header.key_len);
        self.0.slice.get(..key_len).unwrap_or_default()
    }

    /// The record's bytes; empty for a delete.
    pub(crate) fn record(&self) -> &[u8] {
        let key_len = usize::from(self.0.header.header.key_len);
        self.0.slice.get(key_len..).unwrap_or_default()
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.0.header.header.deleted
    }

    /// Bytes on the heap: what `len` bytes of key and record take as a body.
    pub(crate) const fn heap_bytes(len: usize) -> u64 {
        (BODY_OVERHEAD + len).next_multiple_of(16) as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.0.slice.len()
    }
}

/// A key at a Seq: an entry of the skiplist, or the place of one. Ordered by (key ascending, Seq
/// descending).
#[derive(Clone)]
pub(crate) struct Version {
    head: [u64; HEAD_WORDS],
    /// Length of the key, [`LONG`] for longer ones; then the Seq with all bits turned.
    tail: u64,
    /// `None` only in a place, and only when the head is all of the key.
    body: Option<Body>,
}

impl Version {
    /// What a batch writes at `seq`.
    #[inline]
    pub(crate) fn write(entry: &BatchEntry<'_>, seq: Seq) -> Self {
        Self::with(entry.key(), seq, Some(Body::of(entry, seq)))
    }

    /// The place of `key` at `seq`, to search for. No allocation for keys of up to 24 bytes.
    #[inline]
    pub(crate) fn place(key: &[u8], seq: Seq) -> Self {
        let body = (key.len() > HEAD_BYTES).then(|| {
            let header = BodyHeader {
                key_len: u16::try_from(key.len()).unwrap_or(u16::MAX),
                deleted: true,
            };
            Body(ThinArc::from_header_and_slice(header, key))
        });
        Self::with(key, seq, body)
    }

    #[inline]
    fn with(key: &[u8], seq: Seq, body: Option<Body>) -> Self {
        let length = (key.len() as u64).min(LONG);
        Self {
            head: head_of(key),
            tail: length << SEQ_BITS | turned(seq),
            body,
        }
    }

    /// Key and record of an entry.
    pub(crate) fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }

    /// The key of an entry.
    pub(crate) fn key(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], Body::key)
    }

    /// The record of an entry; empty for a delete.
    pub(crate) fn record(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], Body::record)
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_delete)
    }

    pub(crate) const fn seq(&self) -> Seq {
        Seq::new(!self.tail & SEQ_MASK)
    }

    /// This key at another Seq.
    pub(crate) fn at(&self, seq: Seq) -> Self {
        Self {
            tail: self.tail & !SEQ_MASK | turned(seq),
            ..self.clone()
        }
    }

    #[inline]
    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.head == other.head
            && (self.tail ^ other.tail) & !SEQ_MASK == 0
            && (self.tail >> SEQ_BITS != LONG || self.key() == other.key())
    }

    /// Two keys whose heads agree.
    #[inline]
    fn cmp_rest(&self, other: &Self) -> Order {
        let both_long = self.tail.min(other.tail) >> SEQ_BITS == LONG;
        if both_long {
            let order = self.key().cmp(other.key());
            return order.then_with(|| self.tail.cmp(&other.tail));
        }
        // Heads are padded with zeros: where one key ends inside its head, the shorter one is less.
        self.tail.cmp(&other.tail)
    }
}

/// Seqs descend: the newest version of a key is the first.
const fn turned(seq: Seq) -> u64 {
    let seq = if seq.get() > SEQ_MASK {
        SEQ_MASK
    } else {
        seq.get()
    };
    !seq & SEQ_MASK
}

#[inline]
fn head_of(key: &[u8]) -> [u64; HEAD_WORDS] {
    let mut bytes = [0; HEAD_BYTES];
    let len = key.len().min(HEAD_BYTES);
    if let (Some(place), Some(key)) = (bytes.get_mut(..len), key.get(..len)) {
        place.copy_from_slice(key);
    }
    let mut head = [0; HEAD_WORDS];
    for (word, chunk) in head.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*chunk);
    }
    head
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    #[inline]
    fn cmp(&self, other: &Self) -> Order {
        let [a0, a1, a2] = self.head;
        let [b0, b1, b2] = other.head;
        if a0 != b0 {
            a0.cmp(&b0)
        } else if a1 != b1 {
            a1.cmp(&b1)
        } else if a2 != b2 {
            a2.cmp(&b2)
        } else {
            self.cmp_rest(other)
        }
    }
}

impl fmt::Debug for Body {
    /// Shows lengths only: keys and values belong to their owners and not into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version(seq {})", self.seq())
    }
}

#[cfg(test)]
mod tests {
    use mantis_types::WriteBatchBuilder;

    use super::*;

    fn written(key: &[u8], seq: u64) -> Version {
        let mut batch = WriteBatchBuilder::default();
        batch.put(key, &[1; 40]).unwrap();
        let batch = batch.finish();
        Version::write(&batch.entries().next().unwrap(), Seq::new(seq))
    }

    #[test]
    fn versions_stand_in_the_order_of_key_bytes_and_the_newest_first() {
        let mut keys: Vec<Vec<u8>> = vec![vec![1], vec![1, 0], vec![2; 24], vec![255; 300]];
        for len in 1..60 {
            keys.push(vec![7; len]);
            keys.push([vec![7; len], vec![0]].concat());
            keys.push([vec![7; len], vec![8]].concat());
        }
        for a in &keys {
            for b in &keys {
                let seqs = [(9, 3), (3, 9), (4, 4)];
                seqs.into_iter().for_each(|seqs| agree(a, b, seqs));
            }
        }
    }

    fn agree(a: &[u8], b: &[u8], (seq_a, seq_b): (u64, u64)) {
        let expected = a.cmp(b).then(seq_b.cmp(&seq_a));
        let (at, entry) = (Version::place(a, Seq::new(seq_a)), written(b, seq_b));
        assert_eq!(at.cmp(&entry), expected, "{a:?} {seq_a} {b:?} {seq_b}");
        assert_eq!(entry.cmp(&at), expected.reverse());
        assert_eq!(at.same_key(&entry), a == b, "{a:?} {b:?}");
    }

    #[test]
    fn a_version_is_small_and_gives_back_what_was_written() {
        assert_eq!(size_of::<Version>(), 40);
        for len in [1, 23, 24, 25, 65_535] {
            let key = vec![3; len];
            let version = written(&key, 77);
            assert_eq!((version.key(), version.seq()), (&key[..], Seq::new(77)));
            assert_eq!(version.record()[4..12], 77_u64.to_le_bytes());
            assert_eq!(version.at(Seq::new(5)).seq(), Seq::new(5));
            assert!(!version.is_delete());
        }
        let ends = [Seq::ZERO, Seq::new(SEQ_MASK), Seq::MAX];
        let seqs = ends.map(|seq| Version::place(b"k", seq).seq().get());
        assert_eq!(seqs, [0, SEQ_MASK, SEQ_MASK]);
    }

    #[test]
    fn an_empty_record_is_not_a_delete() {
        let mut batch = WriteBatchBuilder::default();
        batch.put(b"a", b"").unwrap();
        batch.delete(b"b").unwrap();
        let batch = batch.finish();
        let found = batch
            .entries()
            .map(|entry| Version::write(&entry, Seq::new(1)).is_delete());
        assert_eq!(found.collect::<Vec<_>>(), [false, true]);
    }
}
