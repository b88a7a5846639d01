//! The bytes of the log: what stands in a segment file and in the mark file, and nothing else.
//!
//! All numbers are little-endian and of fixed width, lengths are in bytes, `hash` is xxh3 with 64
//! bits. A directory holds
//!
//! ```text
//! NNNNNNNNNN.seg           a segment; N is its number, ten decimal digits; numbers have no gaps
//! NNNNNNNNNN.spare         a file written ahead, for a later segment; nothing in it counts
//! NNNNNNNNNN.seg.dropped   what a tolerant opening or a repair has put aside; never read
//! mark                     how far the log is known to be on disk
//! reserve                  kept aside for a full disk; nothing in it counts
//! *.tmp                    was being made when the process died; removed at the next open
//! ```
//!
//! **A segment** is a header block of 4,096 bytes, then records up to its end record, each at a
//! multiple of 8. After the last record of each write stand eight zero bytes, if there is room. What
//! follows them is without meaning (zeros, or records of a file's former life, whose sums do not fit
//! the new salt).
//!
//! ```text
//! header block
//! 0     8   "MANTISLG"
//! 8     4   format version, 1
//! 12    4   zero
//! 16    8   segment number, as in the file's name
//! 24    8   salt: random, drawn anew each time the file becomes a segment
//! 32    8   Seq of the first record
//! 40    8   chain: the sum of the end record of the segment before; 0 in the first of a log
//! 48    8   length of the file that records may use, header block included
//! 56        zeros
//! 4088  8   hash of bytes 0..4088, seed 0
//!
//! record
//! 0     4   length of the body
//! 4     4   bits 0..8: kind: 1 commit, 2 end of the segment; bits 8..32: distance: Seq less the
//!           Seq that was known to be durable when the record was made, 0xFFFFFF for unknown
//! 8     8   Seq. Ascending by 1. In an end record: the first Seq of the next segment
//! 16    8   hash of the body, seed 0
//! 24    8   sum of the record before; in the first record of a segment: the header's chain
//! 32    8   sum: hash of bytes 0..32, seed: the segment's salt
//! 40        body, then zeros up to a multiple of 8
//! ```
//!
//! An end record has no body. It is on disk before the next segment gets its name, so only the last
//! segment may end without one.
//!
//! **The mark file** is 1,024 bytes: slot A at 0, slot B at 512. They are written in turn, after
//! each sync of the log; the intact one with the higher generation counts. Nothing else depends on
//! the file: without it, the distances in later records still tell what was durable.
//!
//! ```text
//! slot
//! 0     8   "MANTISMK"
//! 8     8   generation
//! 16    8   segment number
//! 24    8   offset in it: everything before is on disk
//! 32    8   Seq of the last record on disk
//! 40    8   1: the log was closed here, nothing was written after; else 0
//! 48    8   hash of bytes 0..48, seed 0
//! ```
//!
//! **Recovery** reads record after record. The first that is not intact or does not follow is a torn
//! tail if nothing says that it was durable: it stands in the last segment, not before the offset of
//! the mark, and no later intact record header of the segment names its Seq or a later one as
//! durable. A torn tail is overwritten with zeros, up to the last such header, so that it cannot come
//! back behind a record that is appended anew. Everything else is damage. What is kept behind the mark
//! is written again and synced before anybody sees it: after a sync that failed, the system may take
//! for written what is not.

use mantis_types::Seq;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Version of the format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Largest body of a record in bytes.
pub const RECORD_BYTES_MAX: u64 = 256 << 20;

pub(crate) const HEADER_BLOCK: u64 = 4096;
pub(crate) const RECORD_HEADER: usize = 40;
pub(crate) const SLOT_BYTES: usize = 56;
pub(crate) const SLOT_B: u64 = 512;
pub(crate) const MARK_FILE_BYTES: usize = 1024;
const SEGMENT_MAGIC: &[u8; 8] = b"MANTISLG";
const SLOT_MAGIC: &[u8; 8] = b"MANTISMK";
const BLOCK_LEN: usize = 4096;
const BLOCK_SUM: usize = 4088;
const SLOT_SUM: usize = 48;
const DISTANCE_UNKNOWN: u32 = 0x00ff_ffff;

/// Hash of a body.
pub(crate) fn body_hash(body: &[u8]) -> u64 {
    xxh3_64(body)
}

/// Bytes that a record takes in a segment.
pub(crate) const fn record_bytes(body_len: u64) -> u64 {
    (RECORD_HEADER as u64 + body_len).next_multiple_of(8)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    End,
}

/// The first 40 bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) len: u32,
    pub(crate) seq: Seq,
    /// The durable Seq that was known when the record was made; zero for unknown.
    pub(crate) durable: Seq,
    pub(crate) body_hash: u64,
    pub(crate) prev_sum: u64,
}

