//! The parts of the rig as one campaign: each with its controls in the same run, a report at the end.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::cap::{CappedLoad, MemoryCap};
use super::child::Binary;
use super::control::ControlKind;
use super::flip::FlipSweep;
use super::full::DiskFull;
use super::kill::KillLoop;
use super::mount::{LoopExt4, SizedTmpfs};
use super::power::PowerCuts;
use super::probe;
use super::script::Script;
use super::sweep::{Activity, Fault, Sweep};
use super::target::{StoreSize, TargetKind};

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing wrong, and every control failed as it must.
    Passed,
    /// Something is wrong with the store.
    Failed,
    /// A control did not fail as it must, or failed though it must not: the part proves nothing.
    Uncalibrated,
    /// This machine cannot run it.
    Skipped(String),
}

/// The report of one part.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which part.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Its figures.
    pub text: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Skipped(reason) => write!(f, "SKIP {}: {reason}", self.name),
            other => write!(f, "{}: {other:?}\n{}", self.name, self.text.trim_end()),
        }
    }
}

/// Runs parts with the same binary, seed and directory.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The rig's binary.
    pub binary: Binary,
    /// Everything random follows from it.
    pub seed: u64,
    /// Where stores are made.
    pub dir: PathBuf,
}

const STORE: TargetKind = TargetKind::Store(StoreSize::Default);
const SMALL: TargetKind = TargetKind::Store(StoreSize::Small);
const FSYNC: TargetKind = TargetKind::Control(ControlKind::Fsync);
const CONTROL_KILLS: u64 = 12;
const CONTROL_POINTS: usize = 30;
const CONTROL_FLIPS: u64 = 40;
const FULL_MB: u64 = 70;
const FULL_LARGER_MB: u64 = 500;
const CAP_MB: u64 = 200;

