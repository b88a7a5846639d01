//! Store operations as this front end sees them: counts, durations, and rates over the last minute.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_session::Command;
use mantis_types::ErrorKind;
use parking_lot::Mutex;

use super::histogram::{FINE_BUCKETS, FineHistogram, Histogram, quantile};

/// How far back rates and quantiles look.
const WINDOW: Duration = Duration::from_secs(60);
/// How far back the throughput looks.
const THROUGHPUT_WINDOW: Duration = Duration::from_secs(10);
/// One sample a second, and one from before the window.
const SAMPLES_MAX: usize = 62;

/// A kind of operation, the label `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Get,
    Put,
    Delete,
    Increment,
    List,
    Batch,
    Other,
}

impl OperationKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Get,
        Self::Put,
        Self::Delete,
        Self::Increment,
        Self::List,
        Self::Batch,
        Self::Other,
    ];

    pub(crate) const fn of(command: &Command) -> Self {
        match command {
            Command::KvGet { .. } => Self::Get,
            Command::KvPut { .. } => Self::Put,
            Command::KvDelete { .. } => Self::Delete,
            Command::KvIncrement { .. } => Self::Increment,
            Command::KvList(_) => Self::List,
            Command::KvBatch(_) => Self::Batch,
            _ => Self::Other,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "kv_get",
            Self::Put => "kv_put",
            Self::Delete => "kv_delete",
            Self::Increment => "kv_increment",
            Self::List => "kv_list",
            Self::Batch => "kv_batch",
            Self::Other => "other",
        }
    }
}

/// Counts since the start, and samples of them.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    by_kind: [Histogram; OperationKind::ALL.len()],
    errors: [AtomicU64; ERROR_KINDS.len()],
    latency: FineHistogram,
    reads: AtomicU64,
    writes: AtomicU64,
    failed: AtomicU64,
    /// Guards the samples. Leaf lock; held to copy one sample in or compare two.
    samples: Mutex<VecDeque<Sample>>,
}

/// Every kind with the word it has as label.
pub(crate) const ERROR_KINDS: [(ErrorKind, &str); 15] = [
    (ErrorKind::Invalid, "invalid"),
    (ErrorKind::Unauthenticated, "unauthenticated"),
    (ErrorKind::Forbidden, "forbidden"),
    (ErrorKind::NotFound, "not_found"),
    (ErrorKind::Constraint, "constraint"),
    (ErrorKind::Precondition, "precondition"),
    (ErrorKind::Conflict, "conflict"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::Timeout, "timeout"),
    (ErrorKind::Exhausted, "exhausted"),
    (ErrorKind::Unavailable, "unavailable"),
    (ErrorKind::ReadOnly, "read_only"),
    (ErrorKind::Closed, "closed"),
    (ErrorKind::Corrupt, "corrupt"),
    (ErrorKind::Internal, "internal"),
];

#[derive(Clone, Debug)]
struct Sample {
    at: Duration,
    reads: u64,
    writes: u64,
    failed: u64,
    cpu: Option<Duration>,
    latency: Box<[u64; FINE_BUCKETS]>,
}

/// What happened in the last minute, per second; `None` where nothing can be said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) reads_per_second: f64,
    pub(crate) writes_per_second: f64,
    /// Failed operations over all.
    pub(crate) error_rate: Option<f64>,
    pub(crate) p50: Option<Duration>,
    pub(crate) p95: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    /// Over the last ten seconds.
    pub(crate) throughput_ops_per_second: f64,
    /// Of one processor, over the last ten seconds; all threads together.
    pub(crate) cpu_percent: Option<f64>,
}

