//! The log as its users see it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use mantis_env::Env;
use mantis_types::Seq;
use parking_lot::Mutex;

use crate::buffer::{Buffer, End};
use crate::group::Group;
use crate::inner::Inner;
use crate::keeper::{Archiver, Keeper};
use crate::reader::{LogReader, Readers};
use crate::recovery::{Recovered, recover};
use crate::retention::{Hold, Retention};
use crate::space::Space;
use crate::stats::Counters;
use crate::write_out::WriteOut;
use crate::writer::Writer;
use crate::{LogError, LogOptions, LogStats, Poison, Prepared, RecoveryReport};

/// A commit log. Cheap to clone; all clones are one log, and may be used from any thread.
///
/// Dropping the last clone without [`Log::close`] is like a kill: what was written or synced stays,
/// what was only appended is lost.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
}

/// A log that has been opened, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What opening it found and did.
    pub recovery: RecoveryReport,
}

impl Log {
    /// Opens the log in a directory, and makes it when there is none. Everything that is in it
    /// afterwards is durable. Cost: reading what is not before `first_seq`.
    ///
    /// The caller keeps other processes out, for example by a lock on the directory above.
    ///
    /// # Errors
    /// `Damaged` with the place, unless the mode is tolerant; `Absent` if it was not to be made;
    /// `LaterFormat`; `BadOption`; `DiskFull`; `Io`.
    pub fn open(env: &Env, dir: &Path, options: LogOptions) -> Result<Opened, LogError> {
        options.check()?;
        let recovered = recover(env, dir, &options)?;
        let space = Space::new(env.fs(), dir, &options);
        let paths = env
            .fs()
            .read_dir(dir)
            .map_err(LogError::io("list the log"))?;
        space.adopt(&paths)?;
        let recovery = recovered.report.clone();
        let inner = Arc::new(assemble(env, dir, options, recovered, space));
        start_tasks(&inner);
        Ok(Opened {
            log: Self { inner },
            recovery,
        })
    }

    /// Waits until there is room for about `bytes` more: has what is buffered written in the
    /// background from a quarter of its bound on, and writes it itself at the bound. To be called
    /// before the caller's critical section. Cost: some atomic loads and now and then a wake-up,
    /// unless the buffer is full or the disk nearly is.
    ///
    /// # Errors
    /// `DiskFull`, `Poisoned`, `Closed`: nothing has been done.
    pub fn admit(&self, bytes: u64) -> Result<(), LogError> {
        self.inner.admit(bytes)
    }

    /// Puts a record at the end: copies it into the buffer, no I/O. Seqs must come in order, without
    /// gaps. Nothing is durable yet: call [`Log::sync`] or [`Log::write`], or leave it to the
    /// background.
    ///
    /// # Errors
    /// `OutOfOrder`, `TooLarge`, `Poisoned`, `Closed`: nothing has been done.
    pub fn append(&self, seq: Seq, body: &Prepared<'_>) -> Result<(), LogError> {
        self.inner.append(seq, body)
    }

    /// Answers when `seq` is in the file, and so survives the death of the process. One write for
    /// everything that has gathered.
    ///
    /// # Errors
    /// `Poisoned`; `DiskFull`: it stays queued, its outcome is unknown.
    pub fn write(&self, seq: Seq) -> Result<(), LogError> {
        self.inner.write(seq)
    }

    /// Answers when `seq` is on disk. One write and one fdatasync for everything that has gathered;
    /// a lone caller does both itself. A Seq that was never appended is `OutOfOrder`.
    ///
    /// # Errors
    /// `Poisoned`; `DiskFull`: it stays queued, its outcome is unknown.
    pub fn sync(&self, seq: Seq) -> Result<(), LogError> {
        self.inner.sync(seq)
    }

    /// A reader that begins with the record `from`, which need not be there yet.
    ///
    /// # Errors
    /// `SeqGone` when the log does not reach back so far.
    pub fn read(&self, from: Seq) -> Result<LogReader, LogError> {
        LogReader::new(&self.inner, from)
    }

    /// Keeps everything from a Seq on, until the hold is dropped. What has been recycled before is
    /// gone: take the hold first, then the reader.
    #[must_use]
    pub fn hold(&self, from: Seq) -> Hold {
        Hold::new(&self.inner, from)
    }

