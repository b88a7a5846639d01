//! What the operating system says about this process and its disk.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One look at the process. A member is `None` where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessReading {
    pub(crate) memory_used_bytes: Option<u64>,
    pub(crate) memory_total_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// Since the process was started.
    pub(crate) uptime: Option<Duration>,
    pub(crate) disk_used_bytes: Option<u64>,
    pub(crate) disk_total_bytes: Option<u64>,
}

/// Reads `/proc` and the file system of the data directory. Cost: five system calls on files that
/// live in memory, one on the disk's file system.
pub(crate) fn read_process(data_dir: Option<&Path>) -> ProcessReading {
    let disk = data_dir.and_then(|dir| rustix::fs::statvfs(dir).ok());
    ProcessReading {
        memory_used_bytes: resident_bytes(),
        memory_total_bytes: memory_total(),
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| entries.count() as u64),
        uptime: uptime(),
        disk_used_bytes: disk
            .as_ref()
            .map(|disk| disk.f_blocks.saturating_sub(disk.f_bfree) * disk.f_frsize),
        disk_total_bytes: disk.map(|disk| disk.f_blocks * disk.f_frsize),
    }
}

/// Processor time of all threads since the start.
pub(crate) fn cpu_time() -> Option<Duration> {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn memory_total() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn uptime() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets and may hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    let started_ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let started_ms = started_ticks
        .checked_mul(1000)?
        .checked_div(ticks_per_second)?;
    let now = duration(clock_gettime(ClockId::Boottime))?;
    Some(now.saturating_sub(Duration::from_millis(started_ms)))
}

fn duration(time: rustix::time::Timespec) -> Option<Duration> {
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_of_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let before = read_process(Some(dir.path()));
        let files: Vec<_> = (0..20)
            .map(|_| fs::File::open("/proc/self/stat").unwrap())
            .collect();
        let ballast = vec![1_u8; 32 << 20];
        let after = read_process(Some(dir.path()));
        assert!(after.open_files.unwrap() >= before.open_files.unwrap() + files.len() as u64 / 2);
        assert!(after.memory_used_bytes.unwrap() >= before.memory_used_bytes.unwrap() + (16 << 20));
        assert!(after.memory_total_bytes.unwrap() > after.memory_used_bytes.unwrap());
        assert!(after.disk_total_bytes.unwrap() >= after.disk_used_bytes.unwrap());
        assert!(after.uptime.unwrap() < Duration::from_secs(86_400));
        assert!(cpu_time().unwrap() > Duration::ZERO);
        assert!(read_process(None).disk_total_bytes.is_none());
        drop(ballast);
    }
}
