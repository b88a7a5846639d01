//! Who syncs for whom: one of the committers leads, the others of its group sleep until it is done.
//!
//! A committer that finds no leader leads at once and alone: no hand-off. While a leader's sync is
//! under way, the next group gathers; its first member is handed the lead directly, the others
//! sleep on the bell of their group, so that a finished sync wakes those whom it served, with one
//! system call, and one more.

use mantis_env::Bell;
use mantis_types::Seq;
use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Guards who leads. After the writer's lock, before the buffer's; held for some instructions
    /// and while the leader takes the buffer.
    state: Mutex<State>,
    bells: [Bell; 2],
    handed: Bell,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody leads, or is about to be handed the lead.
    led: bool,
    /// The leader has taken the buffer; later records belong to the next group.
    taken: Option<Seq>,
    /// Which bell the gathering group sleeps on.
    gathering: usize,
    sleepers: [u32; 2],
    /// A member of the gathering group waits to be handed the lead.
    heir: bool,
    /// The lead has been handed to the heir, who has not noticed yet.
    granted: bool,
}

/// What a committer has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Lead,
    /// Sleep on this bell, seen at this count.
    Sleep(usize, u32),
    /// Wait for the lead.
    Inherit,
}

impl Group {
    /// Joins: the record must have been appended.
    pub(crate) fn join(&self, seq: Seq) -> Role {
        let mut state = self.state.lock();
        if !state.led {
            state.led = true;
            return Role::Lead;
        }
        let bell = match state.taken {
            Some(taken) if seq <= taken => 1 - state.gathering,
            Some(_) if !state.heir => {
                state.heir = true;
                return Role::Inherit;
            }
            Some(_) | None => state.gathering,
        };
        if let Some(sleepers) = state.sleepers.get_mut(bell) {
            *sleepers += 1;
        }
        Role::Sleep(bell, self.bells.get(bell).map_or(0, Bell::count))
    }

    pub(crate) fn sleep(&self, bell: usize, count: u32) {
        if let Some(bell) = self.bells.get(bell) {
            bell.wait(count);
        }
    }

    /// Waits until the lead has been handed to the caller.
    pub(crate) fn inherit(&self) {
        loop {
            let count = self.handed.count();
            if std::mem::take(&mut self.state.lock().granted) {
                return;
            }
            self.handed.wait(count);
        }
    }

    /// The leader takes the buffer: who joins with a later record belongs to the next group.
    pub(crate) fn take<T>(&self, take: impl FnOnce() -> (Seq, T)) -> T {
        let mut state = self.state.lock();
        let (last, taken) = take();
        state.taken = Some(last);
        state.gathering = 1 - state.gathering;
        taken
    }

    /// The leader is done: hands the lead on and wakes its group.
    pub(crate) fn done(&self) {
        let mut state = self.state.lock();
        let heir = std::mem::take(&mut state.heir);
        state.granted = heir;
        state.led = heir;
        // A leader that failed before it took the buffer has its group in the gathering half.
        let served = match state.taken.take() {
            Some(_) => 1 - state.gathering,
            None => state.gathering,
        };
        let sleepers = state
            .sleepers
            .get_mut(served)
            .map(std::mem::take)
            .unwrap_or(0);
        drop(state);
        if heir {
            self.handed.ring();
        }
        if sleepers > 0
            && let Some(bell) = self.bells.get(served)
        {
            bell.ring();
        }
    }

    /// After a failure for ever: nobody sleeps on.
    pub(crate) fn wake_all(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }
}
