//! Reads the records of one segment in order and checks each against the one before.

use std::io;
use std::sync::Arc;

use mantis_env::File;
use mantis_types::Seq;

use crate::Fault;
use crate::layout::{Kind, RECORD_HEADER, RecordHeader, body_hash, record_bytes};
use crate::segment::Place;

/// Bytes that are read at once, if a record does not need more.
const WINDOW_BYTES: u64 = 256 << 10;

/// A place in a segment, and what must stand there.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<dyn File>,
    salt: u64,
    at: Place,
    limit: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// What stood at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record; the cursor has gone past it.
    Commit(RecordHeader, &'a [u8]),
    /// The end record; the cursor has gone past it.
    End,
    /// Nothing that belongs there; the cursor stays.
    Bad(Fault),
}

impl Cursor {
    pub(crate) fn new(file: &Arc<dyn File>, salt: u64, at: Place, limit: u64) -> Self {
        let file = Arc::clone(file);
        Self {
            file,
            salt,
            at,
            limit,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The record that is due, its place, and the sum of the one before.
    pub(crate) fn at(&self) -> Place {
        self.at
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Allows reading further. Bytes beyond the old limit have not been looked at.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Reads what stands at the cursor.
    pub(crate) fn read(&mut self) -> io::Result<Found<'_>> {
        let offset = self.at.offset;
        if !self.load(offset, RECORD_HEADER as u64)? {
            return Ok(Found::Bad(Fault::Short));
        }
        let head = self.window_from(offset).first_chunk::<RECORD_HEADER>();
        let Some((header, sum)) = head.and_then(|head| RecordHeader::decode(head, self.salt))
        else {
            return Ok(Found::Bad(Fault::BadRecord));
        };
        if header.seq != self.at.seq || header.prev_sum != self.at.sum {
            return Ok(Found::Bad(Fault::OutOfPlace));
        }
        let len = record_bytes(u64::from(header.len));
        if !self.load(offset, len)? {
            return Ok(Found::Bad(Fault::BadRecord));
        }
        let body_len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let next = Place {
            seq: self.at.seq.next(),
            offset: offset + len,
            sum,
        };
        // Through the field, so that the cursor can move while the body is lent.
        let start = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
        let rest = self
            .window
            .get(start..)
            .and_then(|rest| rest.get(RECORD_HEADER..));
        let body = rest.and_then(|rest| rest.get(..body_len));
        let Some(body) = body.filter(|body| body_hash(body) == header.body_hash) else {
            return Ok(Found::Bad(Fault::BadRecord));
        };
        match header.kind {
            Kind::Commit => {
                self.at = next;
                Ok(Found::Commit(header, body))
            }
            // The record after an end record is the first of the next segment.
            Kind::End => {
                self.at = Place {
                    seq: self.at.seq,
                    ..next
                };
                Ok(Found::End)
            }
        }
    }

    /// Whether the eight bytes at the cursor are zeros, as after the last record of a write.
    pub(crate) fn at_rest(&mut self) -> io::Result<bool> {
        let offset = self.at.offset;
        if !self.load(offset, 8)? {
            return Ok(true);
        }
        Ok(self
            .window_from(offset)
            .iter()
            .take(8)
            .all(|byte| *byte == 0))
    }

    fn window_from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
        self.window.get(start..).unwrap_or_default()
    }

    /// Has the window hold `len` bytes from `offset` on; false when the limit or the file's end
    /// comes first.
    fn load(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        let end = offset.saturating_add(len);
        if end > self.limit {
            return Ok(false);
        }
        let have = self.window_at + self.window.len() as u64;
        if offset >= self.window_at && end <= have {
            return Ok(true);
        }
        let wanted = len.max(WINDOW_BYTES).min(self.limit - offset);
        let wanted = usize::try_from(wanted).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.window.resize(wanted, 0);
        self.window_at = offset;
        let count = self.file.read_at(offset, &mut self.window)?;
        self.window.truncate(count);
        Ok(offset + count as u64 >= end)
    }
}

/// What stands after the place where the records end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Where the last record of this segment's life ends, whose header is intact.
    pub(crate) end: Option<u64>,
    /// The highest Seq that such a header names as durable.
    pub(crate) durable: Seq,
    /// The highest Seq among them.
    pub(crate) last_seq: Option<Seq>,
}

/// Looks at every place after `from` where a record of this segment could stand.
pub(crate) fn remains(file: &dyn File, salt: u64, from: u64) -> io::Result<Remains> {
    const STEP: usize = 8;
    let mut found = Remains::default();
    let mut window = vec![0; (1 << 20) + RECORD_HEADER];
    let mut at = from.next_multiple_of(STEP as u64);
    loop {
        let count = file.read_at(at, &mut window)?;
        let bytes = window.get(..count).unwrap_or_default();
        if bytes.iter().any(|byte| *byte != 0) {
            note_headers(bytes, at, salt, &mut found);
        }
        if count <= RECORD_HEADER {
            return Ok(found);
        }
        // Windows overlap by the length of a header.
        at += ((count - RECORD_HEADER).next_multiple_of(STEP)).min(1 << 20) as u64;
    }
}

fn note_headers(bytes: &[u8], at: u64, salt: u64, found: &mut Remains) {
    for (index, head) in bytes.windows(RECORD_HEADER).step_by(8).enumerate() {
        // The kind is the cheap thing to look at; most bytes are none.
        if !matches!(head.get(4), Some(1 | 2)) {
            continue;
        }
        let decoded = head
            .first_chunk()
            .and_then(|head| RecordHeader::decode(head, salt));
        if let Some((header, _)) = decoded {
            let end = at + index as u64 * 8 + record_bytes(u64::from(header.len));
            found.end = found.end.max(Some(end));
            found.durable = found.durable.max(header.durable);
            let last = if header.kind == Kind::End {
                header.seq.prev()
            } else {
                header.seq
            };
            found.last_seq = found.last_seq.max(Some(last));
        }
    }
}
