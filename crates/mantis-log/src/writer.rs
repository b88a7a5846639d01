//! The write path: buffer to file, segment to segment, file to disk, and what a failure means.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use mantis_types::Seq;

use crate::buffer::{Beginning, Chunk};
use crate::group::Role;
use crate::inner::Inner;
use crate::layout::Mark;
use crate::segment::{Place, Segment, make_zeroed, name_segment, segment_path};
use crate::{LogError, Poison};

/// Where writing goes on. Whoever holds it is the only one who writes to segments.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    /// The newest record in the files.
    pub(crate) seq: Seq,
    pub(crate) sum: u64,
    /// The segment's end record has been written.
    pub(crate) ended: bool,
}

/// How far the files have been written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) segment: u64,
    pub(crate) place: Place,
    pub(crate) ended: bool,
}

impl Writer {
    pub(crate) fn written(&self) -> Written {
        let place = Place {
            seq: self.seq.next(),
            offset: self.offset,
            sum: self.sum,
        };
        Written {
            segment: self.segment.header.number,
            place,
            ended: self.ended,
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            generation: 0,
            segment: self.segment.header.number,
            offset: self.offset,
            seq: self.seq,
            clean: false,
        }
    }
}

impl Inner {
    /// Has `seq` written to the file.
    pub(crate) fn write(&self, seq: Seq) -> Result<(), LogError> {
        if self.written_seq() >= seq {
            return Ok(());
        }
        self.check_poison()?;
        let mut writer = self.writer.lock();
        // Whoever held the lock has written for all that had come by then.
        if self.written_seq() >= seq {
            return Ok(());
        }
        let chunks = self.buffer.lock().take();
        self.write_chunks(&mut writer, chunks)
    }

    /// Has `seq` made durable: leads a group, or sleeps until a leader has done it.
    pub(crate) fn sync(&self, seq: Seq) -> Result<(), LogError> {
        if self.durable_seq() >= seq {
            return Ok(());
        }
        let last = self.last_seq();
        if seq > last {
            return Err(LogError::OutOfOrder {
                expected: last.next(),
                got: seq,
            });
        }
        loop {
            match self.group.join(seq) {
                Role::Lead => return self.lead(),
                Role::Inherit => {
                    self.group.inherit();
                    return self.lead();
                }
                // Looked at after the count was taken, so that no ring is missed.
                Role::Sleep(bell, count) if !self.decided(seq) => self.group.sleep(bell, count),
                Role::Sleep(..) => {}
            }
            if self.durable_seq() >= seq {
                return Ok(());
            }
            self.check_poison()?;
        }
    }

    /// Whether there is nothing to wait for any more.
    fn decided(&self, seq: Seq) -> bool {
        self.durable_seq() >= seq || self.poison.get().is_some()
    }

    fn lead(&self) -> Result<(), LogError> {
        let _leading = Leading(self);
        self.check_poison()?;
        let (file, mark) = {
            let mut writer = self.writer.lock();
            let chunks = self.group.take(|| {
                let mut buffer = self.buffer.lock();
                (buffer.end().seq, buffer.take())
            });
            self.write_chunks(&mut writer, chunks)?;
            (Arc::clone(&writer.segment.file), writer.mark())
        };
        let mut mark_file = self.mark_file.lock();
        self.check_poison()?;
        let before = self.durable_seq();
        if mark.seq <= before {
            return Ok(());
        }
        let started = self.env.clock().monotonic();
        file.sync_data()
            .map_err(|error| self.poison("sync a segment", error))?;
        let took = self.env.clock().monotonic().saturating_sub(started);
        mark_file
            .advance(mark)
            .map_err(|error| self.poison("write the mark", error))?;
        self.counters.synced(mark.seq.get() - before.get(), took);
        self.durable.store(mark.seq.get(), SeqCst);
        if let Some(hook) = &self.options.on_durable {
            hook(mark.seq);
        }
        Ok(())
    }

    /// Writes chunks in order. After `DiskFull` what is left stands in the buffer again; any other
    /// failure is final.
    pub(crate) fn write_chunks(
        &self,
        writer: &mut Writer,
        chunks: Vec<Chunk>,
    ) -> Result<(), LogError> {
        self.check_poison()?;
        let mut chunks = chunks.into_iter();
        let mut result = Ok(());
        while let Some(chunk) = chunks.next() {
            if let Some(beginning) = &chunk.begins
                && let Err(error) = self.begin_segment(writer, beginning)
            {
                let left = std::iter::once(chunk).chain(chunks).collect();
                self.buffer.lock().put_back(left);
                result = Err(error);
                break;
            }
            self.write_chunk(writer, chunk)?;
        }
        self.stuck.store(result.is_err(), SeqCst);
        *self.written_at.lock() = writer.written();
        self.written.store(writer.seq.get(), SeqCst);
        self.readers.ring();
        result
    }

