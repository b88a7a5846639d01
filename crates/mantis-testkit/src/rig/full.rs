//! Disk full: the store lives on a tmpfs that is too small, then grows. Writes must be refused with
//! the right word, reads go on, everything acknowledged stays, and writing resumes by itself.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::child::Binary;
use super::heard::{Heard, Stop};
use super::mount::SizedTmpfs;
use super::script::Script;
use super::specimen::{PATIENCE, Specimen, Tally};
use super::target::TargetKind;
use super::writing::Part;

const REFUSALS_WANTED: u64 = 100;
const ACKS_WANTED: u64 = 200;
const FULL_SPAN: Duration = Duration::from_millis(700);

/// One run on a disk that fills.
#[derive(Clone, Debug)]
pub struct DiskFull {
    /// The rig's binary.
    pub binary: Binary,
    /// What is written to.
    pub target: TargetKind,
    /// Everything random follows from it.
    pub seed: u64,
    /// Size of the disk at first, in MiB.
    pub small_mb: u64,
    /// Size of the disk later, in MiB.
    pub large_mb: u64,
    /// How long writing may take to resume.
    pub patience: Duration,
}

impl DiskFull {
    /// Runs on a tmpfs at `at`.
    ///
    /// # Errors
    /// When a child or the mount fails.
    pub fn run(&self, at: &Path) -> Result<Tally> {
        let mut tally = Tally {
            rounds: 1,
            ..Tally::default()
        };
        let disk = SizedTmpfs::create(at, self.small_mb)?;
        let script = Script {
            writers: 4,
            keys: 2000,
            value_bytes_max: 8000,
            large_percent: 4,
            ..Script::mixed(self.seed)
        };
        let mut specimen = Specimen::new(disk.path().join("store"), self.target, script);
        let mut writing = specimen.writing(&[Part::Run]);
        writing.persist = true;
        let child = self.binary.write(&writing)?;
        let refusals = |heard: &Heard| heard.refused.values().sum::<u64>();
        if !child.wait_until(PATIENCE, |heard| refusals(heard) >= REFUSALS_WANTED) {
            tally.find("a full disk refused nothing");
        }
        // It must bear being full for a while: retries of flushes must not make it worse.
        child.let_run(FULL_SPAN);
        tally.count(
            "acks before the disk was larger",
            child.heard(Heard::acks_count),
        );
        disk.resize(self.large_mb)?;
        let before = child.heard(Heard::acks_count);
        let resumed = child.wait_until(self.patience, |heard| {
            heard.acks_count() >= before + ACKS_WANTED
        });
        if !resumed {
            tally.find("writes did not resume when space returned");
        }
        let ended = child.finish_by_kill()?;
        // A write under which the disk fills up is undecided, and says so.
        let right = ["disk_full", "timeout"];
        let wrong = |code: &&String| !right.contains(&code.as_str());
        for code in ended.ear.refused.keys().filter(wrong) {
            tally.find(format!("a full disk was called {code}"));
        }
        for note in ended.ear.notes.iter().take(3) {
            tally.count(&format!("note {note}"), 1);
        }
        let promise = ended.ear.promise(&script, Stop::Process);
        specimen.examine(&self.binary, &ended, &promise, true, &mut tally)?;
        Ok(tally)
    }
}
