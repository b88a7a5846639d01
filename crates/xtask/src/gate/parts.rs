//! The table of what the gate runs: each part's size, slices, sources, needs and how it is run.

use crate::steps::{CI, GATE, Step};

use super::judge::{self, Judge};

/// One part of the gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// As the table and the command line name it.
    pub(super) name: &'static str,
    /// What its size counts.
    pub(super) unit: &'static str,
    /// How many units make it whole, unless `--size` says otherwise.
    pub(super) size: u64,
    /// So many units are run, added up and stored at a time.
    pub(super) slice: u64,
    /// Paths whose contents it exercises: a change of them makes its results void.
    pub(super) sources: Sources,
    /// What must be there, in the words of `needs.rs`.
    pub(super) needs: &'static [&'static str],
    /// How a slice is run.
    pub(super) how: How,
    /// What the sums must show beside the absence of failures.
    pub(super) judge: Judge,
    /// One sentence for the page.
    pub(super) about: &'static str,
}

/// How a slice of a part is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// The rig's program with `--FLAG UNITS`.
    Rig(&'static str),
    /// The rig's program with `--FLAG NUMBER`, one number a slice.
    RigNumbered(&'static str),
    /// libFuzzer over the targets of `fuzz/`, round robin.
    Fuzz,
    /// Steps of the runner.
    Steps(&'static [Step]),
    /// One step of the runner; its size and seed are given in these variables.
    Sized {
        step: &'static Step,
        size: &'static str,
        seed: &'static str,
    },
}

impl Part {
    /// What it exercises, as paths for git.
    pub(super) fn paths(&self) -> Vec<&'static str> {
        self.sources.concat()
    }
}

/// Lists of paths, as git takes them.
type Sources = &'static [&'static [&'static str]];

/// The crates of the store, and of the rig.
const STORE_CRATES: &[&str] = &[
    "crates/mantis-types",
    "crates/mantis-env",
    "crates/mantis-log",
    "crates/mantis-engine",
    "crates/mantis-txn",
    "crates/mantis-kv",
    "crates/mantis-session",
    "crates/mantis-testkit",
    "Cargo.lock",
];

/// What all parts of the rig stand on.
const STORE: Sources = &[STORE_CRATES];

/// What goes through the Rust API and REST as well.
const DOORS: Sources = &[STORE_CRATES, &["crates/mantis-http", "crates/mantisdb"]];

/// Less than [`STORE`]: CPU-hours of fuzzing stay valid while the layers above the log change.
const FUZZED: Sources = &[&[
    "crates/mantis-types",
    "crates/mantis-env",
    "crates/mantis-log",
    "crates/mantis-testkit/src/fuzz.rs",
    "crates/mantis-testkit/src/fuzz",
    "fuzz",
]];

/// All that is tracked, but for the page that the gate itself writes.
const ALL: Sources = &[&[".", ":(exclude)docs/reliability.md"]];

const MODEL: Step = Step {
    name: "model",
    command: "cargo test --package mantis-testkit --release --test it --no-fail-fast -- model:: --show-output",
    env: &[],
    needs: &[],
};

const PROTOCOLS: Step = Step {
    name: "protocols",
    command: "cargo test --package mantis-engine --package mantis-txn --release --lib --no-fail-fast -- model:: --show-output",
    env: &[],
    needs: &[],
};

/// Every part, in the order in which they run and stand in the table.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "ci",
        unit: "runs",
        size: 1,
        slice: 1,
        sources: ALL,
        needs: &["tool:git"],
        how: How::Steps(CI),
        judge: judge::tests,
        about: "everything that CI runs for each commit",
    },
    Part {
        name: "test-release",
        unit: "runs",
        size: 1,
        slice: 1,
        sources: ALL,
        needs: &[],
        how: How::Steps(GATE),
        judge: judge::tests,
        about: "all tests in a release build",
    },
    Part {
        name: "kill",
        unit: "kills",
        size: 1000,
        slice: 100,
        sources: STORE,
        needs: &[],
        how: How::Rig("kill"),
        judge: judge::kill,
        about: "SIGKILL after at least 100 acknowledgements, in flushes and compactions, while opening and while recovering",
    },
    Part {
        name: "power",
        unit: "cuts",
        size: 300,
        slice: 20,
        sources: STORE,
        needs: &["root", "loop", "tool:mkfs.ext4"],
        how: How::Rig("power"),
        judge: judge::power,
        about: "ext4 on a loop device is shut down without a flush of its journal",
    },
    Part {
        name: "syscalls",
        unit: "activities",
        size: 6,
        slice: 1,
        sources: STORE,
        needs: &["ptrace"],
        how: How::RigNumbered("syscalls-of"),
        judge: judge::syscalls,
        about: "SIGKILL at every Nth call of every system call that changes the disk, until none is reached any more",
    },
    Part {
        name: "faults",
        unit: "activities",
        size: 6,
        slice: 1,
        sources: STORE,
        needs: &["ptrace"],
        how: How::RigNumbered("faults-of"),
        judge: judge::faults,
        about: "EIO at every Nth sync and ENOSPC at every Nth call that takes room, until none is reached any more",
    },
    Part {
        name: "flip",
        unit: "flips",
        size: 5000,
        slice: 250,
        sources: STORE,
        needs: &[],
        how: How::Rig("flip"),
        judge: judge::flip,
        about: "one bit of one file is turned, then all of it is read and compared",
    },
    Part {
        name: "full",
        unit: "runs",
        size: 3,
        slice: 1,
        sources: STORE,
        needs: &["root"],
        how: How::Rig("full"),
        judge: judge::full,
        about: "a disk that fills up, stays full for a while and grows again",
    },
    Part {
        name: "cap",
        unit: "steps",
        size: 2000,
        slice: 2000,
        sources: STORE,
        needs: &["root"],
        how: How::Rig("cap"),
        judge: judge::cap,
        about: "more data than the control group has memory, loaded and read back",
    },
    Part {
        name: "sim",
        unit: "seeds",
        size: 100_000,
        slice: 5000,
        sources: STORE,
        needs: &[],
        how: How::Rig("sim"),
        judge: judge::sim,
        about: "log, commit pipeline and memory engine on a machine made of software, with failing disks, kills and power cuts",
    },
    Part {
        name: "histories",
        unit: "transactions",
        size: 1_000_000,
        slice: 70_000,
        sources: DOORS,
        needs: &[],
        how: How::Rig("histories"),
        judge: judge::histories,
        about: "list-append transactions of many clients through the transaction layer, the Rust API and REST, over memory and tables, at each level and with all mixed, judged by what the level forbids",
    },
    Part {
        name: "txn-kill",
        unit: "kills",
        size: 1000,
        slice: 100,
        sources: DOORS,
        needs: &[],
        how: How::Rig("txn-kill"),
        judge: judge::txn_kill,
        about: "SIGKILL amid transactions of several keys through the transaction layer, the Rust API and REST: each is whole or absent, and the history of all lives is valid",
    },
    Part {
        name: "once-kill",
        unit: "kills",
        size: 1000,
        slice: 100,
        sources: DOORS,
        needs: &[],
        how: How::Rig("once-kill"),
        judge: judge::once_kill,
        about: "SIGKILL of a server amid writes that clients send several times at once under one Idempotency-Key, and again afterwards: each takes effect once and is answered the same each time",
    },
    Part {
        name: "interleaved",
        unit: "seeds",
        size: 20_000,
        slice: 1000,
        sources: STORE,
        needs: &[],
        how: How::Rig("interleaved"),
        judge: judge::interleaved,
        about: "up to sixteen transactions of all levels in one thread, each answer predicted by a model, with failing disks, kills and power cuts",
    },
    Part {
        name: "model",
        unit: "cases",
        size: 5000,
        slice: 1000,
        sources: STORE,
        needs: &[],
        how: How::Sized {
            step: &MODEL,
            size: "RIG_MODEL_CASES",
            seed: "RIG_SEED",
        },
        judge: judge::tests,
        about: "every answer of the key-value calls against an ordered map; a tenth as many cases on the disk",
    },
    Part {
        name: "protocols",
        unit: "schedules",
        size: 200_000,
        slice: 20_000,
        sources: STORE,
        needs: &[],
        how: How::Sized {
            step: &PROTOCOLS,
            size: "MANTIS_SCHEDULES",
            seed: "SHUTTLE_RANDOM_SEED",
        },
        judge: judge::tests,
        about: "models of publication, conflict notes, row locks, sealing and snapshots under so many schedules of two kinds for each scene, and all mutants",
    },
    Part {
        name: "fuzz",
        unit: "CPU-s",
        size: 7200,
        slice: 60,
        sources: FUZZED,
        needs: &[],
        how: How::Fuzz,
        judge: judge::fuzz,
        about: "libFuzzer over the codecs and the recovery of the log",
    },
];
