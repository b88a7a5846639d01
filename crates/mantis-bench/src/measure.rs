//! Measuring: operations over threads, with wall time and the CPU time of the whole process.

mod exclusive;
mod machine;
mod process;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

pub use exclusive::Exclusive;
pub use machine::{Machine, load_average};
pub use process::{Resident, bytes_written, cpu_time, settle, switches_of_others};

use crate::keys::Dice;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// So many operations, over all threads.
    Operations(u64),
    /// As many as fit.
    Span(Duration),
}

/// A load: how many threads, how much, and whether each operation is timed by itself.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Threads, which start together.
    pub threads: u64,
    /// When it ends.
    pub extent: Extent,
    /// Whether each operation is timed. Costs about 50 ns for each.
    pub latencies: bool,
}

/// What was measured in one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Operations done.
    pub operations: u64,
    /// Operations for each second of wall time.
    pub per_second: f64,
    /// Microseconds that the whole process spent on processors for each operation: background work
    /// that ran meanwhile included.
    pub cpu_us: f64,
    /// How long single operations took, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Memory and disk, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What commits met with, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<Commits>,
}

/// What the commits of a round met with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commits {
    /// Transactions that were refused because another one came first, and were run again. They are
    /// no operations, but their time counts.
    pub conflicts: u64,
    /// Commits that one sync of the log made durable, on average; `None` where nothing was synced.
    pub per_sync: Option<f64>,
}

/// What a store took of memory and disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// The most memory of its process that was resident meanwhile.
    pub resident_bytes: u64,
    /// What was resident before the store was opened.
    pub resident_before_bytes: u64,
    /// What it was told to use.
    pub budget_bytes: u64,
    /// Bytes written to disks for each byte of keys and values, work owed afterwards included;
    /// `None` where nothing was put.
    pub written_per_byte: Option<f64>,
    /// Bytes of its files for each byte of keys and values that it holds.
    pub space_per_byte: f64,
    /// Whether the work that it owed was done within the time that one waits for it.
    pub idle: bool,
}

/// How long single operations took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them took at most this long.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// So many latencies of a thread find room before its memory grows.
const LATENCIES_ROOM: usize = 16 << 10;

impl Load {
    /// So many operations, over so many threads.
    #[must_use]
    pub const fn operations(threads: u64, count: u64) -> Self {
        Self {
            threads,
            extent: Extent::Operations(count),
            latencies: false,
        }
    }

    /// As many operations as fit, each of them timed.
    #[must_use]
    pub const fn timed(threads: u64, span: Duration) -> Self {
        Self {
            threads,
            extent: Extent::Span(span),
            latencies: true,
        }
    }

    /// Runs the load. `operation` is given numbers that no other call gets, and the thread's dice.
    ///
    /// # Errors
    /// The first error of an operation; the other threads stop soon after.
    ///
    /// # Panics
    /// When an operation panics.
    pub fn run(&self, operation: impl Fn(u64, &mut Dice) -> Result<()> + Sync) -> Result<Figure> {
        ensure!(self.threads > 0, "a load needs a thread");
        let stop = AtomicBool::new(false);
        let together = Barrier::new(usize::try_from(self.threads)? + 1);
        let work = |thread| {
            let room = self.room_for_latencies();
            together.wait();
            let done = self.one_thread(thread, room, &stop, &operation);
            if done.is_err() {
                stop.store(true, Relaxed);
            }
            done
        };
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(move || work(thread)))
                .collect();
            let cpu_before = cpu_time();
            together.wait();
            let started = now();
            if let Extent::Span(span) = self.extent {
                pause(span);
                stop.store(true, Relaxed);
            }
            let done: Vec<Result<Done>> = threads
                .into_iter()
                .map(|thread| thread.join().expect("an operation panicked"))
                .collect();
            let (wall, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu_before));
            let mut all = Done::default();
            for done in done {
                all.add(done?);
            }
            Ok(all.figure(wall, cpu))
        })
    }

    /// Memory that has been touched, so that growing it is no part of what is measured.
    fn room_for_latencies(&self) -> Vec<u64> {
        let count = if self.latencies { LATENCIES_ROOM } else { 0 };
        let mut room = vec![1; count];
        room.clear();
        room
    }

    fn one_thread(
        &self,
        thread: u64,
        took_ns: Vec<u64>,
        stop: &AtomicBool,
        operation: &(impl Fn(u64, &mut Dice) -> Result<()> + Sync),
    ) -> Result<Done> {
        let mut dice = Dice::new(thread);
        let mut done = Done {
            operations: 0,
            took_ns,
        };
        let last = match self.extent {
            Extent::Operations(count) => count,
            Extent::Span(_) => u64::MAX,
        };
        let mut number = thread;
        while number < last && !stop.load(Relaxed) {
            if self.latencies {
                let began = now();
                operation(number, &mut dice)?;
                done.took_ns
                    .push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            } else {
                operation(number, &mut dice)?;
            }
            done.operations += 1;
            number += self.threads;
        }
        Ok(done)
    }
}

/// What threads have done.
#[derive(Debug, Default)]
struct Done {
    operations: u64,
    took_ns: Vec<u64>,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.took_ns.extend(other.took_ns);
    }

    fn figure(self, wall: Duration, cpu: Duration) -> Figure {
        let operations = self.operations as f64;
        Figure {
            operations: self.operations,
            per_second: operations / wall.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / operations.max(1.0),
            latency: Latency::of(self.took_ns),
            ..Figure::default()
        }
    }
}

impl Latency {
    /// The percentiles of these nanoseconds; `None` when there are none.
    #[must_use]
    pub fn of(mut took_ns: Vec<u64>) -> Option<Self> {
        took_ns.sort_unstable();
        let last = took_ns.len().checked_sub(1)?;
        let at = |per_mille: usize| took_ns[last * per_mille / 1000] as f64 / 1e3;
        Some(Self {
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        })
    }
}

/// This moment.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program measures the machine's time"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Lets the calling thread sleep.
#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program measures the machine's time"
)]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// Waits until what the last measurement left behind is done; says so when that takes too long.
pub(crate) fn rest() {
    const LONGEST: Duration = Duration::from_secs(20);
    if !settle(LONGEST) {
        println!(
            "  (background work did not end within {LONGEST:?}: the next figure contains some)"
        );
    }
}

/// The middle one of the figures; of an even number, the upper of the two in the middle.
#[must_use]
pub fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn every_number_is_given_out_once_over_all_threads() {
        let sum = AtomicU64::new(0);
        let figure = Load::operations(3, 100)
            .run(|number, _| {
                sum.fetch_add(number, Relaxed);
                Ok(())
            })
            .unwrap();
        assert_eq!(figure.operations, 100);
        assert_eq!(sum.into_inner(), 99 * 100 / 2);
        assert_eq!(figure.latency, None);
    }

    #[test]
    fn an_error_of_one_operation_ends_the_load_and_is_told() {
        let told = Load::timed(2, Duration::from_millis(1)).run(|number, _| {
            ensure!(number < 10, "the tenth fails");
            Ok(())
        });
        assert_eq!(told.unwrap_err().to_string(), "the tenth fails");
    }

    #[test]
    fn percentiles_stand_at_their_places() {
        assert_eq!(Latency::of(Vec::new()), None);
        let latency = Latency::of((1..=1001).map(|us| us * 1000).collect()).unwrap();
        assert_eq!(
            (latency.p50, latency.p99, latency.p999, latency.max),
            (501.0, 991.0, 1000.0, 1001.0)
        );
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
