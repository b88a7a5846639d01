//! Floors that are rates: many operations through the library.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use mantis_types::Durability;
use mantisdb::{LockFreeStorage, StorageOptions};

use super::Bench;
use super::figure::{Floor, Outcome};
use crate::keys::{Dice, Key, Values, ordered, scattered};
use crate::measure::{Load, now, settle};

/// Everything fits into memory: that is what the rows say.
const BUFFER_BYTES: u64 = 256 << 20;
const CACHE_BYTES: u64 = 512 << 20;
/// Background work that is waited for between rows.
const OWED_MAX: Duration = Duration::from_secs(30);

pub(super) const NONE_FLOORS: &[Floor] = &[Floor::rate(
    "none-put-ordered",
    "sequential put, 1 thread",
    "none",
    150_000.0,
)];

pub(super) const INTERVAL_FLOORS: &[Floor] = &[
    Floor::rate(
        "put-ordered",
        "sequential put, 1 thread",
        "interval",
        150_000.0,
    ),
    Floor::rate(
        "get-ordered",
        "sequential get, 1 thread",
        "memory",
        500_000.0,
    ),
    Floor::rate("put-random", "random put, 1 thread", "interval", 100_000.0),
    Floor::rate("get-random", "random get, 1 thread", "memory", 250_000.0),
    Floor::rate(
        "mixed-1",
        "random get and put, 1 thread",
        "interval",
        50_000.0,
    ),
    Floor::rate(
        "mixed-10",
        "random get and put, 10 threads",
        "interval",
        200_000.0,
    ),
    Floor::rate(
        "mixed-16",
        "random get and put, 16 threads",
        "interval",
        200_000.0,
    ),
    Floor::rate(
        "scan",
        "entries of a scan over everything",
        "memory",
        1_000_000.0,
    ),
    Floor::rate("delete", "delete, 1 thread", "interval", 200_000.0),
];

pub(super) const SYNC_FLOORS: &[Floor] = &[
    Floor::rate("sync-40", "put by 40 writers", "sync", 50_000.0),
    Floor::at_most(
        "sync-40-p99",
        "99 of 100 of these puts",
        "sync",
        100.0,
        "ms",
    ),
];

/// The library on a directory of its own, as a program uses it.
pub(super) struct Library {
    storage: LockFreeStorage,
    values: Values,
}

impl Library {
    pub(super) fn open(dir: &Path, durability: Durability, value_bytes: usize) -> Result<Self> {
        let options = StorageOptions {
            durability,
            cache_bytes: CACHE_BYTES,
            buffer_bytes: BUFFER_BYTES,
        };
        Ok(Self {
            storage: LockFreeStorage::open_with(dir, &options)?,
            values: Values::new(value_bytes),
        })
    }

    pub(super) const fn storage(&self) -> &LockFreeStorage {
        &self.storage
    }

    pub(super) fn put(&self, key: &Key, number: u64) -> Result<()> {
        let value = self.values.of(number).to_vec();
        Ok(self.storage.put(Bytes::copy_from_slice(key), value)?)
    }

    fn get(&self, key: &Key) -> Result<()> {
        let found = self.storage.get(Bytes::copy_from_slice(key))?;
        ensure!(found.is_some(), "a key that was put is not found");
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let was_there = self.storage.delete(Bytes::copy_from_slice(key))?;
        ensure!(was_there, "a key that was put is not there");
        Ok(())
    }

    fn mixed(&self, keys: u64, number: u64, dice: &mut Dice) -> Result<()> {
        let key = ordered(dice.below(keys));
        if dice.below(2) == 0 {
            self.put(&key, number)
        } else {
            self.get(&key)
        }
    }
}

impl Bench<'_> {
    pub(super) fn library(&self, name: &str, durability: Durability) -> Result<Library> {
        Library::open(
            &self.place.path().join(name),
            durability,
            self.options.value,
        )
    }
}

pub(super) fn class_none(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let library = bench.library("none", Durability::None)?;
    let figure = Load::operations(1, bench.options.keys)
        .run(|number, _| library.put(&ordered(number), number))?;
    library.storage().close()?;
    Ok(vec![NONE_FLOORS[0].against_rate(&figure)])
}

pub(super) fn class_interval(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let keys = bench.options.keys;
    let library = bench.library("interval", Durability::Interval)?;
    let all = |threads| Load::operations(threads, keys);
    let figures = [
        all(1).run(|number, _| library.put(&ordered(number), number))?,
        all(1).run(|number, _| library.get(&ordered(number)))?,
        rested(&all(1)).run(|number, _| library.put(&scattered(number), number))?,
        rested(&all(1)).run(|_, dice| library.get(&scattered(dice.below(keys))))?,
        rested(&all(1)).run(|number, dice| library.mixed(keys, number, dice))?,
        rested(&all(10)).run(|number, dice| library.mixed(keys, number, dice))?,
        rested(&all(16)).run(|number, dice| library.mixed(keys, number, dice))?,
    ];
    let mut outcomes: Vec<_> = INTERVAL_FLOORS
        .iter()
        .zip(&figures)
        .map(|(floor, figure)| floor.against_rate(figure))
        .collect();
    let [.., scan, delete] = INTERVAL_FLOORS else {
        unreachable!("the table ends with these rows")
    };
    outcomes.push(whole_scan(&library, scan, 2 * keys)?);
    let figure = rested(&all(1)).run(|number, _| library.delete(&scattered(number)))?;
    outcomes.push(delete.against_rate(&figure));
    library.storage().close()?;
    Ok(outcomes)
}

fn whole_scan(library: &Library, floor: &Floor, expected: u64) -> Result<Outcome> {
    settle(OWED_MAX);
    let (started, cpu) = (now(), crate::measure::cpu_time());
    let mut rows = 0;
    for row in library.storage().scan_prefix("") {
        std::hint::black_box(row?);
        rows += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let used = crate::measure::cpu_time().saturating_sub(cpu);
    ensure!(rows == expected, "a scan saw {rows} of {expected} keys");
    let cpu_us = used.as_secs_f64() * 1e6 / rows as f64;
    Ok(floor.against(rows as f64 / seconds, Some(cpu_us), String::new()))
}

pub(super) fn class_sync(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let library = bench.library("sync", Durability::Sync)?;
    // So long that the log has come to files that were written ahead.
    let warm = Load::timed(40, Duration::from_secs(1));
    warm.run(|number, _| library.put(&ordered(number), number))?;
    let load = Load::timed(40, Duration::from_secs(5));
    let figure = load.run(|number, _| library.put(&scattered(number), number))?;
    library.storage().close()?;
    let [rate, p99] = SYNC_FLOORS else {
        unreachable!("the table has these two rows")
    };
    let p99_ms = figure.latency.map_or(f64::NAN, |latency| latency.p99 / 1e3);
    let note = "the goal is 10 ms".to_owned();
    Ok(vec![
        rate.against_rate(&figure),
        p99.against(p99_ms, None, note),
    ])
}

/// The load, once what the row before has left behind is done.
fn rested(load: &Load) -> Load {
    settle(OWED_MAX);
    *load
}
