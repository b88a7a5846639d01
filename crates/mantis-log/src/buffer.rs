//! The buffer of records that have been appended and not yet written.

use mantis_types::Seq;

use crate::layout::{HEADER_BLOCK, Kind, RECORD_HEADER, RecordHeader, SegmentHeader, record_bytes};
use crate::space::Spare;
use crate::{LogError, Prepared};

/// Byte buffers that are kept for reuse at most.
const REUSED_MAX: usize = 2;
/// A larger one is not kept while nothing is appended.
const KEPT_AT_REST_BYTES_MAX: usize = 64 << 10;

/// Records in the order in which they will stand in the files, with the end of the log.
#[derive(Debug)]
pub(crate) struct Buffer {
    queue: Vec<Chunk>,
    end: End,
    bytes: u64,
    /// Records and bytes of them that were ever appended.
    appended: (u64, u64),
    /// Empty byte buffers to fill.
    reused: Vec<Vec<u8>>,
    /// A byte buffer larger than this is given back to the system once it is written.
    reused_bytes_max: usize,
}

/// Where the next record goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) segment: u64,
    pub(crate) salt: u64,
    pub(crate) capacity: u64,
    pub(crate) offset: u64,
    /// The newest record.
    pub(crate) seq: Seq,
    /// Its sum.
    pub(crate) sum: u64,
}

/// Bytes that go to one place of one segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The segment begins with this chunk.
    pub(crate) begins: Option<Beginning>,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// The first record in it, or the one that would follow.
    pub(crate) first_seq: Seq,
    /// The newest record after it.
    pub(crate) last_seq: Seq,
    /// Sum of the record before it.
    pub(crate) sum_before: u64,
    /// Sum of its last record.
    pub(crate) sum_after: u64,
    /// The segment ends with this chunk.
    pub(crate) ends: bool,
}

/// A segment that is still to be made.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) header: SegmentHeader,
    pub(crate) spare: Option<Spare>,
}

/// A file for the next segment: its salt, its length, and a file written ahead if there is one.
pub(crate) type NextFile = (u64, u64, Option<Spare>);

impl Buffer {
    /// An empty buffer that is to hold about `bytes_max` at most.
    pub(crate) fn new(end: End, bytes_max: u64) -> Self {
        Self {
            queue: Vec::new(),
            end,
            bytes: 0,
            appended: (0, 0),
            reused: Vec::new(),
            reused_bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// Bytes that wait to be written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records and bytes of them that were ever appended.
    pub(crate) fn appended(&self) -> (u64, u64) {
        self.appended
    }

    /// Bytes that still fit into the segment.
    pub(crate) fn room(&self) -> u64 {
        self.end
            .capacity
            .saturating_sub(self.end.offset + RECORD_HEADER as u64)
    }

    /// Copies a record behind the last one. `next_file` is asked for the file of a new segment of at
    /// least so many bytes when this one is full.
    pub(crate) fn append(
        &mut self,
        seq: Seq,
        body: &Prepared<'_>,
        durable: Seq,
        next_file: impl FnOnce(u64) -> NextFile,
    ) -> Result<(), LogError> {
        let expected = self.end.seq.next();
        if seq != expected {
            return Err(LogError::OutOfOrder { expected, got: seq });
        }
        let too_large = |max| LogError::TooLarge {
            bytes: body.body().len() as u64,
            max,
        };
        let len = u32::try_from(body.body().len())
            .ok()
            .filter(|len| u64::from(*len) <= crate::RECORD_BYTES_MAX)
            .ok_or_else(|| too_large(crate::RECORD_BYTES_MAX))?;
        let needed = record_bytes(u64::from(len));
        if needed > self.room() {
            self.begin_segment(
                next_file(HEADER_BLOCK + needed + RECORD_HEADER as u64),
                durable,
            );
        }
        let (kind, body_hash) = (Kind::Commit, body.hash());
        let header = RecordHeader {
            kind,
            len,
            seq,
            durable,
            body_hash,
            prev_sum: self.end.sum,
        };
        self.push(&header, body.body());
        self.appended = (self.appended.0 + 1, self.appended.1 + needed);
        Ok(())
    }

    /// Ends the segment and begins the next one.
    pub(crate) fn begin_segment(&mut self, (salt, capacity, spare): NextFile, durable: Seq) {
        let seq = self.end.seq.next();
        let (kind, prev_sum) = (Kind::End, self.end.sum);
        let hash = Prepared::new(&[]).hash();
        self.push(
            &RecordHeader {
                kind,
                len: 0,
                seq,
                durable,
                body_hash: hash,
                prev_sum,
            },
            &[],
        );
        let number = self.end.segment + 1;
        let header = SegmentHeader {
            number,
            salt,
            first_seq: seq,
            chain: self.end.sum,
            capacity,
        };
        let seq = seq.prev();
        let offset = HEADER_BLOCK;
        self.end = End {
            segment: number,
            salt,
            capacity,
            offset,
            seq,
            sum: self.end.sum,
        };
        let begins = Some(Beginning { header, spare });
        let chunk = Chunk {
            begins,
            ..self.new_chunk()
        };
        self.queue.push(chunk);
    }

    /// Everything that waits, in order.
    pub(crate) fn take(&mut self) -> Vec<Chunk> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// Puts back what was taken and could not be written.
    pub(crate) fn put_back(&mut self, mut chunks: Vec<Chunk>) {
        self.bytes += chunks
            .iter()
            .map(|chunk| chunk.bytes.len() as u64)
            .sum::<u64>();
        chunks.append(&mut self.queue);
        self.queue = chunks;
    }

    /// Gives back an emptied byte buffer.
    pub(crate) fn reuse(&mut self, mut bytes: Vec<u8>) {
        if self.reused.len() < REUSED_MAX && bytes.capacity() <= self.reused_bytes_max {
            bytes.clear();
            self.reused.push(bytes);
        }
    }

    /// Gives memory back that is only needed while much is appended.
    pub(crate) fn rest(&mut self) {
        let is_small = |bytes: &Vec<u8>| bytes.capacity() <= KEPT_AT_REST_BYTES_MAX;
        self.reused.retain(is_small);
    }

    fn push(&mut self, header: &RecordHeader, body: &[u8]) {
        if self.queue.last().is_none_or(|chunk| chunk.ends) {
            let chunk = self.new_chunk();
            self.queue.push(chunk);
        }
        let Some(chunk) = self.queue.last_mut() else {
            unreachable!("one has just been pushed")
        };
        let (head, sum) = header.encode(self.end.salt);
        let before = chunk.bytes.len();
        chunk.bytes.extend_from_slice(&head);
        chunk.bytes.extend_from_slice(body);
        chunk.bytes.resize(chunk.bytes.len().next_multiple_of(8), 0);
        let pushed = (chunk.bytes.len() - before) as u64;
        match header.kind {
            Kind::Commit => self.end.seq = header.seq,
            Kind::End => chunk.ends = true,
        }
        self.end.offset += pushed;
        self.end.sum = sum;
        self.bytes += pushed;
        chunk.last_seq = self.end.seq;
        chunk.sum_after = sum;
    }

    fn new_chunk(&mut self) -> Chunk {
        Chunk {
            begins: None,
            offset: self.end.offset,
            bytes: self.reused.pop().unwrap_or_default(),
            first_seq: self.end.seq.next(),
            last_seq: self.end.seq,
            sum_before: self.end.sum,
            sum_after: self.end.sum,
            ends: false,
        }
    }
}

#[cfg(test)]
mod tests;
