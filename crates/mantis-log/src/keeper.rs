//! Background work: syncs on the interval, writes files ahead, recycles segments, feeds the archive.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mantis_env::{File, OpenMode, Step, Task};
use mantis_types::Seq;

use crate::inner::Inner;
use crate::segment::{Segment, write_zeros};
use crate::space::Spare;
use crate::{FinishedSegment, LogError};

/// What was in memory for so long is written: a record of class `none` stays there at most twice
/// as long.
const WRITE_OUT: Duration = Duration::from_millis(5);
/// Bytes that are written ahead in one step, each synced, so that the disk is never kept from a
/// commit for long.
const AHEAD_BYTES: u64 = 1 << 20;
/// Pause after background work that failed.
const PAUSE: Duration = Duration::from_millis(500);
/// First and longest pause after the archive has failed.
const ARCHIVE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Files are written ahead until so many wait.
const SPARES_WANTED: usize = 1;

/// Looks after one log.
pub(crate) struct Keeper {
    log: Weak<Inner>,
    /// The file that is being written ahead.
    making: Option<Making>,
    /// The newest record when it was last looked. What has been there since is written now; what a
    /// committer is about to write itself is left to it.
    seen: Seq,
    /// The same for syncs.
    due: Seq,
    due_since: Duration,
    /// The last step found nothing to do.
    rested: bool,
    /// No more background work on files until then.
    paused_until: Duration,
}

struct Making {
    file: Arc<dyn File>,
    path: PathBuf,
    done: u64,
    bytes: u64,
}

impl Keeper {
    pub(crate) fn new(log: &Arc<Inner>) -> Self {
        Self {
            log: Arc::downgrade(log),
            making: None,
            seen: Seq::ZERO,
            due: Seq::ZERO,
            due_since: Duration::ZERO,
            rested: true,
            paused_until: Duration::ZERO,
        }
    }

    /// Writes and syncs what nobody waits for. A failure has poisoned the log, or the disk is
    /// full: either is told to the next who asks.
    fn flush(&mut self, log: &Inner, now: Duration) {
        let last = log.last_seq();
        let mut result = log.write(std::mem::replace(&mut self.seen, last));
        if now.saturating_sub(self.due_since) >= log.options.interval / 2 {
            self.due_since = now;
            result = result.and_then(|()| log.sync(std::mem::replace(&mut self.due, last)));
        }
        if result.is_err() {
            log.counters.background_failures.add(1);
        }
    }

    /// One piece of work on files; true when there is more.
    fn work(&mut self, log: &Inner) -> Result<bool, LogError> {
        if log.recycle_one()? {
            return Ok(true);
        }
        if let Some(making) = &mut self.making {
            let end = making.bytes.min(making.done + AHEAD_BYTES);
            let ahead = write_zeros(&*making.file, making.done, end);
            let written = ahead.and_then(|()| making.file.sync_all());
            written.map_err(LogError::io("write a segment ahead"))?;
            making.done = end;
            if end == making.bytes {
                self.finish(log)?;
            }
            return Ok(true);
        }
        if !log.half_used() {
            return Ok(false);
        }
        if log.space.wants_reserve()? {
            log.space.make_reserve()?;
            return Ok(true);
        }
        if log.space.count() >= SPARES_WANTED {
            return Ok(false);
        }
        let Some(bytes) = log.space.next_bytes()? else {
            log.space.set_full(true);
            return Ok(false);
        };
        let path = log.space.spare_name();
        let tmp = path.with_extension("spare.tmp");
        let opened = log.fs.open(&tmp, OpenMode::Create);
        let file = opened.map_err(LogError::io("write a segment ahead"))?;
        self.making = Some(Making {
            file,
            path,
            done: 0,
            bytes,
        });
        Ok(true)
    }