impl RecordHeader {
    /// The bytes, and the sum at their end.
    pub(crate) fn encode(&self, salt: u64) -> ([u8; RECORD_HEADER], u64) {
        let kind: u32 = match self.kind {
            Kind::Commit => 1,
            Kind::End => 2,
        };
        let distance = self.seq.get().saturating_sub(self.durable.get());
        let distance = u32::try_from(distance)
            .unwrap_or(u32::MAX)
            .min(DISTANCE_UNKNOWN);
        let mut bytes = [0; RECORD_HEADER];
        let mut out = Out(&mut bytes);
        out.put(&self.len.to_le_bytes());
        out.put(&(kind | distance << 8).to_le_bytes());
        out.put(&self.seq.get().to_le_bytes());
        out.put(&self.body_hash.to_le_bytes());
        out.put(&self.prev_sum.to_le_bytes());
        let sum = sum_of(&bytes, salt);
        if let Some(end) = bytes.last_chunk_mut::<8>() {
            *end = sum.to_le_bytes();
        }
        (bytes, sum)
    }

    /// The header and its sum, if the bytes are one under this salt.
    pub(crate) fn decode(bytes: &[u8; RECORD_HEADER], salt: u64) -> Option<(Self, u64)> {
        let mut input = In(bytes);
        let len = input.u32()?;
        let tags = input.u32()?;
        let kind = match tags & 0xff {
            1 => Kind::Commit,
            2 => Kind::End,
            _ => return None,
        };
        let seq = input.u64()?;
        let distance = tags >> 8;
        let known = distance != DISTANCE_UNKNOWN;
        let durable = if known {
            seq.saturating_sub(u64::from(distance))
        } else {
            0
        };
        let (body_hash, prev_sum, sum) = (input.u64()?, input.u64()?, input.u64()?);
        if sum != sum_of(bytes, salt) || u64::from(len) > RECORD_BYTES_MAX {
            return None;
        }
        let (seq, durable) = (Seq::new(seq), Seq::new(durable));
        Some((
            Self {
                kind,
                len,
                seq,
                durable,
                body_hash,
                prev_sum,
            },
            sum,
        ))
    }
}

fn sum_of(header: &[u8; RECORD_HEADER], salt: u64) -> u64 {
    header
        .first_chunk::<32>()
        .map_or(0, |covered| xxh3_64_with_seed(covered, salt))
}

/// What the header block of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) first_seq: Seq,
    pub(crate) chain: u64,
    pub(crate) capacity: u64,
}

/// Why a header block was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBlock {
    Damaged,
    LaterFormat(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK_LEN];
        let mut out = Out(&mut bytes);
        out.put(SEGMENT_MAGIC);
        out.put(&FORMAT_VERSION.to_le_bytes());
        out.put(&[0; 4]);
        let first_seq = self.first_seq.get();
        for number in [self.number, self.salt, first_seq, self.chain, self.capacity] {
            out.put(&number.to_le_bytes());
        }
        let sum = bytes.get(..BLOCK_SUM).map_or(0, xxh3_64);
        if let Some(end) = bytes.last_chunk_mut::<8>() {
            *end = sum.to_le_bytes();
        }
        bytes
    }

    pub(crate) fn decode(block: &[u8]) -> Result<Self, BadBlock> {
        let fields = || {
            let (covered, sum) = (block.get(..BLOCK_SUM)?, In(block.get(BLOCK_SUM..)?).u64()?);
            let mut input = In(covered);
            let whole = input.take(8)? == SEGMENT_MAGIC && xxh3_64(covered) == sum;
            let (version, _zero) = (input.u32()?, input.u32()?);
            let mut next = || input.u64();
            let (number, salt, first_seq) = (next()?, next()?, Seq::new(next()?));
            let (chain, capacity) = (next()?, next()?);
            Some((
                whole,
                version,
                Self {
                    number,
                    salt,
                    first_seq,
                    chain,
                    capacity,
                },
            ))
        };
        match fields() {
            Some((true, FORMAT_VERSION, header)) => Ok(header),
            Some((true, version, _)) => Err(BadBlock::LaterFormat(version)),
            Some((false, ..)) | None => Err(BadBlock::Damaged),
        }
    }
}

/// A place up to which the log is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) generation: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) seq: Seq,
    pub(crate) clean: bool,
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let mut out = Out(&mut bytes);
        out.put(SLOT_MAGIC);
        let (seq, clean) = (self.seq.get(), u64::from(self.clean));
        for number in [self.generation, self.segment, self.offset, seq, clean] {
            out.put(&number.to_le_bytes());
        }
        let sum = bytes.get(..SLOT_SUM).map_or(0, xxh3_64);
        if let Some(end) = bytes.last_chunk_mut::<8>() {
            *end = sum.to_le_bytes();
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = In(bytes);
        if input.take(8)? != SLOT_MAGIC {
            return None;
        }
        let (generation, segment, offset) = (input.u64()?, input.u64()?, input.u64()?);
        let (seq, clean, sum) = (Seq::new(input.u64()?), input.u64()?, input.u64()?);
        let whole = bytes.get(..SLOT_SUM).map(xxh3_64) == Some(sum) && clean <= 1;
        whole.then_some(Self {
            generation,
            segment,
            offset,
            seq,
            clean: clean == 1,
        })
    }
}

/// Writes fields one after the other.
struct Out<'a>(&'a mut [u8]);

impl Out<'_> {
    fn put(&mut self, field: &[u8]) {
        let room = std::mem::take(&mut self.0);
        let (place, rest) = room.split_at_mut(field.len());
        place.copy_from_slice(field);
        self.0 = rest;
    }
}

/// Reads fields one after the other.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
