//! What all handles of one log share, and its small questions.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use mantis_env::{Env, Fs, TaskHandle, Waker};
use mantis_types::Seq;
use parking_lot::Mutex;

use crate::buffer::{Buffer, NextFile};
use crate::group::Group;
use crate::mark::MarkFile;
use crate::reader::Readers;
use crate::retention::Retention;
use crate::segment::Segment;
use crate::space::Space;
use crate::stats::Counters;
use crate::writer::{Writer, Written};
use crate::{LogError, LogOptions, LogStats, Poison, Prepared};

/// Lock order: writer, mark file, group, buffer, then the small ones.
pub(crate) struct Inner {
    pub(crate) env: Env,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    /// Guards the end of the log in memory. Longest hold: copying one record.
    pub(crate) buffer: Mutex<Buffer>,
    /// Guards the end of the log in the files. Longest hold: writing what is buffered and, once in
    /// a segment, making the next one.
    pub(crate) writer: Mutex<Writer>,
    /// Guards the mark, and that no two syncs run at once: the system reports a failed sync once,
    /// and the other of two would take it for a success. Longest hold: one sync.
    pub(crate) mark_file: Mutex<MarkFile>,
    pub(crate) group: Group,
    /// Guards the list of segments, oldest first. Held for some instructions.
    pub(crate) segments: Mutex<VecDeque<Arc<Segment>>>,
    /// Guards how far the files have been written. Held for some instructions.
    pub(crate) written_at: Mutex<Written>,
    pub(crate) space: Space,
    pub(crate) retention: Retention,
    pub(crate) readers: Readers,
    pub(crate) last: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) durable: AtomicU64,
    pub(crate) buffered: AtomicU64,
    pub(crate) room: AtomicU64,
    /// Records are queued for a segment that could not be made.
    pub(crate) stuck: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) poison: OnceLock<Poison>,
    pub(crate) counters: Counters,
    /// Nobody has looked after the log in the background since it came to rest.
    pub(crate) resting: AtomicBool,
    pub(crate) wakers: OnceLock<Vec<Waker>>,
    /// Wakes the task that writes out a buffer that fills up.
    pub(crate) write_out: OnceLock<Waker>,
    /// It has been woken and has not looked yet.
    pub(crate) asked_to_write_out: AtomicBool,
    /// Guards the background tasks, which are taken at close. Held for some instructions.
    pub(crate) tasks: Mutex<Vec<TaskHandle>>,
}

impl Inner {
    pub(crate) fn last_seq(&self) -> Seq {
        Seq::new(self.last.load(SeqCst))
    }

    pub(crate) fn written_seq(&self) -> Seq {
        Seq::new(self.written.load(SeqCst))
    }

    pub(crate) fn durable_seq(&self) -> Seq {
        Seq::new(self.durable.load(SeqCst))
    }

    pub(crate) fn oldest_seq(&self) -> Seq {
        let oldest = self
            .segments
            .lock()
            .front()
            .map(|segment| segment.header.first_seq);
        oldest.unwrap_or_else(|| self.last_seq().next())
    }

    pub(crate) fn check_poison(&self) -> Result<(), LogError> {
        self.poison
            .get()
            .map_or(Ok(()), |why| Err(LogError::Poisoned(why.clone())))
    }

    pub(crate) fn check_open(&self) -> Result<(), LogError> {
        if self.closed.load(SeqCst) {
            Err(LogError::Closed)
        } else {
            self.check_poison()
        }
    }

    pub(crate) fn append(&self, seq: Seq, body: &Prepared<'_>) -> Result<(), LogError> {
        let durable = self.durable_seq();
        {
            let mut buffer = self.buffer.lock();
            self.check_open()?;
            buffer.append(seq, body, durable, |needed| self.next_file(needed))?;
            self.note_buffer(&buffer);
        }
        if self.resting.load(SeqCst) && self.resting.swap(false, SeqCst) {
            self.wake_background();
        }
        Ok(())
    }

    /// Ends the segment, unless nothing stands in it.
    pub(crate) fn rotate(&self) -> Result<(), LogError> {
        let durable = self.durable_seq();
        let last = {
            let mut buffer = self.buffer.lock();
            self.check_open()?;
            if buffer.end().offset > crate::layout::HEADER_BLOCK {
                buffer.begin_segment(self.next_file(0), durable);
                self.note_buffer(&buffer);
            }
            buffer.end().seq
        };
        {
            // A segment without records has nothing that a sync would wait for.
            let mut writer = self.writer.lock();
            let chunks = self.buffer.lock().take();
            self.write_chunks(&mut writer, chunks)?;
        }
        self.sync(last)
    }

