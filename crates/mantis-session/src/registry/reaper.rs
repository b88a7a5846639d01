//! The task that ends transactions which nobody uses, and forgets those that ended long ago.

use std::sync::Arc;
use std::time::Duration;

use mantis_env::{Step, Task};

use super::entry::{Ending, Entry, Place};
use super::{REMEMBERED, Registry};

/// Pause between two looks: so much later than its time a transaction may end.
const PAUSE: Duration = Duration::from_millis(250);

/// Owned by the database, which stops it.
#[derive(Debug)]
pub(super) struct Reaper {
    registry: Arc<Registry>,
}

impl Reaper {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl Task for Reaper {
    fn step(&mut self) -> Step {
        self.registry.clear_away();
        Step::Wait(PAUSE)
    }
}

impl Registry {
    /// One look at everything.
    pub(super) fn clear_away(&self) {
        let now = self.now();
        let idle = self.idle();
        let mut due = Vec::new();
        let mut ended = Vec::new();
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| {
            let ended_at = entry.shown.lock().ended_at;
            match ended_at {
                Some(at) if now.saturating_sub(at) >= REMEMBERED => return false,
                Some(at) => ended.push((at, entry.key)),
                None if now >= entry.ends_at(idle) => due.push(Arc::clone(entry)),
                None => {}
            }
            true
        });
        let too_many = ended.len().saturating_sub(self.ended_max);
        if too_many > 0 {
            ended.sort_unstable();
            for (_, key) in &ended[..too_many] {
                entries.remove(key);
            }
        }
        drop(entries);
        for entry in due {
            self.expire(&entry, now);
        }
    }

    /// Ends one whose time has come, unless a request has the turn: it is looked at again then.
    fn expire(&self, entry: &Entry, now: Duration) {
        let Ok(mut place) = entry.turn.try_lock() else {
            return;
        };
        let open = matches!(*place, Place::Open(_));
        if open && now >= entry.ends_at(self.idle()) && entry.is_open() {
            entry.end(&mut place, Ending::Expired, now);
            self.ended(Ending::Expired);
        }
    }
}
