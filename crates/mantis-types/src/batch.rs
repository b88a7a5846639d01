//! The write batch: the changes of one commit, in the very bytes that go to the log.
//!
//! ```text
//! u32  count of operations, little-endian; its highest bit says that a head follows
//! u64  head: when it was committed, Unix time in milliseconds
//! u8   head: through which door it came
//! then for each operation, keys strictly ascending:
//! u8   1 put, 0 delete
//! u16  length of the encoded key
//! u32  length of the record (put only)
//!      key, record
//! ```
//! The Seq in each record's header is 0 here; it is stamped when the batch is applied, from the Seq
//! of the log record, which is the authority.

use crate::codec::CodecError;
use crate::key::KEY_BYTES_MAX;
use crate::origin::Origin;

const OP_DELETE: u8 = 0;
const OP_PUT: u8 = 1;
const COUNT_LEN: usize = 4;
/// Count, time and origin.
const HEAD_LEN: usize = COUNT_LEN + 9;
const HAS_HEAD: u32 = 1 << 31;

/// Checked bytes of a batch: every key is within the limit, the keys are strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: u32,
    /// Where the operations begin.
    start: usize,
}

/// When a commit was made, and through which door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchHead {
    /// Unix time in milliseconds.
    pub time_ms: u64,
    /// The door.
    pub origin: Origin,
}

impl WriteBatch {
    /// Takes a batch as it was read from the log, and checks its form; O(length).
    ///
    /// # Errors
    /// What is wrong with the bytes: `Truncated`, `UnknownTag`, `KeyTooLong`, `Unsorted`, `TooLong`
    /// (bytes left over).
    pub fn from_log(bytes: Vec<u8>) -> Result<Self, CodecError> {
        let mut entries = BatchEntries::over(&bytes)?;
        let start = bytes.len() - entries.rest.len();
        let mut last: Option<&[u8]> = None;
        let mut count = 0;
        while let Some(entry) = entries.try_next()? {
            let key = entry.key();
            if key.len() > KEY_BYTES_MAX {
                return Err(CodecError::KeyTooLong {
                    len: key.len(),
                    max: KEY_BYTES_MAX,
                });
            }
            if last.is_some_and(|l| l >= key) {
                return Err(CodecError::Unsorted);
            }
            last = Some(key);
            count += 1;
        }
        if entries.rest.is_empty() {
            Ok(Self {
                bytes,
                count,
                start,
            })
        } else {
            Err(CodecError::TooLong {
                len: bytes.len(),
                max: bytes.len() - entries.rest.len(),
            })
        }
    }

    /// The bytes that go to the log.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// When it was committed, and through which door; `None` in logs that were written before batches
    /// had heads.
    #[must_use]
    pub fn head(&self) -> Option<BatchHead> {
        let head = self.bytes.get(COUNT_LEN..self.start)?;
        let (time, rest) = head.split_first_chunk::<8>()?;
        // It was checked when the batch was made.
        let origin = rest.first().copied().and_then(Origin::from_byte)?;
        Some(BatchHead {
            time_ms: u64::from_le_bytes(*time),
            origin,
        })
    }

    /// Says when it was committed. A batch without a head stays without.
    pub fn set_time(&mut self, time_ms: u64) {
        if self.start == HEAD_LEN
            && let Some(place) = self.bytes.get_mut(COUNT_LEN..HEAD_LEN - 1)
        {
            place.copy_from_slice(&time_ms.to_le_bytes());
        }
    }

    /// Says through which door it came. A batch without a head stays without.
    pub fn set_origin(&mut self, origin: Origin) {
        if self.start == HEAD_LEN
            && let Some(place) = self.bytes.get_mut(HEAD_LEN - 1)
        {
            *place = origin.byte();
        }
    }

