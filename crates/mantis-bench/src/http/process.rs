//! What the kernel says about another process: CPU time and memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A process by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Everything.
    pub resident: u64,
    /// Heap and anonymous mappings.
    pub heap: u64,
    /// Stacks of threads, as far as the kernel names them.
    pub stack: u64,
    /// Machine code of the program and of libraries.
    pub code: u64,
    /// Other pages of files: constants, relocations, debug information that was touched.
    pub files: u64,
}

/// A reading of CPU time.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    /// Of the threads that live.
    exact: Duration,
    /// Of all, in ticks.
    coarse: Duration,
}

/// How far the coarse clock may be off at both ends together.
const COARSE_ERROR: Duration = Duration::from_millis(20);

impl CpuTime {
    /// What was used since an earlier reading: exact, unless threads that have ended since then
    /// make up a good part of it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let exact = self.exact.saturating_sub(earlier.exact);
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        if coarse > exact.mul_f64(1.05) + COARSE_ERROR {
            coarse
        } else {
            exact
        }
    }
}

impl Process {
    /// The process with this number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// CPU time so far, user and system.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(self) -> anyhow::Result<CpuTime> {
        let mut nanos = 0_u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.0)).context("no such process")? {
            // A thread may end between the two calls.
            let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            nanos += line
                .split_whitespace()
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .context("schedstat has another form")?;
        }
        Ok(CpuTime {
            exact: Duration::from_nanos(nanos),
            coarse: self.coarse_cpu_time()?,
        })
    }

    /// In ticks of 10 ms, threads that have ended included.
    fn coarse_cpu_time(self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name of the program stands in brackets and may hold blanks.
        let (_, fields) = stat.rsplit_once(')').context("stat has another form")?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let ticks = ticks(11).zip(ticks(12)).context("stat has another form")?;
        let millis = (ticks.0 + ticks.1) * 1000 / rustix::param::clock_ticks_per_second();
        Ok(Duration::from_millis(millis))
    }

    /// Resident bytes.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident(self) -> anyhow::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0))?;
        let rss = rollup.lines().find_map(|line| kilobytes(line, "Rss:"));
        rss.context("smaps_rollup has another form")
    }

    /// Resident bytes by what they hold.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn memory(self) -> anyhow::Result<Memory> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", self.0))?;
        let mut memory = Memory::default();
        let mut mapping = ("", "");
        for line in maps.lines() {
            if let Some(rss) = kilobytes(line, "Rss:") {
                memory.resident += rss;
                *match mapping {
                    (_, "[stack]") => &mut memory.stack,
                    (_, path) if !path.starts_with('/') => &mut memory.heap,
                    (rights, _) if rights.contains('x') => &mut memory.code,
                    _ => &mut memory.files,
                } += rss;
            } else if let Some(found) = mapping_of(line) {
                mapping = found;
            }
        }
        Ok(memory)
    }
}

/// Rights and path of a mapping's first line.
fn mapping_of(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let is_range = range.split_once('-').is_some_and(|(from, _)| {
        !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    is_range.then(|| (rights, fields.nth(3).unwrap_or("")))
}

/// The bytes of a line such as `Rss: 12 kB`.
fn kilobytes(line: &str, name: &str) -> Option<u64> {
    let number = line.strip_prefix(name)?.trim().strip_suffix("kB")?;
    number
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_uses_time_and_memory() {
        let this = Process::new(std::process::id());
        let (time, memory) = (this.cpu_time().unwrap(), this.resident().unwrap());
        let ballast: Vec<u64> = (0..4_u64 << 20).map(|n| n.wrapping_mul(n)).collect();
        assert!(this.cpu_time().unwrap().since(time) > Duration::ZERO);
        let after = this.memory().unwrap();
        assert!(after.heap >= 32 << 20, "{after:?} {}", ballast.len());
        assert!(after.resident >= memory + (16 << 20), "{after:?}");
        let parts = after.heap + after.stack + after.code + after.files;
        assert_eq!(parts, after.resident);
        assert!(after.code > 0 && after.files > 0);
    }
}
