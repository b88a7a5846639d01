//! What a store must hold after a load: the same draws once more, without a store.
//!
//! The value of a key depends on the round that wrote it last and on nothing else, so that it does not
//! matter which of two threads came first.

use anyhow::{Result, ensure};

use super::mix::{Mix, Step};
use super::store::Store;
use crate::keys::{Dice, Values, Zipf, scattered};

/// The keys of a store, and which round has written each of them last.
#[derive(Debug)]
pub(super) struct Model<'a> {
    values: &'a Values,
    zipf: &'a Zipf,
    /// Round 0 is the load.
    written: Vec<u8>,
}

impl<'a> Model<'a> {
    /// So many keys, as they were loaded.
    pub(super) fn new(keys: usize, values: &'a Values, zipf: &'a Zipf) -> Self {
        Self {
            values,
            zipf,
            written: vec![0; keys],
        }
    }

    pub(super) const fn keys(&self) -> u64 {
        self.written.len() as u64
    }

    pub(super) const fn zipf(&self) -> &'a Zipf {
        self.zipf
    }

    /// What a round puts under a key.
    pub(super) fn value(&self, key: u64, round: u8) -> &'a [u8] {
        self.values.of(key + u64::from(round))
    }

    /// Takes in a round of so many transactions over so many threads, as `Load` deals them out.
    pub(super) fn replay(&mut self, mix: Mix, threads: u64, count: u64, round: u8) -> Result<()> {
        let keys = self.keys();
        for thread in 0..threads {
            let mut dice = Dice::new(thread);
            for number in (thread..count).step_by(usize::try_from(threads)?) {
                let step = mix.draw(number, &mut dice, keys, self.zipf);
                self.note(&step, round)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, step: &Step, round: u8) -> Result<()> {
        for key in step.writes() {
            self.written[usize::try_from(*key)?] = round;
        }
        Ok(())
    }

    /// Reads every key of a store.
    ///
    /// # Errors
    /// When one holds something else than was written last.
    pub(super) fn check(&self, store: &dyn Store) -> Result<()> {
        for (number, round) in (0..).zip(&self.written) {
            let held = store.newest(&scattered(number))?;
            ensure!(
                held.as_deref() == Some(self.value(number, *round)),
                "key {number} does not hold what round {round} has written"
            );
        }
        Ok(())
    }
}
