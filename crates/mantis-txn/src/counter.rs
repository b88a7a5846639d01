//! Counters that threads bump without sharing a cache line.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

const CELLS: usize = 16;

/// A count that only grows; adding costs a few nanoseconds however many threads add.
#[derive(Debug, Default)]
pub struct Counter {
    cells: [CachePadded<AtomicU64>; CELLS],
}

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if let Some(cell) = self.cells.get(own_cell()) {
            cell.fetch_add(n, Relaxed);
        }
    }

    /// The sum at some moment during the call.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.cells.iter().map(|c| c.load(Relaxed)).sum()
    }
}

fn own_cell() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Relaxed) % CELLS;
    }
    MINE.with(|mine| *mine)
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
