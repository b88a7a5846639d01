//! What this process has used: processors, memory, disk; and the wait until it rests.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use super::{now, pause};

/// CPU time of this process so far: all threads, also those that have ended, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

/// Waits until the background work of the stores in this process is done: until the process uses
/// less than a twentieth of a processor. False when that did not come within `longest`.
pub fn settle(longest: Duration) -> bool {
    const LOOK: Duration = Duration::from_millis(40);
    let started = now();
    let mut calm = 0;
    while calm < 2 {
        if started.elapsed() > longest {
            return false;
        }
        let before = cpu_time();
        pause(LOOK);
        let used = cpu_time().saturating_sub(before);
        calm = if used < LOOK / 20 { calm + 1 } else { 0 };
    }
    true
}

/// Bytes that this process has made the system write to disks (`write_bytes` of `/proc/self/io`).
///
/// # Errors
/// When the system does not tell.
pub fn bytes_written() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/io").context("cannot read /proc/self/io")?;
    number(&text, "write_bytes:").context("/proc/self/io has no write_bytes")
}

/// How often all threads of this process but the calling one have waited for something and were
/// woken.
///
/// # Errors
/// When the system does not tell.
pub fn switches_of_others() -> Result<u64> {
    let own = std::fs::read_link("/proc/thread-self").context("cannot read /proc/thread-self")?;
    let mut switches = 0;
    for thread in std::fs::read_dir("/proc/self/task").context("cannot list threads")? {
        let thread = thread?;
        // A thread that has ended meanwhile waits for nothing.
        let Ok(text) = std::fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        if own.file_name() != Some(&thread.file_name()) {
            switches += number(&text, "voluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Ok(switches)
}

/// Memory of this process that is resident.
#[derive(Clone, Copy, Debug)]
pub struct Resident;

impl Resident {
    /// Bytes now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn now() -> Result<u64> {
        Self::read("VmRSS:")
    }

    /// The most since [`Self::reset_peak`].
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn peak() -> Result<u64> {
        Self::read("VmHWM:")
    }

    /// Begins a new measurement of the peak.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn reset_peak() -> Result<()> {
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")
    }

    fn read(name: &str) -> Result<u64> {
        let text = std::fs::read_to_string("/proc/self/status")?;
        let kib = number(&text, name).with_context(|| format!("the status has no {name}"))?;
        Ok(kib * 1024)
    }
}

/// The number behind a word at the beginning of a line.
fn number(text: &str, word: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_counts_as_its_cpu_time() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time().saturating_sub(before) < Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn numbers_are_read_from_their_line() {
        let text = "rchar: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(number(text, "write_bytes:"), Some(4096));
        assert_eq!(number(text, "absent:"), None);
        assert!(Resident::peak().unwrap() >= Resident::now().unwrap() / 2);
        bytes_written().unwrap();
    }

    #[test]
    fn threads_that_wait_are_counted_and_the_own_one_is_not() {
        let before = switches_of_others().unwrap();
        std::thread::scope(|scope| {
            let (give, take) = std::sync::mpsc::channel();
            let (answer, answered) = std::sync::mpsc::channel();
            let waiting = scope.spawn(move || take.iter().for_each(|()| answer.send(()).unwrap()));
            for _ in 0..200 {
                give.send(()).unwrap();
                answered.recv().unwrap();
            }
            let after = switches_of_others().unwrap();
            drop(give);
            waiting.join().unwrap();
            assert!(after > before, "{before} {after}");
        });
    }
}