    fn write_chunk(&self, writer: &mut Writer, mut chunk: Chunk) -> Result<(), LogError> {
        debug_assert_eq!(
            (writer.offset, writer.sum),
            (chunk.offset, chunk.sum_before)
        );
        let len = chunk.bytes.len() as u64;
        let end = chunk.offset + len;
        // A file's former life must not follow directly, see the layout.
        if end + 8 <= writer.segment.header.capacity {
            chunk.bytes.extend_from_slice(&[0; 8]);
        }
        let file = &writer.segment.file;
        file.write_at(chunk.offset, &chunk.bytes)
            .map_err(|error| self.poison("write to a segment", error))?;
        self.counters.writes.add(1);
        self.counters.bytes_written.add(len);
        let (seq, offset, sum) = (chunk.first_seq, chunk.offset, chunk.sum_before);
        writer.segment.note(Place { seq, offset, sum });
        (writer.offset, writer.seq, writer.sum) = (end, chunk.last_seq, chunk.sum_after);
        writer.ended = chunk.ends;
        let mut buffer = self.buffer.lock();
        buffer.reuse(chunk.bytes);
        self.buffered.store(buffer.bytes(), Relaxed);
        Ok(())
    }

    /// Syncs the segment that has ended, and makes the next one: on disk before it gets its name.
    fn begin_segment(&self, writer: &mut Writer, beginning: &Beginning) -> Result<(), LogError> {
        self.sync_ended(writer)?;
        let header = beginning.header;
        let (at, file) = match &beginning.spare {
            Some(spare) => (spare.path.clone(), Arc::clone(&spare.file)),
            None => {
                let at = segment_path(&self.dir, header.number).with_extension("seg.tmp");
                let file = self.make_small(&at, header.capacity)?;
                (at, file)
            }
        };
        let segment = name_segment(&*self.fs, &self.dir, header, &at, file)
            .map_err(|error| self.poison("begin a segment", error))?;
        let segment = Arc::new(segment);
        self.counters.segments_begun.add(1);
        self.counters
            .segments_small
            .add(u64::from(beginning.spare.is_none()));
        (writer.offset, writer.ended) = (crate::layout::HEADER_BLOCK, false);
        self.segments.lock().push_back(Arc::clone(&segment));
        let ended = std::mem::replace(&mut writer.segment, segment);
        ended.finish(writer.seq, self.env.clock().monotonic());
        self.wake_background();
        Ok(())
    }

    fn sync_ended(&self, writer: &Writer) -> Result<(), LogError> {
        let mut mark_file = self.mark_file.lock();
        self.check_poison()?;
        let synced = writer.segment.file.sync_data();
        synced.map_err(|error| self.poison("sync a segment", error))?;
        mark_file
            .advance(writer.mark())
            .and_then(|()| mark_file.sync())
            .map_err(|error| self.poison("write the mark", error))
    }

    /// A segment's file made while somebody waits; the reserve gives way to it.
    fn make_small(
        &self,
        path: &std::path::Path,
        bytes: u64,
    ) -> Result<Arc<dyn mantis_env::File>, LogError> {
        let first = make_zeroed(&*self.fs, path, bytes);
        let result = match first {
            Err(LogError::DiskFull) => match self.space.free_reserve() {
                Ok(true) => make_zeroed(&*self.fs, path, bytes),
                Ok(false) => Err(LogError::DiskFull),
                Err(error) => Err(error),
            },
            other => other,
        };
        match result {
            Err(LogError::DiskFull) => {
                self.refuse_full();
                Err(LogError::DiskFull)
            }
            Err(LogError::Io { action, source }) => Err(self.poison(action, source)),
            other => other,
        }
    }

    /// Ends writing for ever; answers the error to give.
    pub(crate) fn poison(&self, action: &'static str, error: io::Error) -> LogError {
        let why = Poison {
            action,
            source: Some(Arc::new(error)),
        };
        self.poison_with(why)
    }

    fn poison_with(&self, why: Poison) -> LogError {
        let why = self.poison.get_or_init(|| why).clone();
        self.group.wake_all();
        self.readers.ring();
        LogError::Poisoned(why)
    }
}

/// The lead of a group: handed on when it is dropped, whatever happened.
struct Leading<'a>(&'a Inner);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.0.poison_with(Poison {
                action: "run to its end",
                source: None,
            }));
        }
        self.0.group.done();
    }
}
