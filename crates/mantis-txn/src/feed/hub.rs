//! The last commits in memory, and those who wait for the next one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use mantis_engine::Counter;
use mantis_env::Bell;
use mantis_types::{Limits, Seq};
use parking_lot::Mutex;

use super::before::Held;
use crate::outbox::Kept;

/// Most commits in memory, whatever their size.
const COMMITS_MAX: usize = 1 << 16;

/// Those who follow the commits of a store, and what is kept for them.
#[derive(Debug)]
pub(crate) struct FeedHub {
    /// Guards the last commits and who waits for the next. Leaf lock. Longest hold: a push, or the
    /// hand-over of those who wait.
    state: Mutex<State>,
    /// Rung when commits have become visible, for threads.
    pub(super) bell: Bell,
    /// Somebody waits: a thread, or a waker.
    awaited: AtomicBool,
    bytes_max: u64,
    /// Guards the snapshots of followers that ask what was before. Held for a look at each.
    holders: Mutex<Vec<Weak<Held>>>,
    pub(super) followers: AtomicUsize,
    pub(super) delivered: Counter,
    pub(super) lost: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// Without a gap, from the commit after `after` on.
    commits: VecDeque<Arc<Kept>>,
    bytes: u64,
    /// `None` until somebody follows.
    after: Option<Seq>,
    /// The newest commit that was told.
    told: Seq,
    wakers: Vec<Waker>,
}

/// Where a commit is.
pub(super) enum Found {
    Here(Arc<Kept>),
    /// Further back than memory reaches.
    Before,
    NotYet,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStats {
    /// Who follows now.
    pub followers: u64,
    /// Commits that were delivered, to each of them.
    pub delivered: u64,
    /// Followers that were too slow, or came too late, for what is kept.
    pub lost: u64,
    /// Commits in memory.
    pub in_memory: u64,
    /// Their bytes.
    pub memory_bytes: u64,
}

impl State {
    fn find(&self, seq: Seq) -> Found {
        let Some(after) = self.after.filter(|after| seq > *after) else {
            return if self.after.is_some() {
                Found::Before
            } else {
                Found::NotYet
            };
        };
        let place = usize::try_from(seq.get() - after.get() - 1).ok();
        let kept = place.and_then(|place| self.commits.get(place));
        kept.map_or(Found::NotYet, |kept| Found::Here(Arc::clone(kept)))
    }
}

impl FeedHub {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::default(),
            bell: Bell::default(),
            awaited: AtomicBool::new(false),
            bytes_max: limits.feed_memory,
            holders: Mutex::default(),
            followers: AtomicUsize::new(0),
            delivered: Counter::default(),
            lost: Counter::default(),
        }
    }

    /// Takes a follower that holds snapshots.
    pub(super) fn hold(&self, held: &Arc<Held>) {
        self.holders.lock().push(Arc::downgrade(held));
    }

    /// Takes snapshots away from followers that stand still; called now and then.
    pub(crate) fn rest(&self, visible: Seq, now: Duration) {
        self.holders.lock().retain(|held| match held.upgrade() {
            Some(held) => {
                held.let_go_when_still(visible, now);
                true
            }
            None => false,
        });
    }

    /// Commits are kept from here on; those after `after` are told.
    pub(super) fn begin(&self, after: Seq) {
        let mut state = self.state.lock();
        let told = state.told;
        state.after.get_or_insert_with(|| told.max(after));
    }

    /// Takes a commit that is about to become visible.
    pub(crate) fn tell(&self, kept: &Arc<Kept>) {
        let mut state = self.state.lock();
        state.told = kept.seq;
        // One from before the first follower came: its log has it.
        if state.after.is_none_or(|after| kept.seq <= after) {
            return;
        }
        state.bytes += kept.batch.as_bytes().len() as u64;
        state.commits.push_back(Arc::clone(kept));
        while state.commits.len() > COMMITS_MAX
            || (state.bytes > self.bytes_max && state.commits.len() > 1)
        {
            let Some(oldest) = state.commits.pop_front() else {
                break;
            };
            state.bytes -= oldest.batch.as_bytes().len() as u64;
            state.after = Some(oldest.seq);
        }
    }

    /// Wakes those who wait; behind the visible edge, and by nobody who holds up others.
    pub(crate) fn wake(&self) {
        if !self.awaited.load(SeqCst) {
            return;
        }
        let mut state = self.state.lock();
        self.awaited.store(false, SeqCst);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.bell.ring();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn find(&self, seq: Seq) -> Found {
        self.state.lock().find(seq)
    }

    /// Whether memory reaches back to a commit.
    pub(super) fn reaches(&self, seq: Seq) -> bool {
        self.state.lock().after.is_some_and(|after| seq > after)
    }

    pub(super) fn oldest(&self) -> Option<Seq> {
        self.state.lock().after.map(Seq::next)
    }

    /// Before a look at what is there: the count to wait with if it is not. In this order: whoever takes
    /// the flag away in between has rung the bell since the count.
    pub(super) fn listen(&self) -> u32 {
        let count = self.bell.count();
        self.awaited.store(true, SeqCst);
        count
    }

    pub(super) fn ready_or_wake(&self, next: Seq, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        // Before the look: whoever tells afterwards has to wake.
        self.awaited.store(true, SeqCst);
        if !matches!(state.find(next), Found::NotYet) {
            return true;
        }
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        false
    }

    pub(crate) fn stats(&self) -> FeedStats {
        let state = self.state.lock();
        FeedStats {
            followers: self.followers.load(SeqCst) as u64,
            delivered: self.delivered.get(),
            lost: self.lost.get(),
            in_memory: state.commits.len() as u64,
            memory_bytes: state.bytes,
        }
    }
}
