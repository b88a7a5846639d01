//! How many keys there are, for statistics: counted at once while there are few, else remembered.

use std::time::Duration;

use mantis_env::Clock;
use parking_lot::Mutex;

use crate::KvError;

/// So many keys are counted whenever somebody asks: some milliseconds.
const COUNT_ALWAYS_MAX: u64 = 10_000;
/// More are remembered for so long a key. A key takes about 1 us to count, so that statistics, asked
/// for as often as one likes, cost 1 % of a core.
const REMEMBER_PER_KEY: Duration = Duration::from_micros(100);

/// How many live keys there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// `None` for more than `Limits::count_scan_max`.
    pub keys: Option<u64>,
    /// Whether they were counted for this answer; otherwise a little earlier: 100 s for a million.
    pub exact: bool,
}

/// The last count.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    /// Guards the last count; nothing is taken inside, held for a copy.
    last: Mutex<Option<Last>>,
    /// One count of many keys at a time. Before `last`; longest hold: a scan of all keys.
    counting: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    keys: Option<u64>,
    /// How many keys the count looked at.
    looked_at: u64,
    at: Duration,
}

impl Last {
    const fn few(self) -> bool {
        self.looked_at <= COUNT_ALWAYS_MAX
    }

    fn is_fresh(self, now: Duration) -> bool {
        let keys = u32::try_from(self.looked_at).unwrap_or(u32::MAX);
        now.saturating_sub(self.at) < REMEMBER_PER_KEY.saturating_mul(keys)
    }

    const fn remembered(self) -> KeyCount {
        KeyCount {
            keys: self.keys,
            exact: false,
        }
    }
}

impl Counting {
    /// Calls `scan`, which counts at most `max` keys, or answers what it said last.
    pub(crate) fn count(
        &self,
        clock: &dyn Clock,
        max: u64,
        scan: impl FnOnce() -> Result<Option<u64>, KvError>,
    ) -> Result<KeyCount, KvError> {
        let last = *self.last.lock();
        let one_at_a_time = match last {
            Some(last) if last.few() => None,
            Some(last) if last.is_fresh(clock.monotonic()) => return Ok(last.remembered()),
            Some(last) => {
                let free = self.counting.try_lock();
                if free.is_none() {
                    return Ok(last.remembered());
                }
                free
            }
            None => {
                let first = self.counting.lock();
                if let Some(meanwhile) = self.last.lock().filter(|last| !last.few()) {
                    return Ok(meanwhile.remembered());
                }
                Some(first)
            }
        };
        let keys = scan()?;
        let (looked_at, at) = (keys.unwrap_or(max), clock.monotonic());
        *self.last.lock() = Some(Last {
            keys,
            looked_at,
            at,
        });
        drop(one_at_a_time);
        Ok(KeyCount { keys, exact: true })
    }
}