    /// How many keys it changes.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The changes in key order: an encoded key, and the new record or `None` for a delete.
    pub fn ops(&self) -> impl Iterator<Item = BatchOp<'_>> {
        self.entries().map(|entry| (entry.key(), entry.record()))
    }

    /// As [`Self::ops`], for those who want key and record as the one piece that they are.
    #[must_use]
    pub fn entries(&self) -> BatchEntries<'_> {
        BatchEntries {
            rest: self.bytes.get(self.start..).unwrap_or_default(),
            left: self.count,
        }
    }
}

/// One change: an encoded key, and its new record or `None` for a delete.
pub type BatchOp<'a> = (&'a [u8], Option<&'a [u8]>);

/// One change as it stands in the batch: a key and, behind it, the record of a put.
#[derive(Clone, Copy, Debug)]
pub struct BatchEntry<'a> {
    bytes: &'a [u8],
    key_len: u16,
    put: bool,
}

impl<'a> BatchEntry<'a> {
    /// The key, directly followed by the record.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many of the bytes are the key.
    #[must_use]
    pub const fn key_len(&self) -> u16 {
        self.key_len
    }

    /// The encoded key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.bytes
            .get(..usize::from(self.key_len))
            .unwrap_or_default()
    }

    /// The new record, or `None` for a delete.
    #[must_use]
    pub fn record(&self) -> Option<&'a [u8]> {
        let record = self.bytes.get(usize::from(self.key_len)..);
        record.filter(|_| self.put)
    }
}

/// The changes of a batch, read in place.
#[derive(Clone, Debug)]
pub struct BatchEntries<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> BatchEntries<'a> {
    fn over(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (count, mut rest) = bytes
            .split_first_chunk::<COUNT_LEN>()
            .ok_or(CodecError::Truncated)?;
        let count = u32::from_le_bytes(*count);
        if count & HAS_HEAD != 0 {
            let (head, behind) = rest
                .split_first_chunk::<{ HEAD_LEN - COUNT_LEN }>()
                .ok_or(CodecError::Truncated)?;
            let [.., origin] = *head;
            Origin::from_byte(origin).ok_or(CodecError::UnknownTag(origin))?;
            rest = behind;
        }
        Ok(Self {
            rest,
            left: count & !HAS_HEAD,
        })
    }

    fn try_next(&mut self) -> Result<Option<BatchEntry<'a>>, CodecError> {
        if self.left == 0 {
            return Ok(None);
        }
        let (&[op, k0, k1], rest) = self
            .rest
            .split_first_chunk::<3>()
            .ok_or(CodecError::Truncated)?;
        let key_len = u16::from_le_bytes([k0, k1]);
        let (record_len, rest) = match op {
            OP_DELETE => (0, rest),
            OP_PUT => {
                let (len, rest) = rest.split_first_chunk::<4>().ok_or(CodecError::Truncated)?;
                let len =
                    usize::try_from(u32::from_le_bytes(*len)).map_err(|_| CodecError::Truncated)?;
                (len, rest)
            }
            other => return Err(CodecError::UnknownTag(other)),
        };
        let len = usize::from(key_len).checked_add(record_len);
        let (bytes, rest) = len
            .and_then(|len| rest.split_at_checked(len))
            .ok_or(CodecError::Truncated)?;
        self.rest = rest;
        self.left -= 1;
        Ok(Some(BatchEntry {
            bytes,
            key_len,
            put: op == OP_PUT,
        }))
    }
}

impl<'a> Iterator for BatchEntries<'a> {
    type Item = BatchEntry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        // A WriteBatch is checked when it is made, so that an error here cannot happen.
        self.try_next().ok().flatten()
    }
}

/// Collects the changes of one commit. A later change of the same key replaces the earlier one.
#[derive(Debug)]
pub struct WriteBatchBuilder {
    bytes: Vec<u8>,
    count: u32,
    sorted: bool,
    /// Where the last key stands.
    last_key: (usize, usize),
}

impl Default for WriteBatchBuilder {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl WriteBatchBuilder {
    /// An empty batch with room for about `bytes` bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes + HEAD_LEN);
        buffer.extend([0; HEAD_LEN]);
        Self {
            bytes: buffer,
            count: 0,
            sorted: true,
            last_key: (0, 0),
        }
    }

