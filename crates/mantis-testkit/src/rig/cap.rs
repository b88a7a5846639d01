//! A memory cap: the store loads and reads more data than the control group has memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::child::{Binary, Ended};
use super::heard::{Heard, Stop};
use super::probe::{root, run};
use super::script::Script;
use super::specimen::{PATIENCE, Specimen, Tally};
use super::target::TargetKind;
use super::writing::Part;

const GROUPS_V1: &str = "/sys/fs/cgroup/memory";

/// A memory control group of our own (version 1); removed at the end.
#[derive(Debug)]
pub struct MemoryCap {
    group: PathBuf,
}

impl MemoryCap {
    /// Whether this machine can.
    ///
    /// # Errors
    /// The reason why not.
    pub fn probe() -> Result<()> {
        root()?;
        Self::create("probe", 16 << 20).map(drop)
    }

    /// Makes a group with a limit.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(name: &str, bytes_max: u64) -> Result<Self> {
        let root = Path::new(GROUPS_V1);
        ensure!(
            root.join("memory.limit_in_bytes").exists(),
            "no memory control groups, version 1"
        );
        let group = root.join(format!("mantis-rig-{}-{name}", std::process::id()));
        fs::create_dir(&group).context("making a control group")?;
        let cap = Self { group };
        fs::write(
            cap.group.join("memory.limit_in_bytes"),
            bytes_max.to_string(),
        )?;
        Ok(cap)
    }

    /// Whether a process that uses `eat_mb` lives under a cap of `cap_mb`: the control.
    ///
    /// # Errors
    /// When the child or the group fails.
    pub fn bears(binary: &Binary, dir: &Path, cap_mb: u64, eat_mb: u64) -> Result<bool> {
        let cap = Self::create(&format!("eater-{eat_mb}"), cap_mb << 20)?;
        let words = ["eater".to_owned(), format!("--mb={eat_mb}")];
        let child = cap.within(binary).start::<Heard>(&words, dir)?;
        Ok(child.finish(PATIENCE)?.ear.done)
    }

    /// The binary, started inside the group.
    #[must_use]
    pub fn within(&self, binary: &Binary) -> Binary {
        let procs = self.group.join("cgroup.procs");
        let enter = format!("echo $$ > '{}' && exec \"$@\"", procs.display());
        binary.within(["sh", "-c", &enter, "sh"])
    }

    /// The most that the group ever used, page cache included.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn peak_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(self.group.join("memory.max_usage_in_bytes"))?;
        Ok(text.trim().parse()?)
    }
}

impl Drop for MemoryCap {
    fn drop(&mut self) {
        // Busy only while a process is left in it, which its owner reports.
        drop(run("rmdir", &[&self.group.to_string_lossy()]));
    }
}

/// One load under a cap.
#[derive(Clone, Debug)]
pub struct CappedLoad {
    /// The rig's binary.
    pub binary: Binary,
    /// What is written to.
    pub target: TargetKind,
    /// Everything random follows from it.
    pub seed: u64,
    /// The cap in MiB.
    pub cap_mb: u64,
    /// Steps for each of the eight writers; about 40 KB each.
    pub steps: u64,
}

impl CappedLoad {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child or the group fails.
    pub fn run(&self, dir: &Path) -> Result<Tally> {
        let mut tally = Tally {
            rounds: 1,
            ..Tally::default()
        };
        let cap = MemoryCap::create("load", self.cap_mb << 20)?;
        let binary = cap.within(&self.binary);
        let script = Script {
            keys: 1600,
            value_bytes_max: 80_000,
            large_percent: 2,
            ..Script::mixed(self.seed)
        };
        let mut specimen = Specimen::new(dir.join("store"), self.target, script);
        let plan = [Part::Steps(self.steps), Part::Flush, Part::Compact];
        let ended: Ended<Heard> = binary
            .write(&specimen.writing(&plan))?
            .finish(std::time::Duration::from_secs(400))?;
        tally.count("peak MiB", cap.peak_bytes()? >> 20);
        if !ended.ear.done {
            tally.find(format!(
                "the load did not end: {} {:?}",
                ended.status, ended.ear.fatal
            ));
        }
        let stored: u64 = super::copy::files_below(&specimen.dir)?
            .iter()
            .map(|file| fs::metadata(file).map_or(0, |meta| meta.len()))
            .sum();
        tally.count("stored MiB", stored >> 20);
        let promise = ended.ear.promise(&script, Stop::Process);
        specimen.examine(&binary, &ended, &promise, true, &mut tally)?;
        tally.count("peak MiB after reading", cap.peak_bytes()? >> 20);
        Ok(tally)
    }
}