    /// Says that nobody needs what stands before `before`. Whole segments of it are recycled in the
    /// background, once no hold and no archive stands against it.
    pub fn release(&self, before: Seq) {
        self.inner.retention.release(before);
        self.inner.wake_background();
    }

    /// Ends the current segment, so that it can be archived and recycled, and syncs. Does nothing
    /// in a segment without records.
    ///
    /// # Errors
    /// `Poisoned`, `Closed`, `DiskFull`.
    pub fn rotate(&self) -> Result<(), LogError> {
        self.inner.rotate()
    }

    /// The newest record that is on disk.
    #[must_use]
    pub fn durable_seq(&self) -> Seq {
        self.inner.durable_seq()
    }

    /// The newest record that is in the files.
    #[must_use]
    pub fn written_seq(&self) -> Seq {
        self.inner.written_seq()
    }

    /// The newest record.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.inner.last_seq()
    }

    /// The oldest record that can be read; one above [`Log::last_seq`] when there is none.
    #[must_use]
    pub fn oldest_seq(&self) -> Seq {
        self.inner.oldest_seq()
    }

    /// Why the log does not write any more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poison> {
        self.inner.poison.get().cloned()
    }

    /// What it counts about itself.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.inner.stats()
    }

    /// Stops the background tasks and waits for them, and writes nothing more: from here on the
    /// files are left alone, as after a kill. Reading goes on. Blocks for the step under way.
    pub fn halt(&self) {
        self.inner.halt();
    }

    /// Clean shutdown: takes nothing more, writes and syncs everything, notes that it was closed,
    /// stops the background tasks. Reading goes on. A second call does nothing.
    ///
    /// # Errors
    /// `Poisoned`, `DiskFull`: what was not durable before may or may not be there later.
    pub fn close(&self) -> Result<(), LogError> {
        self.inner.close()
    }
}

fn assemble(
    env: &Env,
    dir: &Path,
    options: LogOptions,
    recovered: Recovered,
    space: Space,
) -> Inner {
    let Recovered {
        segments,
        end,
        mark_file,
        ..
    } = recovered;
    let Some(segment) = segments.last().cloned() else {
        unreachable!("recovery ends with a segment to write on")
    };
    let (header, seq) = (segment.header, end.seq.prev());
    let end_of_log = End {
        segment: header.number,
        salt: header.salt,
        capacity: header.capacity,
        offset: end.offset,
        seq,
        sum: end.sum,
    };
    let buffer = Buffer::new(end_of_log, options.buffer_bytes_max);
    let writer = Writer {
        segment,
        offset: end.offset,
        seq,
        sum: end.sum,
        ended: false,
    };
    let room = buffer.room();
    Inner {
        env: env.clone(),
        fs: Arc::clone(env.fs()),
        dir: dir.to_owned(),
        retention: Retention::new(options.archive.is_some()),
        options,
        buffer: Mutex::new(buffer),
        written_at: Mutex::new(writer.written()),
        writer: Mutex::new(writer),
        mark_file: Mutex::new(mark_file),
        group: Group::default(),
        segments: Mutex::new(VecDeque::from(segments)),
        space,
        readers: Readers::default(),
        last: AtomicU64::new(seq.get()),
        written: AtomicU64::new(seq.get()),
        durable: AtomicU64::new(seq.get()),
        buffered: AtomicU64::new(0),
        room: AtomicU64::new(room),
        stuck: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        poison: OnceLock::new(),
        counters: Counters::new(),
        resting: AtomicBool::new(false),
        wakers: OnceLock::new(),
        write_out: OnceLock::new(),
        asked_to_write_out: AtomicBool::new(false),
        tasks: Mutex::new(Vec::new()),
    }
}

fn start_tasks(inner: &Arc<Inner>) {
    let tasks = inner.env.tasks();
    let mut handles = vec![tasks.spawn("mantis-log", Box::new(Keeper::new(inner)))];
    if inner.options.archive.is_some() {
        handles.push(tasks.spawn("mantis-log-archive", Box::new(Archiver::new(inner))));
    }
    let wakers = handles.iter().map(mantis_env::TaskHandle::waker).collect();
    let write_out = tasks.spawn("mantis-log-write", Box::new(WriteOut::new(inner)));
    inner.write_out.get_or_init(|| write_out.waker());
    handles.push(write_out);
    *inner.tasks.lock() = handles;
    // A task that ran before its waker was there has found nothing that a later wake would not find.
    inner.wakers.get_or_init(|| wakers);
}
