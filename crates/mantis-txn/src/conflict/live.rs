//! Which read-write transactions live, and since when: what the conflict index must remember.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use mantis_types::Seq;
use parking_lot::Mutex;

/// The live read-write transactions.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Guards who lives since when. Taken alone or inside the sequencer; held for one insertion.
    state: Mutex<State>,
    /// The oldest commit that somebody may ask about; `Seq::MAX` while nobody lives. A copy, for
    /// those who only need to know what may be forgotten.
    oldest: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How many transactions see nothing after which commit.
    since: BTreeMap<Seq, usize>,
    count: usize,
    serializable: usize,
    /// Whether one has lived since somebody looked, and a serializable one.
    has_lived: bool,
    serializable_has_lived: bool,
    /// When somebody looked last and one had lived, and a serializable one.
    idle_from: Duration,
    serializable_idle_from: Duration,
}

/// One live transaction; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    live: Arc<Live>,
    since: Seq,
    serializable: bool,
}

impl Live {
    /// Enters a transaction. `since` is asked for under the lock: what commits after it stays known.
    pub(crate) fn enter(
        self: &Arc<Self>,
        serializable: bool,
        since: impl FnOnce() -> Seq,
    ) -> Ticket {
        let mut state = self.state.lock();
        let since = since();
        *state.since.entry(since).or_default() += 1;
        state.count += 1;
        state.serializable += usize::from(serializable);
        state.has_lived = true;
        state.serializable_has_lived |= serializable;
        self.note_oldest(&state);
        drop(state);
        Ticket {
            live: Arc::clone(self),
            since,
            serializable,
        }
    }

    /// The oldest commit that somebody may ask about.
    pub(crate) fn oldest(&self) -> Seq {
        Seq::new(self.oldest.load(SeqCst))
    }

    /// How many live.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().count
    }

    /// How many serializable ones live.
    pub(crate) fn serializable(&self) -> usize {
        self.state.lock().serializable
    }

    /// Whether nobody has lived for `span`; and no serializable one.
    pub(crate) fn idle_for(&self, span: Duration, now: Duration) -> (bool, bool) {
        let state = self.state.lock();
        let idle = |count: usize, from: Duration| count == 0 && now.saturating_sub(from) >= span;
        (
            idle(state.count, state.idle_from),
            idle(state.serializable, state.serializable_idle_from),
        )
    }

    /// Notes whether transactions have lived since it was called last.
    pub(crate) fn note_time(&self, now: Duration) {
        let mut state = self.state.lock();
        if state.count > 0 || std::mem::take(&mut state.has_lived) {
            state.idle_from = now;
        }
        if state.serializable > 0 || std::mem::take(&mut state.serializable_has_lived) {
            state.serializable_idle_from = now;
        }
    }

    fn note_oldest(&self, state: &State) {
        let oldest = state.since.keys().next().copied().unwrap_or(Seq::MAX);
        self.oldest.store(oldest.get(), SeqCst);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.live.state.lock();
        if let Some(count) = state.since.get_mut(&self.since) {
            *count -= 1;
            if *count == 0 {
                state.since.remove(&self.since);
            }
        }
        state.count -= 1;
        state.serializable -= usize::from(self.serializable);
        self.live.note_oldest(&state);
    }
}
