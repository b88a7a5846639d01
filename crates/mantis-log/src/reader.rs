//! Readers: from any Seq on, up to what has been written, and then as it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_env::Bell;
use mantis_types::Seq;

use crate::cursor::{Cursor, Found};
use crate::inner::Inner;
use crate::segment::Segment;
use crate::{Damage, Fault, LogError};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number.
    pub seq: Seq,
    /// Its body, as it was appended.
    pub body: Vec<u8>,
}

/// Those who wait for more to be written.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    written: Bell,
    waiting: AtomicU64,
}

impl Readers {
    /// More has been written, or there will never be more. Costs nothing while nobody waits.
    pub(crate) fn ring(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.written.ring();
        }
    }
}

/// Reads records in order. As an iterator it ends where the files end, and goes on when more has
/// been written: [`LogReader::wait`] waits for that. Each record is checked again when it is read.
///
/// It does not keep the log from being recycled: for that there is [`crate::Log::hold`].
#[derive(Debug)]
pub struct LogReader {
    log: Arc<Inner>,
    segment: Arc<Segment>,
    cursor: Cursor,
    next: Seq,
    failed: bool,
}

impl LogReader {
    pub(crate) fn new(log: &Arc<Inner>, from: Seq) -> Result<Self, LogError> {
        let segment = {
            let segments = log.segments.lock();
            let after = segments.partition_point(|segment| segment.header.first_seq <= from);
            let found = after
                .checked_sub(1)
                .and_then(|index| segments.get(index))
                .cloned();
            let oldest = segments
                .front()
                .map_or(from, |segment| segment.header.first_seq);
            found.ok_or(LogError::SeqGone { oldest })?
        };
        let written = *log.written_at.lock();
        let number = segment.header.number;
        let at_end = written.segment == number && !written.ended && written.place.seq <= from;
        let at = if at_end {
            written.place
        } else {
            segment.place_of(from)
        };
        let cursor = Cursor::new(&segment.file, segment.header.salt, at, at.offset);
        let log = Arc::clone(log);
        Ok(Self {
            log,
            segment,
            cursor,
            next: from,
            failed: false,
        })
    }

    /// The Seq of the record that comes next.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// Waits until there is another record to read; false when `timeout` passed first, or when the
    /// log is closed or has failed and everything has been read. Blocks.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let clock = self.log.env.clock();
        let started = clock.monotonic();
        let readers = &self.log.readers;
        readers.waiting.fetch_add(1, SeqCst);
        let there = loop {
            let count = readers.written.count();
            if self.log.written_seq() >= self.next {
                break true;
            }
            let left = timeout.saturating_sub(clock.monotonic().saturating_sub(started));
            if left.is_zero() || self.log.check_open().is_err() {
                break false;
            }
            self.log.env.wait(&readers.written, count, left);
        };
        readers.waiting.fetch_sub(1, SeqCst);
        there
    }

    fn read(&mut self) -> Result<Option<LogRecord>, LogError> {
        while self.log.written_seq() >= self.next {
            self.extend();
            match self.cursor.read().map_err(LogError::io("read a segment"))? {
                Found::Commit(header, _) if header.seq < self.next => {}
                Found::Commit(header, body) => {
                    self.next = header.seq.next();
                    return Ok(Some(LogRecord {
                        seq: header.seq,
                        body: body.to_vec(),
                    }));
                }
                Found::End => self.enter_next()?,
                Found::Bad(what) => return Err(self.damage(what)),
            }
        }
        Ok(None)
    }

    /// Lets the cursor read what has been written by now.
    fn extend(&mut self) {
        if self.cursor.at().offset < self.cursor.limit() {
            return;
        }
        let written = *self.log.written_at.lock();
        let header = &self.segment.header;
        let here = written.segment == header.number;
        self.cursor.extend(if here {
            written.place.offset
        } else {
            header.capacity
        });
    }

    fn enter_next(&mut self) -> Result<(), LogError> {
        let number = self.segment.header.number + 1;
        let segments = self.log.segments.lock();
        let next = segments
            .iter()
            .find(|segment| segment.header.number == number)
            .cloned();
        let oldest = segments.front().map(|segment| segment.header.first_seq);
        drop(segments);
        let Some(next) = next else {
            return Err(LogError::SeqGone {
                oldest: oldest.unwrap_or(self.next),
            });
        };
        let at = next.place_of(next.header.first_seq);
        self.cursor = Cursor::new(&next.file, next.header.salt, at, at.offset);
        self.segment = next;
        Ok(())
    }

    fn damage(&self, what: Fault) -> LogError {
        let at = self.cursor.at();
        let segment = self.segment.header.number;
        LogError::Damaged(Damage {
            segment,
            offset: at.offset,
            seq: at.seq,
            what,
        })
    }
}

impl Iterator for LogReader {
    type Item = Result<LogRecord, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read();
        self.failed = read.is_err();
        read.transpose()
    }
}
