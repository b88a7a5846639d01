//! How long segments are kept: until they are released, read by every holder, and archived.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mantis_types::Seq;
use parking_lot::Mutex;

use crate::LogError;
use crate::inner::Inner;
use crate::segment::Segment;
use crate::space::{SPARES_MAX, Spare};

/// What stands in the way of recycling.
#[derive(Debug)]
pub(crate) struct Retention {
    released: AtomicU64,
    /// Everything before has been archived; the end of all Seqs without an archive.
    archived: AtomicU64,
    /// Guards who holds from where. Held for some instructions.
    holds: Mutex<BTreeMap<u64, Seq>>,
    next_hold: AtomicU64,
}

impl Retention {
    pub(crate) fn new(has_archive: bool) -> Self {
        let archived = if has_archive { Seq::ZERO } else { Seq::MAX };
        Self {
            released: AtomicU64::new(0),
            archived: AtomicU64::new(archived.get()),
            holds: Mutex::new(BTreeMap::new()),
            next_hold: AtomicU64::new(0),
        }
    }

    pub(crate) fn release(&self, before: Seq) {
        self.released.fetch_max(before.get(), SeqCst);
    }

    pub(crate) fn archived_before(&self) -> Seq {
        Seq::new(self.archived.load(SeqCst))
    }

    pub(crate) fn set_archived_before(&self, seq: Seq) {
        self.archived.store(seq.get(), SeqCst);
    }

    /// Everything before may go.
    fn cut(&self) -> Seq {
        let held = self
            .holds
            .lock()
            .values()
            .min()
            .copied()
            .unwrap_or(Seq::MAX);
        let released = Seq::new(self.released.load(SeqCst));
        released.min(held).min(self.archived_before())
    }
}

/// Keeps the log from a Seq on, until it is dropped.
pub struct Hold {
    log: Arc<Inner>,
    id: u64,
}

impl Hold {
    pub(crate) fn new(log: &Arc<Inner>, from: Seq) -> Self {
        let id = log.retention.next_hold.fetch_add(1, SeqCst);
        log.retention.holds.lock().insert(id, from);
        Self {
            log: Arc::clone(log),
            id,
        }
    }

    /// Holds from a later Seq on. Moving back has no effect: what was before may be gone.
    pub fn advance(&self, to: Seq) {
        if let Some(from) = self.log.retention.holds.lock().get_mut(&self.id) {
            *from = to.max(*from);
        }
        self.log.wake_background();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.log.retention.holds.lock().remove(&self.id);
        self.log.wake_background();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.log.retention.holds.lock().get(&self.id).copied();
        f.debug_struct("Hold").field("from", &from).finish()
    }
}

impl Inner {
    /// Takes one segment off that nobody needs any more; false when there is none.
    pub(crate) fn recycle_one(&self) -> Result<bool, LogError> {
        let cut = self.retention.cut();
        let segment = {
            let mut segments = self.segments.lock();
            if self.recyclable(&segments, cut).is_none() {
                return Ok(false);
            }
            segments.pop_front()
        };
        let Some(segment) = segment else {
            return Ok(false);
        };
        self.recycle(&segment)
            .map_err(LogError::io("recycle a segment"))?;
        Ok(true)
    }

    /// The oldest segment, if nobody needs it and it is not kept for readers that come later.
    fn recyclable<'s>(
        &self,
        segments: &'s VecDeque<Arc<Segment>>,
        cut: Seq,
    ) -> Option<&'s Arc<Segment>> {
        let gone = |segment: &&Arc<Segment>| segment.last_seq().is_some_and(|last| last < cut);
        let oldest = segments.front().filter(gone)?;
        let behind = segments.iter().skip(1).take_while(gone);
        let kept: u64 = behind.map(|segment| segment.header.capacity).sum();
        let now = self.env.clock().monotonic();
        let age = now.saturating_sub(oldest.ended_at()?);
        let wanted = kept < self.options.retain_bytes && age < self.options.retain_age;
        (!wanted).then_some(oldest)
    }

    /// Each removal is made durable by itself: a gap in the numbers would be taken for damage.
    fn recycle(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let unread = Arc::strong_count(segment) == 1;
        let bytes = segment.file.len()?;
        let wanted = bytes == self.options.segment_bytes && self.space.count() < SPARES_MAX;
        if unread && wanted {
            let path = self.space.spare_name();
            self.fs.rename(&segment.path, &path)?;
            self.fs.sync_dir(&self.dir)?;
            self.space.push(Spare {
                path,
                file: Arc::clone(&segment.file),
                bytes,
            });
            self.counters.segments_recycled.add(1);
        } else {
            // A reader that still has the file open reads on in it.
            self.fs.remove_file(&segment.path)?;
            self.fs.sync_dir(&self.dir)?;
            self.counters.segments_removed.add(1);
        }
        Ok(())
    }
}
