//! The write batch: the changes of one commit, in the very bytes that go to the log.
//!
//! ```text
//! u32  count of operations, little-endian
//! then for each, keys strictly ascending:
//! u8   1 put, 0 delete
//! u16  length of the encoded key
//! u32  length of the record (put only)
//!      key, record
//! ```
//! The Seq in each record's header is 0 here; it is stamped when the batch is applied, from the Seq
//! of the log record, which is the authority.

use crate::codec::CodecError;
use crate::key::KEY_BYTES_MAX;

const OP_DELETE: u8 = 0;
const OP_PUT: u8 = 1;
const COUNT_LEN: usize = 4;

/// Checked bytes of a batch: every key is within the limit, the keys are strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: u32,
}

impl WriteBatch {
    /// Takes a batch as it was read from the log, and checks its form; O(length).
    ///
    /// # Errors
    /// What is wrong with the bytes: `Truncated`, `UnknownTag`, `KeyTooLong`, `Unsorted`, `TooLong`
    /// (bytes left over).
    pub fn from_log(bytes: Vec<u8>) -> Result<Self, CodecError> {
        let mut ops = BatchOps::over(&bytes)?;
        let mut last: Option<&[u8]> = None;
        let mut count = 0;
        while let Some(op) = ops.try_next()? {
            if op.0.len() > KEY_BYTES_MAX {
                return Err(CodecError::KeyTooLong {
                    len: op.0.len(),
                    max: KEY_BYTES_MAX,
                });
            }
            if last.is_some_and(|l| l >= op.0) {
                return Err(CodecError::Unsorted);
            }
            last = Some(op.0);
            count += 1;
        }
        if ops.rest.is_empty() {
            Ok(Self { bytes, count })
        } else {
            Err(CodecError::TooLong {
                len: bytes.len(),
                max: bytes.len() - ops.rest.len(),
            })
        }
    }

    /// The bytes that go to the log.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many keys it changes.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The changes in key order: an encoded key, and the new record or `None` for a delete.
    #[must_use]
    pub fn ops(&self) -> BatchOps<'_> {
        BatchOps {
            rest: self.bytes.get(COUNT_LEN..).unwrap_or_default(),
            left: self.count,
        }
    }
}

/// One change: an encoded key, and its new record or `None` for a delete.
pub type BatchOp<'a> = (&'a [u8], Option<&'a [u8]>);

/// The changes of a batch, read in place.
#[derive(Clone, Debug)]
pub struct BatchOps<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> BatchOps<'a> {
    fn over(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let (count, rest) = bytes
            .split_first_chunk::<COUNT_LEN>()
            .ok_or(CodecError::Truncated)?;
        Ok(Self {
            rest,
            left: u32::from_le_bytes(*count),
        })
    }

    fn try_next(&mut self) -> Result<Option<BatchOp<'a>>, CodecError> {
        if self.left == 0 {
            return Ok(None);
        }
        let (&[op, k0, k1], rest) = self
            .rest
            .split_first_chunk::<3>()
            .ok_or(CodecError::Truncated)?;
        let key_len = usize::from(u16::from_le_bytes([k0, k1]));
        let (record_len, rest) = match op {
            OP_DELETE => (None, rest),
            OP_PUT => {
                let (len, rest) = rest.split_first_chunk::<4>().ok_or(CodecError::Truncated)?;
                let len =
                    usize::try_from(u32::from_le_bytes(*len)).map_err(|_| CodecError::Truncated)?;
                (Some(len), rest)
            }
            other => return Err(CodecError::UnknownTag(other)),
        };
        let (key, rest) = rest
            .split_at_checked(key_len)
            .ok_or(CodecError::Truncated)?;
        let (record, rest) = match record_len {
            None => (None, rest),
            Some(len) => {
                let (record, rest) = rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
                (Some(record), rest)
            }
        };
        self.rest = rest;
        self.left -= 1;
        Ok(Some((key, record)))
    }
}

impl<'a> Iterator for BatchOps<'a> {
    type Item = BatchOp<'a>;

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
    /// Where each operation begins, kept only once the keys came out of order.
    spans: Vec<(usize, usize)>,
    sorted: bool,
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
        let mut buffer = Vec::with_capacity(bytes + COUNT_LEN);
        buffer.extend([0; COUNT_LEN]);
        Self {
            bytes: buffer,
            count: 0,
            spans: Vec::new(),
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
        let start = self.bytes.len();
        self.bytes.push(OP_DELETE);
        self.bytes.extend(len.to_le_bytes());
        self.push_key(start, key);
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
        self.push_key(start, key);
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
                self.spans.pop();
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
            *place = self.count.to_le_bytes();
        }
        WriteBatch {
            bytes: self.bytes,
            count: self.count,
        }
    }

    fn push_key(&mut self, start: usize, key: &[u8]) {
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let (last_start, last_end) = self.last_key;
        let last = self.bytes.get(last_start..last_end).unwrap_or_default();
        self.sorted = self.sorted && (self.count == 0 || last < key);
        self.last_key = (key_start, self.bytes.len());
        self.spans.push((start, key_start));
        self.count += 1;
    }

    fn sort(&mut self) {
        let starts = self
            .spans
            .iter()
            .map(|s| s.0)
            .skip(1)
            .chain([self.bytes.len()]);
        let mut ops: Vec<(&[u8], usize, &[u8])> = self
            .spans
            .iter()
            .zip(starts)
            .enumerate()
            .filter_map(|(age, (&(start, key_start), end))| {
                let op = self.bytes.get(start..end)?;
                let low = op.get(1..3)?.try_into().ok()?;
                let len = usize::from(u16::from_le_bytes(low));
                Some((self.bytes.get(key_start..key_start + len)?, age, op))
            })
            .collect();
        ops.sort_unstable_by(|a, b| a.0.cmp(b.0).then(b.1.cmp(&a.1)));
        ops.dedup_by(|later, kept| later.0 == kept.0);
        let mut sorted = Vec::with_capacity(self.bytes.len());
        sorted.extend([0; COUNT_LEN]);
        let mut count = 0;
        for (_, _, op) in ops {
            sorted.extend_from_slice(op);
            count += 1;
        }
        self.count = count;
        self.bytes = sorted;
    }
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
        swapped[4 + 7] = b'z';
        assert_eq!(WriteBatch::from_log(swapped), Err(CodecError::Unsorted));
    }
}
