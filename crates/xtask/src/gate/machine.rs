//! Where the gate runs: cores, memory, kernel, file system.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine, as far as the results depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    cores: usize,
    memory_mib: u64,
    kernel: String,
    file_system: String,
}

impl Machine {
    /// This one. What cannot be found out is said to be unknown.
    pub(super) fn here(dir: &Path) -> Self {
        let meminfo = read("/proc/meminfo");
        let memory_kib = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        let mut stat = Command::new("stat");
        stat.args(["--file-system", "--format=%T"]).arg(dir);
        let file_system = stat.output().map(|out| out.stdout).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory_kib.unwrap_or(0) >> 10,
            kernel: known(&kernel),
            file_system: known(&String::from_utf8_lossy(&file_system)),
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn known(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { "unknown" } else { text }.to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            memory_mib,
            kernel,
            file_system,
        } = self;
        write!(
            f,
            "{cores} cores, {memory_mib} MiB, Linux {kernel}, {file_system}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_kernel() {
        let here = Machine::here(Path::new("."));
        assert!(here.cores > 0 && here.memory_mib > 0, "{here}");
        assert!(!here.kernel.contains("unknown") && !here.file_system.is_empty());
    }
}
