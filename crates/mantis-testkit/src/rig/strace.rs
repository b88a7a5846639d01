//! strace: which calls a child makes, and faults injected into them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

/// Calls that change what is on disk, and the acknowledgement itself (`writev`). They are swept.
pub const CHANGING: [&str; 20] = [
    "fsync",
    "fdatasync",
    "sync_file_range",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "write",
    "writev",
    "pwrite64",
    "copy_file_range",
    "openat",
];

/// Calls about files and descriptors that change nothing on disk. Whatever a child calls beyond
/// these and the ones above is reported: the sweep would be blind to it.
const HARMLESS: [&str; 45] = [
    "access",
    "faccessat2",
    "chmod",
    "close",
    "dup",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "execve",
    "fadvise64",
    "fchmod",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "ioctl",
    "lseek",
    "lstat",
    "mmap",
    "munmap",
    "newfstatat",
    "open",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "preadv",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "stat",
    "statfs",
    "statx",
    "unshare",
    "chdir",
    "fchdir",
    "umask",
    "fchmodat",
    "sendfile",
];

/// The words that start a child under strace with `inject`, its trace written to `log`.
#[must_use]
pub fn around(calls: &str, inject: &str, log: &Path) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-f", "-qq"].map(str::to_owned).to_vec();
    // It is faster, but then an injected signal is never delivered (strace 6.1).
    words.extend((!inject.contains(":signal=")).then(|| "--seccomp-bpf".to_owned()));
    words.extend(["-o".to_owned(), log.display().to_string()]);
    words.extend(["-e".to_owned(), format!("trace={calls}")]);
    if !inject.is_empty() {
        words.extend(["-e".to_owned(), format!("inject={inject}")]);
    }
    words
}

/// How often strace says that it injected something.
///
/// # Errors
/// When the trace cannot be read.
pub fn injected(log: &Path) -> Result<usize> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(text
        .lines()
        .filter(|line| line.contains("(INJECTED)"))
        .count())
}

/// What a traced child called.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// For each swept call the ordinals, within a thread, at which it changes something.
    pub points: BTreeMap<String, BTreeSet<u64>>,
    /// Calls that nobody has classified.
    pub unknown: BTreeSet<String>,
}

/// Reads a trace of `%file,%desc`.
///
/// # Errors
/// When the trace cannot be read.
pub fn calls_of(log: &Path) -> Result<Calls> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(calls_in(&text))
}

fn calls_in(text: &str) -> Calls {
    let mut calls = Calls::default();
    let mut ordinals: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, arguments)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        if !CHANGING.contains(&name) {
            if !HARMLESS.contains(&name) {
                calls.unknown.insert(name.to_owned());
            }
            continue;
        }
        let ordinal = ordinals.entry((thread, name)).or_default();
        *ordinal += 1;
        let opens_to_read = name == "openat"
            && !["O_CREAT", "O_RDWR", "O_WRONLY"]
                .iter()
                .any(|flag| arguments.contains(flag));
        if !opens_to_read {
            calls
                .points
                .entry(name.to_owned())
                .or_default()
                .insert(*ordinal);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_gives_the_ordinals_of_changing_calls() {
        let trace = "\
1 openat(AT_FDCWD, \"/lib/x\", O_RDONLY|O_CLOEXEC) = 3
1 openat(AT_FDCWD, \"/d/log\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3
2 fdatasync(3 <unfinished ...>
1 fdatasync(3) = 0
2 <... fdatasync resumed>) = 0
2 fdatasync(3) = -1 EIO (Input/output error) (INJECTED)
1 pread64(3, \"\", 1, 0) = 0
1 frobnicate(3) = 0
";
        let calls = calls_in(trace);
        assert_eq!(calls.points["openat"], BTreeSet::from([2]));
        assert_eq!(calls.points["fdatasync"], BTreeSet::from([1, 2]));
        assert_eq!(calls.points.len(), 2);
        assert_eq!(calls.unknown, BTreeSet::from(["frobnicate".to_owned()]));
    }
}
