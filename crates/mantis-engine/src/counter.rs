//! A counter that many threads add to without waiting for each other's cache line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::registry::home_shard;

const PARTS: usize = 8;

/// A count that only grows; adding costs a few nanoseconds however many threads add.
#[derive(Debug, Default)]
pub struct Counter {
    parts: [CachePadded<AtomicU64>; PARTS],
}

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        if let Some(part) = self.parts.get(home_shard() % PARTS) {
            part.fetch_add(count, Relaxed);
        }
    }

    /// The sum at some moment during the call.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.parts.iter().map(|part| part.load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_of_all_threads_are_summed() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.get(), 8000);
    }
}
