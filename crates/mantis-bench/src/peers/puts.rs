//! Rows that begin with an empty store.

use std::time::Duration;

use anyhow::Result;

use super::plan::{Plan, Work};
use super::{Bench, durable};
use crate::keys::{ordered, scattered};
use crate::measure::{Figure, Load, rest};
use crate::store::{Contender, Store};

impl Bench<'_> {
    /// One round of a row on a store without data.
    pub(super) fn new_store(
        &self,
        plan: &Plan,
        contender: Contender,
        store: &dyn Store,
        threads: u64,
    ) -> Result<Figure> {
        match plan.work {
            Work::Put { ordered, .. } => self.puts(store, ordered, threads),
            Work::Durable { .. } => {
                let span = Duration::from_secs_f64(self.options.seconds);
                // The goals are set over one thread that writes and syncs by itself.
                let writers = if contender == Contender::RawDisk {
                    1
                } else {
                    threads
                };
                durable::puts(store, &self.values, writers, span)
            }
            _ => unreachable!("the row is measured on loaded stores"),
        }
    }

    fn puts(&self, store: &dyn Store, in_order: bool, threads: u64) -> Result<Figure> {
        store.warm_up()?;
        rest();
        let key = if in_order { ordered } else { scattered };
        Load::operations(threads, self.options.keys)
            .run(|number, _| store.put(&key(number), self.values.of(number)))
    }
}