impl Operations {
    /// Counts an operation that has ended.
    pub(crate) fn observe(&self, kind: OperationKind, writes: bool, failed: bool, took: Duration) {
        self.by_kind[kind as usize].observe(took);
        self.latency.observe(took);
        if writes { &self.writes } else { &self.reads }.fetch_add(1, Relaxed);
        if failed {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    /// Counts an error, whether it came from the store or was made by this front end.
    pub(crate) fn count_error(&self, kind: ErrorKind) {
        let index = ERROR_KINDS.iter().position(|(known, _)| *known == kind);
        if let Some(counter) = index.and_then(|index| self.errors.get(index)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Operations that have ended.
    pub(crate) fn count(&self) -> u64 {
        self.reads.load(Relaxed) + self.writes.load(Relaxed)
    }

    pub(crate) fn by_kind(&self, kind: OperationKind) -> &Histogram {
        &self.by_kind[kind as usize]
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ERROR_KINDS
            .iter()
            .zip(&self.errors)
            .map(|((_, word), count)| (*word, count.load(Relaxed)))
    }

    /// Takes a sample; called once a second.
    pub(crate) fn sample(&self, at: Duration, cpu: Option<Duration>) {
        let sample = self.now(at, cpu);
        let mut samples = self.samples.lock();
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Compares now with the samples. `at` and `cpu` are of now.
    pub(crate) fn rates(&self, at: Duration, cpu: Option<Duration>) -> Rates {
        let now = self.now(at, cpu);
        let samples = self.samples.lock();
        let before = |window: Duration| {
            let from = at.saturating_sub(window);
            samples
                .iter()
                .find(|sample| sample.at >= from && sample.at < at)
        };
        let mut rates = Rates::default();
        if let Some(minute) = before(WINDOW) {
            let seconds = (at - minute.at).as_secs_f64();
            let latency = Box::new(std::array::from_fn(|index| {
                now.latency[index].saturating_sub(minute.latency[index])
            }));
            let (reads, writes) = (now.reads - minute.reads, now.writes - minute.writes);
            rates.reads_per_second = per_second(reads, seconds);
            rates.writes_per_second = per_second(writes, seconds);
            let all = reads + writes;
            rates.error_rate = (all > 0).then(|| share(now.failed - minute.failed, all));
            rates.p50 = quantile(&latency, 0.50);
            rates.p95 = quantile(&latency, 0.95);
            rates.p99 = quantile(&latency, 0.99);
        }
        if let Some(recent) = before(THROUGHPUT_WINDOW) {
            let seconds = (at - recent.at).as_secs_f64();
            let all = now.reads + now.writes - recent.reads - recent.writes;
            rates.throughput_ops_per_second = per_second(all, seconds);
            let used = now
                .cpu
                .zip(recent.cpu)
                .map(|(now, before)| now.saturating_sub(before));
            rates.cpu_percent = used.map(|used| 100.0 * used.as_secs_f64() / seconds);
        }
        rates
    }

    fn now(&self, at: Duration, cpu: Option<Duration>) -> Sample {
        Sample {
            at,
            reads: self.reads.load(Relaxed),
            writes: self.writes.load(Relaxed),
            failed: self.failed.load(Relaxed),
            cpu,
            latency: self.latency.counts(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more digits than f64 has"
)]
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more digits than f64 has"
)]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole > 0 {
        part as f64 / whole as f64
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn rates_cover_the_window_and_no_more() {
        let operations = Operations::default();
        let observe = |count, writes, failed| {
            for _ in 0..count {
                operations.observe(OperationKind::Get, writes, failed, MS(2));
            }
        };
        observe(600, false, false);
        for second in 0..100 {
            operations.sample(MS(second * 1000), Some(MS(second * 250)));
            observe(3, false, false);
            observe(1, true, true);
        }
        let rates = operations.rates(MS(100_000), Some(MS(25_000)));
        assert!((rates.reads_per_second - 3.0).abs() < 0.01, "{rates:?}");
        assert!((rates.writes_per_second - 1.0).abs() < 0.01, "{rates:?}");
        assert!((rates.error_rate.unwrap() - 0.25).abs() < 0.01, "{rates:?}");
        assert!(
            (rates.throughput_ops_per_second - 4.0).abs() < 0.01,
            "{rates:?}"
        );
        assert!(
            (rates.cpu_percent.unwrap() - 25.0).abs() < 0.01,
            "{rates:?}"
        );
        let p99 = rates.p99.unwrap();
        assert!(p99 >= MS(2) && p99 <= MS(3), "{p99:?}");
    }

    #[test]
    fn nothing_is_said_about_nothing() {
        let operations = Operations::default();
        operations.sample(MS(0), None);
        let rates = operations.rates(MS(1000), None);
        assert!(rates.p50.is_none() && rates.error_rate.is_none() && rates.cpu_percent.is_none());
    }

    #[test]
    fn labels_follow_the_order_of_the_enums() {
        for (index, kind) in OperationKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index, "{}", kind.as_str());
        }
        let operations = Operations::default();
        operations.count_error(ErrorKind::Timeout);
        let counted: Vec<_> = operations
            .errors()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(counted, [("timeout", 1)]);
    }
}