    /// Deletes `key` (encoded).
    ///
    /// # Errors
    /// `KeyTooLong` for a key over the limit.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), CodecError> {
        let len = key_len(key)?;
        self.bytes.push(OP_DELETE);
        self.bytes.extend(len.to_le_bytes());
        self.push_key(key);
        Ok(())
    }

    /// Puts a record under `key` (encoded); `write_record` appends the record's bytes.
    ///
    /// # Errors
    /// `KeyTooLong`, `TooLong` (a record of 4 GiB or more), or what `write_record` answers; the batch
    /// is as it was before.
    pub fn put_with(
        &mut self,
        key: &[u8],
        write_record: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let len = key_len(key)?;
        let start = self.bytes.len();
        let saved_last = self.last_key;
        let saved_sorted = self.sorted;
        self.bytes.push(OP_PUT);
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend([0; 4]);
        self.push_key(key);
        let record_start = self.bytes.len();
        let written = write_record(&mut self.bytes).and_then(|()| {
            let len = self.bytes.len() - record_start;
            u32::try_from(len).map_err(|_| CodecError::TooLong {
                len,
                max: u32::MAX as usize,
            })
        });
        match written {
            Ok(len) => {
                if let Some(place) = self.bytes.get_mut(start + 3..start + 7) {
                    place.copy_from_slice(&len.to_le_bytes());
                }
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                self.count -= 1;
                self.last_key = saved_last;
                self.sorted = saved_sorted;
                Err(error)
            }
        }
    }

    /// Puts record bytes that were built before.
    ///
    /// # Errors
    /// As [`Self::put_with`].
    pub fn put(&mut self, key: &[u8], record: &[u8]) -> Result<(), CodecError> {
        self.put_with(key, |out| {
            out.extend_from_slice(record);
            Ok(())
        })
    }

    /// Whether nothing has been put or deleted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes collected so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch. O(length) when the keys came in order, else O(n log n).
    #[must_use]
    pub fn finish(mut self) -> WriteBatch {
        if !self.sorted {
            self.sort();
        }
        if let Some(place) = self.bytes.first_chunk_mut::<COUNT_LEN>() {
            *place = (self.count | HAS_HEAD).to_le_bytes();
        }
        WriteBatch {
            bytes: self.bytes,
            count: self.count,
            start: HEAD_LEN,
        }
    }

    fn push_key(&mut self, key: &[u8]) {
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let (last_start, last_end) = self.last_key;
        let last = self.bytes.get(last_start..last_end).unwrap_or_default();
        self.sorted = self.sorted && (self.count == 0 || last < key);
        self.last_key = (key_start, self.bytes.len());
        self.count += 1;
    }

    fn sort(&mut self) {
        let entries = BatchEntries {
            rest: self.bytes.get(HEAD_LEN..).unwrap_or_default(),
            left: self.count,
        };
        let mut aged: Vec<(usize, BatchEntry<'_>)> = entries.enumerate().collect();
        // The last change of a key stands first, and is kept.
        aged.sort_unstable_by(|(age_a, a), (age_b, b)| a.key().cmp(b.key()).then(age_b.cmp(age_a)));
        aged.dedup_by(|(_, later), (_, kept)| later.key() == kept.key());
        let mut sorted = Vec::with_capacity(self.bytes.len());
        sorted.extend([0; HEAD_LEN]);
        let mut count = 0;
        for (_, entry) in aged {
            write_entry(&entry, &mut sorted);
            count += 1;
        }
        self.count = count;
        self.bytes = sorted;
    }
}

fn write_entry(entry: &BatchEntry<'_>, out: &mut Vec<u8>) {
    let key_len = entry.key_len.to_le_bytes();
    match entry.record() {
        None => {
            out.push(OP_DELETE);
            out.extend(key_len);
        }
        Some(record) => {
            // It was checked to fit when it was put.
            let record_len = u32::try_from(record.len()).unwrap_or(u32::MAX);
            out.push(OP_PUT);
            out.extend(key_len);
            out.extend(record_len.to_le_bytes());
        }
    }
    out.extend_from_slice(entry.bytes);
}

