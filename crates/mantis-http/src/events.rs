//! Events of this server for those who listen: commits that became visible, configuration changes.

use std::sync::Arc;

use mantis_types::Seq;
use serde::Serialize;
use tokio::sync::broadcast;

/// Most events that a slow listener may fall behind. Beyond: it is told how many it missed.
const BACKLOG_MAX: usize = 256;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Commits became visible.
    Commit {
        /// The first one.
        from_seq: u64,
        /// The last one.
        to_seq: u64,
    },
    /// The configuration was changed.
    Config {
        /// Keys that are in effect.
        applied: Vec<String>,
        /// Keys that take effect at the next start.
        restart_required: Vec<String>,
    },
}

/// An event and when it was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stamped {
    pub(crate) timestamp: String,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// Where events go to and come from.
#[derive(Debug)]
pub(crate) struct EventHub {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for EventHub {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG_MAX).0,
        }
    }
}

impl EventHub {
    /// Tells everyone who listens.
    pub(crate) fn publish(&self, event: Event) {
        if self.is_heard() {
            // The last listener may leave in this moment: then nobody misses the event.
            drop(self.sender.send(Arc::new(event)));
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }

    /// Whether anyone listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }
}

/// Follows the newest visible commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitWatch {
    seen: Seq,
}

impl CommitWatch {
    pub(crate) fn new(visible: Seq) -> Self {
        Self { seen: visible }
    }

    /// The commits since the last look, if there were any.
    pub(crate) fn look(&mut self, visible: Seq) -> Option<Event> {
        if visible <= self.seen {
            return None;
        }
        let event = Event::Commit {
            from_seq: self.seen.next().get(),
            to_seq: visible.get(),
        };
        self.seen = visible;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_reported_once_and_without_gaps() {
        let mut watch = CommitWatch::new(Seq::new(7));
        assert_eq!(watch.look(Seq::new(7)), None);
        assert_eq!(
            watch.look(Seq::new(9)),
            Some(Event::Commit {
                from_seq: 8,
                to_seq: 9
            })
        );
        assert_eq!(watch.look(Seq::new(9)), None);
        assert_eq!(
            watch.look(Seq::new(10)),
            Some(Event::Commit {
                from_seq: 10,
                to_seq: 10
            })
        );
    }

    #[test]
    fn a_slow_listener_learns_what_it_missed() {
        let hub = EventHub::default();
        hub.publish(Event::Commit {
            from_seq: 1,
            to_seq: 1,
        });
        let mut listener = hub.listen();
        for seq in 0..=BACKLOG_MAX as u64 {
            hub.publish(Event::Commit {
                from_seq: seq,
                to_seq: seq,
            });
        }
        assert!(matches!(
            listener.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(1))
        ));
        assert!(listener.try_recv().is_ok());
    }
}
