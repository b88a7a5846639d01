//! crossbeam's skiplist without anything around it.

use anyhow::Result;
use crossbeam_skiplist::SkipMap;

use super::Store;
use crate::keys::Key;

/// The skiplist. It neither orders nor keeps versions, and loses everything with the process.
#[derive(Default)]
pub(super) struct Bare(SkipMap<Key, Box<[u8]>>);

impl Store for Bare {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.insert(*key, value.into());
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<usize> {
        // A copy: what the others answer may be held, too.
        let found = self.0.get(key).map(|entry| entry.value().to_vec());
        Ok(found.map_or(0, |value| std::hint::black_box(value).len()))
    }

    fn scan(&self, from: &Key, rows: usize) -> Result<usize> {
        let found = self.0.range(*from..).take(rows);
        Ok(found
            .filter(|entry| std::hint::black_box(entry.value()).len() + entry.key().len() > 0)
            .count())
    }
}