fn key_len(key: &[u8]) -> Result<u16, CodecError> {
    u16::try_from(key.len()).map_err(|_| CodecError::KeyTooLong {
        len: key.len(),
        max: KEY_BYTES_MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(batch: &WriteBatch) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        batch
            .ops()
            .map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec)))
            .collect()
    }

    fn op(key: &[u8], value: Option<&[u8]>) -> (Vec<u8>, Option<Vec<u8>>) {
        (key.to_vec(), value.map(<[u8]>::to_vec))
    }

    #[test]
    fn keys_come_out_ascending_and_the_last_change_wins() {
        let mut builder = WriteBatchBuilder::default();
        builder.put(b"b", b"1").unwrap();
        builder.put(b"a", b"2").unwrap();
        builder.delete(b"b").unwrap();
        builder.put(b"c", b"").unwrap();
        builder.put(b"a", b"3").unwrap();
        let batch = builder.finish();
        assert_eq!(batch.count(), 3);
        let expected = [op(b"a", Some(b"3")), op(b"b", None), op(b"c", Some(b""))];
        assert_eq!(ops(&batch), expected);
        assert_eq!(WriteBatch::from_log(batch.as_bytes().to_vec()), Ok(batch));
    }

    #[test]
    fn a_failed_put_leaves_the_batch_as_it_was() {
        let mut builder = WriteBatchBuilder::default();
        builder.put(b"m", b"1").unwrap();
        let failed = builder.put_with(b"a", |_| Err(CodecError::Truncated));
        assert_eq!(failed, Err(CodecError::Truncated));
        builder.put(b"z", b"2").unwrap();
        assert_eq!(
            ops(&builder.finish()),
            [op(b"m", Some(b"1")), op(b"z", Some(b"2"))]
        );
    }

    #[test]
    fn a_batch_says_when_and_whence_and_an_old_one_does_not() {
        let mut builder = WriteBatchBuilder::default();
        builder.put(b"b", b"1").unwrap();
        builder.put(b"a", b"2").unwrap();
        let mut batch = builder.finish();
        assert_eq!(batch.head(), Some(BatchHead::default()));
        batch.set_time(1_700_000_000_123);
        batch.set_origin(Origin::Http);
        let head = BatchHead {
            time_ms: 1_700_000_000_123,
            origin: Origin::Http,
        };
        assert_eq!(batch.head(), Some(head));
        let read = WriteBatch::from_log(batch.as_bytes().to_vec()).unwrap();
        assert_eq!((read.head(), ops(&read)), (Some(head), ops(&batch)));

        let old = [&2_u32.to_le_bytes()[..], &batch.as_bytes()[HEAD_LEN..]].concat();
        let mut old = WriteBatch::from_log(old).unwrap();
        old.set_time(1);
        old.set_origin(Origin::Http);
        assert_eq!((old.head(), ops(&old)), (None, ops(&batch)));

        let mut strange = batch.as_bytes().to_vec();
        strange[HEAD_LEN - 1] = 200;
        assert_eq!(
            WriteBatch::from_log(strange),
            Err(CodecError::UnknownTag(200))
        );
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let mut builder = WriteBatchBuilder::default();
        builder.put(b"a", b"1").unwrap();
        builder.delete(b"b").unwrap();
        let good = builder.finish().as_bytes().to_vec();
        for len in 0..good.len() {
            assert!(
                WriteBatch::from_log(good[..len].to_vec()).is_err(),
                "cut at {len}"
            );
        }
        let longer = [good.clone(), vec![0]].concat();
        assert!(matches!(
            WriteBatch::from_log(longer),
            Err(CodecError::TooLong { .. })
        ));
        let mut swapped = good;
        swapped[HEAD_LEN + 7] = b'z';
        assert_eq!(WriteBatch::from_log(swapped), Err(CodecError::Unsorted));
    }
}
