//! The voice of a child with several threads: one line at a time.

use parking_lot::Mutex;

use super::wire::Line;

/// Says lines for threads; a long one is no single write for the pipe.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// Guards the standard output; held for one line, or as long as the parent does not listen.
    alone: Mutex<()>,
}

impl Voice {
    pub(super) fn say(&self, line: &Line) {
        let _alone = self.alone.lock();
        line.say().expect("the parent listens");
    }
}