    pub(crate) fn next_file(&self, needed: u64) -> NextFile {
        let (capacity, spare) = self.space.take(needed);
        (self.env.rng().next_u64(), capacity, spare)
    }

    /// Whether half of the segment is used: time to make the next one. A store that is hardly
    /// written to is spared the work and the space.
    pub(crate) fn half_used(&self) -> bool {
        let buffer = self.buffer.lock();
        buffer.room() < buffer.end().capacity / 2
    }

    fn note_buffer(&self, buffer: &Buffer) {
        self.buffered.store(buffer.bytes(), Relaxed);
        self.room.store(buffer.room(), Relaxed);
        // SeqCst: stored before it is looked whether the background rests.
        self.last.store(buffer.end().seq.get(), SeqCst);
    }

    pub(crate) fn admit(&self, bytes: u64) -> Result<(), LogError> {
        self.check_open()?;
        let buffered = self.buffered.load(Relaxed);
        // What has found no room before must find some before more is taken.
        if buffered >= self.options.buffer_bytes_max || self.stuck.load(SeqCst) {
            self.write(self.last_seq())?;
        } else {
            self.ask_to_write_out(buffered);
        }
        let framed = crate::layout::record_bytes(bytes);
        if framed <= self.room.load(Relaxed) || framed <= self.space.bytes() {
            return Ok(());
        }
        // Beyond what has been written ahead: is there space to make a segment while one waits?
        if self.space.has_free(framed)? {
            return Ok(());
        }
        self.refuse_full();
        Err(LogError::DiskFull)
    }

    pub(crate) fn refuse_full(&self) {
        self.space.set_full(true);
        self.counters.disk_full.add(1);
        self.wake_background();
    }

    pub(crate) fn wake_background(&self) {
        for waker in self.wakers.get().into_iter().flatten() {
            waker.wake();
        }
    }

    /// Ends appending and the background tasks, and writes nothing.
    pub(crate) fn halt(&self) {
        // Under the buffer's lock, so that no append is half done.
        let buffer = self.buffer.lock();
        self.closed.store(true, SeqCst);
        drop(buffer);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.into_iter().for_each(TaskHandle::stop_and_join);
    }

    pub(crate) fn close(&self) -> Result<(), LogError> {
        let last = {
            let buffer = self.buffer.lock();
            if self.closed.swap(true, SeqCst) {
                return self.check_poison();
            }
            buffer.end().seq
        };
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.stop_and_join();
        }
        self.sync(last)?;
        let mut mark_file = self.mark_file.lock();
        self.check_poison()?;
        mark_file
            .close()
            .map_err(|error| self.poison("close the mark", error))?;
        self.readers.ring();
        Ok(())
    }

    pub(crate) fn stats(&self) -> LogStats {
        let counters = &self.counters;
        let (records, bytes) = self.buffer.lock().appended();
        let (segments, segments_bytes) = {
            let segments = self.segments.lock();
            let bytes = segments.iter().map(|segment| segment.header.capacity);
            (segments.len() as u64, bytes.sum())
        };
        LogStats {
            records,
            bytes,
            writes: counters.writes.get(),
            bytes_written: counters.bytes_written.get(),
            syncs: counters.syncs.get(),
            group_size: counters.group_size.get(),
            sync_us: counters.sync_us.get(),
            segments,
            segments_bytes,
            spares: self.space.count() as u64,
            segments_begun: counters.segments_begun.get(),
            segments_small: counters.segments_small.get(),
            files_written_ahead: counters.files_written_ahead.get(),
            segments_recycled: counters.segments_recycled.get(),
            segments_removed: counters.segments_removed.get(),
            segments_archived: counters.segments_archived.get(),
            archive_failures: counters.archive_failures.get(),
            background_failures: counters.background_failures.get(),
            disk_full: counters.disk_full.get(),
            buffered: self.buffered.load(Relaxed),
            full: self.space.is_full(),
            oldest_seq: self.oldest_seq(),
            last_seq: self.last_seq(),
            written_seq: self.written_seq(),
            durable_seq: self.durable_seq(),
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("last", &self.last_seq())
            .field("written", &self.written_seq())
            .field("durable", &self.durable_seq())
            .field("poison", &self.poison.get())
            .finish_non_exhaustive()
    }
}