    fn finish(&mut self, log: &Inner) -> Result<(), LogError> {
        let Some(Making {
            file, path, bytes, ..
        }) = self.making.take()
        else {
            return Ok(());
        };
        let named = log.fs.rename(&path.with_extension("spare.tmp"), &path);
        named.map_err(LogError::io("name a file written ahead"))?;
        log.space.push(Spare { path, file, bytes });
        log.space.set_full(false);
        log.counters.files_written_ahead.add(1);
        Ok(())
    }

    fn give_up(&mut self, log: &Inner, error: &LogError) {
        if let Some(making) = self.making.take() {
            // What is left of it goes at the next open.
            drop(log.fs.remove_file(&making.path.with_extension("spare.tmp")));
        }
        if matches!(error, LogError::DiskFull) {
            log.space.set_full(true);
        }
        log.counters.background_failures.add(1);
    }
}

impl Task for Keeper {
    fn step(&mut self) -> Step {
        let Some(log) = self.log.upgrade() else {
            return Step::Done;
        };
        if log.poison.get().is_some() {
            return Step::Idle;
        }
        let now = log.env.clock().monotonic();
        log.resting.store(false, SeqCst);
        let was_resting = std::mem::take(&mut self.rested);
        let unsynced = log.durable_seq() < log.last_seq();
        if was_resting {
            (self.seen, self.due, self.due_since) = (log.last_seq(), log.last_seq(), now);
        } else if unsynced {
            self.flush(&log, now);
        }
        if now >= self.paused_until {
            match self.work(&log) {
                Ok(true) => return Step::Again,
                Ok(false) => {}
                Err(error) => {
                    self.give_up(&log, &error);
                    self.paused_until = now + PAUSE;
                }
            }
        }
        if unsynced {
            return Step::Wait(WRITE_OUT.min(log.options.interval / 2));
        }
        if log.space.is_full() || now < self.paused_until {
            // Nobody wakes a task that waits: new records must not lie longer for it.
            return Step::Wait(PAUSE.min(log.options.interval / 2));
        }
        self.rested = true;
        log.buffer.lock().rest();
        log.resting.store(true, SeqCst);
        // A record that came before the flag was up has not woken anybody.
        if log.durable_seq() < log.last_seq() {
            Step::Again
        } else {
            Step::Idle
        }
    }
}

/// Hands finished segments to the archive.
pub(crate) struct Archiver {
    log: Weak<Inner>,
    pause: Duration,
}

impl Archiver {
    pub(crate) fn new(log: &Arc<Inner>) -> Self {
        Self {
            log: Arc::downgrade(log),
            pause: ARCHIVE_PAUSE.0,
        }
    }
}

fn next_to_archive(log: &Inner) -> Option<(Arc<Segment>, Seq)> {
    let from = log.retention.archived_before();
    let segments = log.segments.lock();
    let mut finished = segments.iter().filter_map(|s| Some((s, s.last_seq()?)));
    finished
        .find(|(_, last)| *last >= from)
        .map(|(segment, last)| (Arc::clone(segment), last))
}

impl Task for Archiver {
    fn step(&mut self) -> Step {
        let Some(log) = self.log.upgrade() else {
            return Step::Done;
        };
        let Some(archive) = &log.options.archive else {
            return Step::Done;
        };
        let Some((segment, last_seq)) = next_to_archive(&log) else {
            return Step::Idle;
        };
        let (header, path) = (&segment.header, segment.path.clone());
        let (number, first_seq) = (header.number, header.first_seq);
        match archive.keep(&FinishedSegment {
            number,
            first_seq,
            last_seq,
            path,
        }) {
            Ok(()) => {
                self.pause = ARCHIVE_PAUSE.0;
                log.retention.set_archived_before(last_seq.next());
                log.counters.segments_archived.add(1);
                drop(segment);
                log.wake_background();
                Step::Again
            }
            Err(_) => {
                log.counters.archive_failures.add(1);
                let pause = self.pause;
                self.pause = (pause * 2).min(ARCHIVE_PAUSE.1);
                Step::Wait(pause)
            }
        }
    }
}
