//! Benchmarks against peers: what the measuring programs below `bin/` share.

pub mod http;

use std::time::Duration;

/// CPU time of this process so far, all threads, user and system.
///
/// # Errors
/// When the process's own statistics cannot be read.
pub fn cpu_time() -> std::io::Result<Duration> {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let bad = |_| std::io::Error::other("a CPU time that is no time");
    let seconds = u64::try_from(usage.tv_sec).map_err(bad)?;
    let nanos = u32::try_from(usage.tv_nsec).map_err(bad)?;
    Ok(Duration::new(seconds, nanos))
}

/// The middle one of an odd number of figures.
///
/// # Panics
/// When there are none.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    *sorted
        .get(sorted.len() / 2)
        .expect("a measurement has at least one round")
}
