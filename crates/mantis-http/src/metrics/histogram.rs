//! Histograms of durations: fixed buckets for Prometheus, fine ones for quantiles.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the Prometheus buckets in microseconds.
pub(crate) const BOUNDS_MICROS: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Counts durations. Cost of an observation: three relaxed additions.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_MICROS.len()],
    count: AtomicU64,
    sum_nanos: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum_nanos.fetch_add(
            u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            Relaxed,
        );
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.load(Relaxed))
    }

    /// Bound in seconds and how many observations were at most that long.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut total = 0;
        BOUNDS_MICROS
            .iter()
            .zip(&self.buckets)
            .map(move |(bound, bucket)| {
                total += bucket.load(Relaxed);
                (Duration::from_micros(*bound).as_secs_f64(), total)
            })
    }
}

/// Buckets for each doubling. A quantile is exact to within a quarter of its value.
const STEPS: u32 = 4;
/// Up to 2^26 microseconds, 67 seconds.
const DOUBLINGS: u32 = 26;
/// Buckets of a [`FineHistogram`].
pub(crate) const FINE_BUCKETS: usize = (STEPS * DOUBLINGS) as usize;

/// Counts durations in buckets that are at most a quarter wide.
#[derive(Debug)]
pub(crate) struct FineHistogram {
    buckets: [AtomicU64; FINE_BUCKETS],
}

impl Default for FineHistogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl FineHistogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[fine_index(micros)].fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> Box<[u64; FINE_BUCKETS]> {
        Box::new(std::array::from_fn(|index| {
            self.buckets[index].load(Relaxed)
        }))
    }
}

fn fine_index(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = micros.ilog2();
    // The two bits after the leading one.
    let step = if doubling >= 2 {
        (micros >> (doubling - 2)) & 3
    } else {
        (micros << (2 - doubling)) & 3
    };
    let index = u64::from(doubling * STEPS) + step;
    usize::try_from(index)
        .unwrap_or(usize::MAX)
        .min(FINE_BUCKETS - 1)
}

/// Upper bound of a fine bucket.
fn fine_bound(index: usize) -> Duration {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let (doubling, step) = (index / u64::from(STEPS), index % u64::from(STEPS));
    Duration::from_nanos((1000 << doubling) / 4 * (5 + step))
}

/// The duration below which the share `q` of the observations lies; `None` without any.
pub(crate) fn quantile(counts: &[u64; FINE_BUCKETS], q: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let mut seen = 0;
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if at_least(seen, total, q) {
            return Some(fine_bound(index));
        }
    }
    Some(fine_bound(FINE_BUCKETS - 1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of counts needs no more digits than f64 has"
)]
fn at_least(seen: u64, total: u64, q: f64) -> bool {
    seen as f64 >= total as f64 * q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::default();
        for micros in [50, 100, 101, 2_000_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(
            (counts[0], counts[1], counts[12], counts[13], counts[16]),
            (2, 3, 3, 4, 4)
        );
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_micros(62_000_251));
    }

    #[test]
    fn quantiles_are_within_a_quarter() {
        for micros in [1_u64, 2, 3, 7, 100, 999, 12_345, 1_000_000, 30_000_000] {
            let histogram = FineHistogram::default();
            histogram.observe(Duration::from_micros(micros));
            let found = quantile(&histogram.counts(), 0.5).unwrap();
            let exact = Duration::from_micros(micros);
            assert!(
                found >= exact && found <= exact.mul_f64(1.26),
                "{exact:?} {found:?}"
            );
        }
        let histogram = FineHistogram::default();
        for micros in 1..=1000 {
            histogram.observe(Duration::from_micros(micros));
        }
        let p99 = quantile(&histogram.counts(), 0.99).unwrap();
        assert!((990..=1250).contains(&p99.as_micros()), "{p99:?}");
        assert_eq!(quantile(&FineHistogram::default().counts(), 0.5), None);
    }
}
