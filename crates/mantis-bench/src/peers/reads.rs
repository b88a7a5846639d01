//! Rows that are measured on loaded stores: gets, scans and mixed workloads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use super::Bench;
use super::plan::{Mix, Place, Plan, Work};
use crate::keys::{Dice, Zipf, scattered};
use crate::measure::{Figure, Load, now, pause};
use crate::run::found;
use crate::store::{Contender, Memory, Store};

/// What a memtable entry takes beside key and value, at most: so that what is loaded fits into one.
const ENTRY_BYTES: u64 = 240;
/// What a row takes in our row cache beside its value: key, header, handles.
const ROW_BYTES: u64 = 16 + 3 + 18 + 200;
/// What our row cache keeps for marks of recent writes.
const MARKS_BYTES: u64 = 512 << 10;
/// A scan reads so many rows.
const SCAN_ROWS: usize = 100;

/// New keys of workload E; no other row reads them.
static NEW_KEYS: AtomicU64 = AtomicU64::new(1 << 40);

impl Bench<'_> {
    /// A store that holds the keys, where the row wants them.
    pub(super) fn load(
        &self,
        work: &Work,
        contender: Contender,
        dir: &TempDir,
    ) -> Result<Box<dyn Store>> {
        let place = work.place().unwrap_or(Place::Budget);
        let store = contender.open(dir.path(), &self.memory_for(place))?;
        let held = self.keys_for(place);
        Load::operations(1, held)
            .run(|number, _| store.put(&scattered(number), self.values.of(number)))?;
        if place != Place::Memtable {
            store.settle()?;
        }
        // Once over everything: caches are as full as they get.
        Load::operations(1, held).run(|number, _| found(store.get(&scattered(number))?))?;
        Ok(store)
    }

    fn memory_for(&self, place: Place) -> Memory {
        let rows = (self.options.value as u64 + ROW_BYTES) * self.options.keys / 10;
        match place {
            Place::Tables => self.memory.with_row_cache(0),
            Place::Hot => self.memory.with_row_cache(rows + MARKS_BYTES),
            Place::Memtable | Place::Budget => self.memory,
            Place::Flushing => Memory::divide(64 << 20),
        }
    }

    fn keys_for(&self, place: Place) -> u64 {
        let fit = self.memory.memtable_bytes / (self.options.value as u64 + ENTRY_BYTES);
        match place {
            Place::Memtable => self.options.keys.min(fit),
            _ => self.options.keys,
        }
    }

    /// One round of a row on a loaded store.
    pub(super) fn loaded_store(
        &self,
        plan: &Plan,
        contender: Contender,
        store: &dyn Store,
        threads: u64,
    ) -> Result<Figure> {
        let keys = self.options.keys;
        let held = self.keys_for(plan.work.place().unwrap_or(Place::Budget));
        match plan.work {
            Work::Get {
                from: Place::Hot, ..
            } => {
                let zipf = self.zipf();
                Load::operations(threads, keys)
                    .run(|_, dice| found(store.get(&scattered(zipf.draw(dice) % held))?))
            }
            Work::Get { .. } => Load::operations(threads, keys)
                .run(|_, dice| found(store.get(&scattered(dice.below(held)))?)),
            Work::Scan { .. } => Load::operations(threads, keys / 20)
                .run(|_, dice| found(store.scan(&scattered(dice.below(held)), SCAN_ROWS)?)),
            Work::Ycsb { mix, .. } => {
                let zipf = self.zipf();
                let mixed = Mixed {
                    bench: self,
                    zipf: &zipf,
                    store,
                    contender,
                };
                let count = if mix == Mix::E { keys / 20 } else { keys };
                Load::operations(threads, count).run(|number, dice| mixed.step(mix, number, dice))
            }
            Work::Paced { puts } => self.paced(store, puts),
            Work::Put { .. } | Work::Durable { .. } | Work::Large => {
                unreachable!("the row makes its own stores")
            }
        }
    }

    /// Gets, each of them timed, beside a writer that puts at a steady pace.
    fn paced(&self, store: &dyn Store, puts: u64) -> Result<Figure> {
        let keys = self.options.keys;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.put_steadily(store, puts, &stop));
            let span = Duration::from_secs_f64(self.options.seconds * 4.0);
            let figure =
                Load::timed(1, span).run(|_, dice| found(store.get(&scattered(dice.below(keys)))?));
            stop.store(true, Relaxed);
            writer.join().expect("the writer panicked")?;
            figure
        })
    }

    /// Puts over any key, so many a second, until it is told to stop.
    fn put_steadily(&self, store: &dyn Store, puts: u64, stop: &AtomicBool) -> Result<()> {
        const TICK: Duration = Duration::from_millis(2);
        let (started, mut done, mut dice) = (now(), 0, Dice::new(99));
        while !stop.load(Relaxed) {
            let due = u64::try_from(started.elapsed().as_millis())? * puts / 1000;
            while done < due && !stop.load(Relaxed) {
                let key = scattered(dice.below(self.options.keys));
                store.put(&key, self.values.of(done))?;
                done += 1;
            }
            pause(TICK);
        }
        Ok(())
    }

    fn zipf(&self) -> Zipf {
        Zipf::new(self.options.keys)
    }
}

/// A mixed workload on one store.
struct Mixed<'a> {
    bench: &'a Bench<'a>,
    zipf: &'a Zipf,
    store: &'a dyn Store,
    contender: Contender,
}

impl Mixed<'_> {
    fn step(&self, mix: Mix, number: u64, dice: &mut Dice) -> Result<()> {
        let key = scattered(self.zipf.draw(dice));
        let value = self.bench.values.of(number);
        let percent = dice.below(100);
        match mix {
            Mix::A if percent < 50 => self.store.put(&key, value),
            Mix::B if percent < 5 => self.store.put(&key, value),
            Mix::E if percent < 5 => {
                let new = NEW_KEYS.fetch_add(1, Relaxed);
                self.store.put(&scattered(new), value)
            }
            Mix::E => {
                let rows = usize::try_from(dice.below(100) + 1)?;
                self.found(self.store.scan(&key, rows)?)
            }
            Mix::F if percent < 50 => {
                self.found(self.store.get(&key)?)?;
                self.store.put(&key, value)
            }
            Mix::A | Mix::B | Mix::C | Mix::F => self.found(self.store.get(&key)?),
        }
    }

    fn found(&self, count: usize) -> Result<()> {
        if self.contender.replaces_in_place() {
            found(count)
        } else {
            Ok(())
        }
    }
}
