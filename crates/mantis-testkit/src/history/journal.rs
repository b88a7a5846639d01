//! Where clients write down what they do, in the order in which it happens.

use parking_lot::Mutex;

use super::event::{Event, History};

/// Takes events; an event is noted before the call returns.
pub trait Journal: Send + Sync {
    /// Notes an event.
    fn note(&self, event: Event);
}

/// A journal in memory.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Guards the events; held for one push.
    history: Mutex<History>,
}

impl Recorder {
    /// Everything that was noted.
    #[must_use]
    pub fn into_history(self) -> History {
        self.history.into_inner()
    }
}

impl Journal for Recorder {
    fn note(&self, event: Event) {
        self.history.lock().events.push(event);
    }
}
