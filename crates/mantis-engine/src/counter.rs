//! A counter that many threads add to without waiting for each other's cache line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::registry::home_shard;

const PARTS: usize = 8;

#[derive(Debug)]
pub(crate) struct Counter {
    parts: [CachePadded<AtomicU64>; PARTS],
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(0))),
        }
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        if let Some(part) = self.parts.get(home_shard() % PARTS) {
            part.fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.parts.iter().map(|part| part.load(Relaxed)).sum()
    }
}