impl Campaign {
    /// The kill loop.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn kill(&self, kills: u64) -> Result<Report> {
        let run = |target, kills, mixed_classes| {
            let script = Script {
                mixed_classes,
                ..Script::mixed(self.seed)
            };
            let (binary, seed) = (self.binary.clone(), self.seed);
            let rig = KillLoop {
                binary,
                kills,
                seed,
                target,
                script,
            };
            rig.run(&self.fresh("kill")?)
        };
        let broken = |kind| run(TargetKind::Control(kind), CONTROL_KILLS, false);
        let fsync = run(FSYNC, CONTROL_KILLS, false)?;
        let ack_first = broken(ControlKind::AckFirst)?;
        let split = broken(ControlKind::SplitBatch)?;
        let calibrated = fsync.is_right() && ack_first.lost > 0 && split.findings_count > 0;
        let sync = run(STORE, kills - kills / 4, false)?;
        let mixed = run(STORE, kills / 4, true)?;
        let text = format!(
            "store, class sync: {sync}\nstore, mixed classes: {mixed}\ncontrol that syncs: {}\n\
             control that acknowledges first: {}\ncontrol that splits batches: {}",
            fsync.figures(),
            ack_first.figures(),
            split.figures()
        );
        Ok(report(
            "kill",
            calibrated,
            sync.is_right() && mixed.is_right(),
            text,
        ))
    }

    /// Power cuts.
    ///
    /// # Errors
    /// When a child or a mount fails.
    pub fn power(&self, cuts: u64) -> Result<Report> {
        if let Err(reason) = LoopExt4::probe(&self.fresh("probe")?) {
            return Ok(skipped("power", &reason));
        }
        let script = Script {
            mixed_classes: true,
            ..Script::mixed(self.seed)
        };
        let (binary, seed, target) = (self.binary.clone(), self.seed, Some(STORE));
        let rig = PowerCuts {
            binary,
            cuts,
            seed,
            target,
            script,
        };
        let tally = rig.run(&self.fresh("power")?)?;
        let calibrated = tally.fsync.is_right() && tally.nosync.lost > 0;
        let text = format!(
            "store: {}\ncontrol that syncs: {}\ncontrol that does not: {}",
            tally.target,
            tally.fsync.figures(),
            tally.nosync.figures()
        );
        Ok(report("power", calibrated, tally.target.is_right(), text))
    }

    /// The syscall sweep with kills.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn syscalls(&self, points: usize) -> Result<Report> {
        if let Err(reason) = probe::strace() {
            return Ok(skipped("syscalls", &reason));
        }
        let fsync = self.sweep(FSYNC, Fault::Kill, CONTROL_POINTS)?;
        let split = self.sweep(
            TargetKind::Control(ControlKind::SplitBatch),
            Fault::Kill,
            CONTROL_POINTS,
        )?;
        let store = self.sweep(SMALL, Fault::Kill, points)?;
        let calibrated = fsync.is_right() && split.findings_count > 0;
        let text = format!(
            "store: {store}\ncontrol that syncs: {}\ncontrol that splits batches: {}",
            fsync.figures(),
            split.figures()
        );
        Ok(report(
            "syscalls",
            calibrated,
            store.is_right() && store.counted("hit") > 0,
            text,
        ))
    }

    /// Errors of syncs and full disks at the Nth call.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn faults(&self, points: usize) -> Result<Report> {
        if let Err(reason) = probe::strace() {
            return Ok(skipped("faults", &reason));
        }
        let again = TargetKind::Control(ControlKind::SyncAgain);
        let again = self.sweep(again, Fault::SyncError, CONTROL_POINTS)?;
        let fsync = self.sweep(FSYNC, Fault::SyncError, CONTROL_POINTS)?;
        let eio = self.sweep(SMALL, Fault::SyncError, points.div_ceil(2))?;
        let enospc = self.sweep(SMALL, Fault::NoSpace, points / 2)?;
        let calibrated = again.findings_count > 0 && fsync.is_right();
        let right = eio.is_right() && enospc.is_right() && eio.counted("errors noticed") > 0;
        let text = format!(
            "store, syncs fail: {eio}\nstore, no space: {enospc}\ncontrol that stops: {}\n\
             control that syncs again: {}",
            fsync.figures(),
            again.figures()
        );
        Ok(report("faults", calibrated, right, text))
    }

    /// Bit flips.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn flip(&self, flips: u64) -> Result<Report> {
        let run = |target, flips| {
            let (binary, seed) = (self.binary.clone(), self.seed);
            FlipSweep {
                binary,
                target,
                flips,
                seed,
            }
            .run(&self.fresh("flip")?)
        };
        let nosum = run(TargetKind::Control(ControlKind::NoSum), CONTROL_FLIPS)?;
        let lenient = run(FSYNC, CONTROL_FLIPS)?;
        let store = run(SMALL, flips)?;
        let calibrated = nosum.total().silent > 0 && lenient.total().silent > 0;
        let right = store.findings.is_empty();
        let text = format!(
            "store:\n{store}control without checksums: {:?}\n\
             control that takes rot for a torn tail: {:?}",
            nosum.total(),
            lenient.total()
        );
        Ok(report("flip", calibrated, right, text))
    }

    /// A full disk that grows.
    ///
    /// # Errors
    /// When a child or a mount fails.
    pub fn full(&self) -> Result<Report> {
        if let Err(reason) = SizedTmpfs::probe(&self.fresh("probe")?) {
            return Ok(skipped("full", &reason));
        }
        let run = |target, small_mb, patience| {
            let (binary, seed, large_mb) = (self.binary.clone(), self.seed, FULL_LARGER_MB);
            let rig = DiskFull {
                binary,
                target,
                seed,
                small_mb,
                large_mb,
                patience,
            };
            rig.run(&self.fresh("full")?)
        };
        let control = run(FSYNC, 4, Duration::from_secs(2))?;
        let patience = Duration::from_secs(30);
        let small = run(SMALL, FULL_MB, patience)?;
        let tight = run(TargetKind::Store(StoreSize::Tight), FULL_MB, patience)?;
        let text = format!(
            "store: {small}\nstore without a reserve: {tight}\ncontrol that never recovers: {}",
            control.figures()
        );
        let right = small.is_right() && tight.is_right();
        Ok(report("full", control.findings_count > 0, right, text))
    }

    /// A memory cap.
    ///
    /// # Errors
    /// When a child or a control group fails.
    pub fn cap(&self, steps: u64) -> Result<Report> {
        if let Err(reason) = MemoryCap::probe() {
            return Ok(skipped("cap", &reason));
        }
        let calibrated = !MemoryCap::bears(&self.binary, &self.dir, 100, 200)?
            && MemoryCap::bears(&self.binary, &self.dir, 100, 20)?;
        let (binary, seed) = (self.binary.clone(), self.seed);
        let target = TargetKind::Store(StoreSize::Capped);
        let rig = CappedLoad {
            binary,
            target,
            seed,
            cap_mb: CAP_MB,
            steps,
        };
        let store = rig.run(&self.fresh("cap")?)?;
        Ok(report(
            "cap",
            calibrated,
            store.is_right(),
            format!("store: {store}"),
        ))
    }

    fn sweep(
        &self,
        target: TargetKind,
        fault: Fault,
        points_max: usize,
    ) -> Result<super::specimen::Tally> {
        // A control has no flushes; its commits are what calibrates.
        let activities = if target.is_store() {
            Activity::ALL.to_vec()
        } else {
            vec![Activity::Create, Activity::Commit]
        };
        let (binary, seed) = (self.binary.clone(), self.seed);
        let rig = Sweep {
            binary,
            target,
            fault,
            activities,
            only: None,
            points_max,
            seed,
        };
        rig.run(&self.fresh("sweep")?)
    }

    /// A directory that is not there yet.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let free = |number: &u32| {
            let dir = self.dir.join(format!("{name}-{number}"));
            (!dir.exists()).then_some(dir)
        };
        let dir = (0..u32::MAX)
            .find_map(|number| free(&number))
            .unwrap_or_else(|| self.dir.clone());
        std::fs::create_dir_all(Path::new(&dir))?;
        Ok(dir)
    }
}

fn report(name: &str, calibrated: bool, right: bool, text: String) -> Report {
    let outcome = match (calibrated, right) {
        (_, false) => Outcome::Failed,
        (false, true) => Outcome::Uncalibrated,
        (true, true) => Outcome::Passed,
    };
    Report {
        name: name.to_owned(),
        outcome,
        text,
    }
}

fn skipped(name: &str, reason: &anyhow::Error) -> Report {
    let outcome = Outcome::Skipped(format!("{reason:#}"));
    Report {
        name: name.to_owned(),
        outcome,
        text: String::new(),
    }
}
