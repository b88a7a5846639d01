//! Histories of mixed levels, cut down to what one level was promised.
//!
//! Only a read can show its reader something that the reader's level forbids. So for each level the
//! reads of weaker transactions are taken away; what is left must be valid under the level's model.

use super::event::{History, Micro};
use mantis_types::Isolation;

/// The history without the reads of transactions weaker than `level`.
#[must_use]
pub fn project(history: &History, level: Isolation) -> History {
    let events = history.events.iter().map(|event| {
        let mut event = event.clone();
        if event.level < level {
            event
                .micros
                .retain(|micro| matches!(micro, Micro::Append { .. }));
        }
        event
    });
    History {
        events: events.collect(),
    }
}
