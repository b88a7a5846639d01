//! Latencies in buckets of about six percent.

/// Buckets for each power of two.
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Buckets for all 64 powers.
const BUCKETS: usize = 64 * 16;

/// Counts how often something took how long.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    counts: Vec<u64>,
}

impl Latencies {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
        }
    }

    /// Counts one.
    pub(super) fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
    }

    /// Counts those of another.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The time that `percent` of all stay below, in nanoseconds; `None` when there are none.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map(upper_end)
    }
}

fn bucket(ns: u64) -> usize {
    let power = 63 - ns.max(1).leading_zeros();
    let index = if power <= STEP_BITS {
        ns
    } else {
        let step = (ns >> (power - STEP_BITS)) - STEPS;
        u64::from(power) * STEPS + step
    };
    usize::try_from(index)
        .unwrap_or(BUCKETS - 1)
        .min(BUCKETS - 1)
}

/// The largest time that falls into the bucket.
fn upper_end(bucket: usize) -> u64 {
    let index = u64::try_from(bucket).unwrap_or(u64::MAX);
    let (power, step) = (index / STEPS, index % STEPS);
    if power <= u64::from(STEP_BITS) {
        return index;
    }
    let width = 1_u64 << (power - u64::from(STEP_BITS));
    (STEPS + step) * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_sixteenth() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(50), None);
        (1..=100_000).for_each(|ns| latencies.add(ns));
        for (percent, exact) in [(1, 1_000), (50, 50_000), (99, 99_000), (100, 100_000)] {
            let got = latencies.percentile(percent).unwrap();
            assert!(
                (exact..=exact + exact / 16 + 1).contains(&got),
                "{percent}: {got}"
            );
        }
    }

    #[test]
    fn each_time_falls_into_a_bucket_that_ends_above_it() {
        let mut ns = 1;
        while ns < u64::MAX / 3 {
            for ns in [ns - 1, ns, ns + 1] {
                let end = upper_end(bucket(ns));
                assert!(end >= ns && end <= ns + ns / 16, "{ns}: {end}");
            }
            ns = ns * 2 + ns / 3 + 1;
        }
    }
}
