//! Large values: the record names an id, the chunks are its members.
//!
//! Payload of the record: id (ordered varint), u64 length, u32 chunk size, u64 xxh3 of the value,
//! little-endian. Chunk n stands under the member key u32 n, big-endian.

use bytes::Bytes;
use mantis_txn::{Before, Known};
use mantis_types::{
    CodecError, DatabaseId, EncodedKey, OwnerId, RecordBuilder, RecordView, Space, ValueKind,
    WriteBatch, WriteBatchBuilder, decode_ordered, encode_ordered, prefix_end,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::KvError;
use crate::source::Span;

/// What the record of a large value says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    pub(crate) id: OwnerId,
    pub(crate) len: u64,
    chunk_bytes: u32,
    checksum: u64,
}

impl Chunked {
    pub(crate) fn of(id: OwnerId, value: &[u8], chunk_bytes: usize) -> Result<Self, KvError> {
        let max = u64::from(u32::MAX);
        let given = chunk_bytes as u64;
        let chunk_bytes = u32::try_from(chunk_bytes).map_err(|_| KvError::TooLarge {
            limit: "limits.chunk_bytes",
            max,
            given,
        })?;
        Ok(Self {
            id,
            len: value.len() as u64,
            chunk_bytes,
            checksum: xxh3_64(value),
        })
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(32);
        encode_ordered(self.id.get(), &mut payload);
        payload.extend(self.len.to_le_bytes());
        payload.extend(self.chunk_bytes.to_le_bytes());
        payload.extend(self.checksum.to_le_bytes());
        payload
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let (id, rest) = decode_ordered(payload)?;
        let (len, rest) = rest.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
        let (chunk, rest) = rest.split_first_chunk::<4>().ok_or(CodecError::Truncated)?;
        let (checksum, _) = rest.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
        Ok(Self {
            id: OwnerId::new(id),
            len: u64::from_le_bytes(*len),
            chunk_bytes: u32::from_le_bytes(*chunk),
            checksum: u64::from_le_bytes(*checksum),
        })
    }

    /// Puts the chunks of `value` into the commit that writes its record.
    pub(crate) fn write(&self, value: &[u8], batch: &mut WriteBatchBuilder) -> Result<(), KvError> {
        for (n, chunk) in (0_u32..).zip(value.chunks(self.chunk_bytes.max(1) as usize)) {
            let key = EncodedKey::new(
                DatabaseId::DEFAULT,
                Space::Member,
                self.id,
                &n.to_be_bytes(),
            )?;
            batch.put_with(key.as_bytes(), |out| {
                RecordBuilder::new(ValueKind::Bytes).write(chunk, out)
            })?;
        }
        Ok(())
    }

    /// Where its chunks stand.
    pub(crate) fn span(&self) -> Span {
        let prefix = EncodedKey::prefix(DatabaseId::DEFAULT, Space::Member, self.id, 0);
        let end = prefix_end(prefix.as_bytes()).unwrap_or_default();
        (prefix.into_bytes(), end)
    }

    /// The value, out of the commit that wrote it.
    pub(crate) fn within(&self, batch: &WriteBatch) -> Result<Bytes, KvError> {
        let (from, to) = self.span();
        let mut value = self.begin()?;
        let ops = batch.ops().skip_while(|(key, _)| *key < &*from);
        for (_, record) in ops.take_while(|(key, _)| *key < &*to) {
            let record = record.ok_or(KvError::Damaged)?;
            value.push(RecordView::parse(record)?.payload())?;
        }
        value.finish()
    }

    /// The value, out of what was there before a commit; `None` when that is not known.
    pub(crate) fn before(&self, before: &Before) -> Result<Option<Bytes>, KvError> {
        let mut value = self.begin()?;
        let count = self.len.div_ceil(u64::from(self.chunk_bytes.max(1)));
        for n in 0..u32::try_from(count).map_err(|_| KvError::Damaged)? {
            let n = n.to_be_bytes();
            let key = EncodedKey::new(DatabaseId::DEFAULT, Space::Member, self.id, &n)?;
            match before.get(key.as_bytes())? {
                Known::Is(Some(record)) => value.push(record.view().payload())?,
                Known::Is(None) => return Err(KvError::Damaged),
                Known::Unknown => return Ok(None),
            }
        }
        value.finish().map(Some)
    }

    /// Begins to put the value together.
    pub(crate) fn begin(&self) -> Result<Whole, KvError> {
        let len = usize::try_from(self.len).map_err(|_| KvError::Damaged)?;
        Ok(Whole {
            value: Vec::with_capacity(len),
            len,
            checksum: self.checksum,
        })
    }
}

/// A large value that is being put together.
pub(crate) struct Whole {
    value: Vec<u8>,
    len: usize,
    checksum: u64,
}

impl Whole {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), KvError> {
        if self.value.len() + chunk.len() > self.len {
            return Err(KvError::Damaged);
        }
        self.value.extend_from_slice(chunk);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Bytes, KvError> {
        if self.value.len() == self.len && xxh3_64(&self.value) == self.checksum {
            Ok(self.value.into())
        } else {
            Err(KvError::Damaged)
        }
    }
}
