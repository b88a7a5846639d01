//! The parts of the rig as one campaign: each with its controls in the same run, a report at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::calibration::Calibration;
use super::cap::{CappedLoad, MemoryCap};
use super::child::Binary;
use super::control::ControlKind;
use super::flip::{Aim, FlipSweep};
use super::full::DiskFull;
use super::interleave;
use super::kill::KillLoop;
use super::mount::{LoopExt4, SizedTmpfs};
use super::once_kill::OnceKills;
use super::power::PowerCuts;
use super::probe;
use super::report::Report;
use super::script::Script;
use super::sim;
use super::specimen::Tally;
use super::sweep::{Activity, Fault, Reach, Sweep};
use super::target::{StoreSize, TargetKind};
use super::txn_child::Through;
use super::txn_kill::TxnKills;
use crate::door::half::Fault as DoorFault;
use crate::door::kind::DoorKind;
use crate::history::run::Outcome;
use crate::history::sweep::Sweep as Histories;

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

/// How much of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many points over all activities.
    Short(usize),
    /// One activity, to its end.
    End(Activity),
}

const STORE: TargetKind = TargetKind::Store(StoreSize::Default);
const SMALL: TargetKind = TargetKind::Store(StoreSize::Small);
const FSYNC: TargetKind = TargetKind::Control(ControlKind::Fsync);
const CONTROL_KILLS: u64 = 12;
/// Each of these finds something.
const BROKEN_KILLS: u64 = 4;
const CONTROL_POINTS: usize = 30;
const CONTROL_FLIPS: u64 = 40;
/// Three of four flips of a file without checksums meet values that were overwritten: so many that
/// all of them do so once in ten thousand million runs.
const CONTROL_FLIPS_NO_SUM: u64 = 80;
/// Batches of which the sweep's control can leave half, at least.
const SPLITS_MIN: usize = 3;
const CONTROL_SEEDS: u64 = 20;
const CONTROL_TRACES: u64 = 3;
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
        let broken = |kind| run(TargetKind::Control(kind), BROKEN_KILLS, false);
        let fsync = run(FSYNC, CONTROL_KILLS, false)?;
        let ack_first = broken(ControlKind::AckFirst)?;
        let half = broken(ControlKind::HalfBatch)?;
        let calibrated = Calibration::of_kill(&fsync, &ack_first, &half);
        let sync = run(STORE, kills - kills / 4, false)?;
        let mixed = run(STORE, kills / 4, true)?;
        let right = sync.is_right() && mixed.is_right();
        Ok(Report::new("kill", &calibrated, right)
            .store("store, class sync", &sync)
            .store("store, mixed classes", &mixed)
            .control("that syncs", &fsync)
            .control("that acknowledges first", &ack_first)
            .control("that splits batches", &half))
    }

    /// Kills amid transactions of several keys.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn txn_kill(&self, kills: u64) -> Result<Report> {
        let run = |through, kills| {
            let (binary, seed) = (self.binary.clone(), self.seed);
            let rig = TxnKills {
                binary,
                kills,
                seed,
                through,
            };
            rig.run(&self.fresh("txn-kill")?)
        };
        let split = run(Through::Broken(DoorFault::Split), BROKEN_KILLS)?;
        let forget = run(Through::Broken(DoorFault::Forget), BROKEN_KILLS)?;
        let doors = u64::try_from(DoorKind::ON_DISK.len())?;
        let each = |kind| anyhow::Ok((kind, run(Through::Right(kind), kills.div_ceil(doors))?));
        let tallies: Vec<(DoorKind, Tally)> = DoorKind::ON_DISK
            .into_iter()
            .map(each)
            .collect::<Result<_>>()?;
        let right = tallies.iter().all(|(_, tally)| tally.is_right());
        let calibrated = Calibration::of_txn_kill(&split, &forget);
        let report = Report::new("txn-kill", &calibrated, right);
        let report = tallies.iter().fold(report, |report, (kind, tally)| {
            report.store(&format!("store, through {}", kind.word()), tally)
        });
        Ok(report
            .control("that writes transactions in two parts", &split)
            .control("that forgets transactions", &forget))
    }

    /// Kills amid writes that are retried under a key, after its control.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn once_kill(&self, kills: u64) -> Result<Report> {
        let run = |keyed, kills| {
            let (binary, seed) = (self.binary.clone(), self.seed);
            let rig = OnceKills {
                binary,
                kills,
                seed,
                keyed,
            };
            rig.run(&self.fresh("once-kill")?)
        };
        let keyless = run(false, BROKEN_KILLS)?;
        let store = run(true, kills)?;
        let calibrated = Calibration::of_once_kill(&keyless);
        Ok(Report::new("once-kill", &calibrated, store.is_right())
            .store("store", &store)
            .control("without keys", &keyless))
    }

    /// Histories of so many transactions, through every door at every level.
    ///
    /// # Errors
    /// When a store does not open.
    pub fn histories(&self, transactions: u64) -> Result<Report> {
        let histories = Histories {
            seed: self.seed,
            transactions,
        };
        let controls = histories.controls()?;
        let mut tallies = DoorKind::ALL.map(|kind| (kind, Tally::default()));
        let dir = self.fresh("histories")?;
        histories.perform(&dir, |kind, level, outcome| {
            for (_, tally) in tallies.iter_mut().filter(|(own, _)| *own == kind) {
                let level = level.map_or("all levels", |level| level.as_str());
                outcome.add_to(tally, &format!("seed {}, {level}", self.seed));
            }
        })?;
        let right = tallies.iter().all(|(_, tally)| tally.is_right());
        let report = Report::new("histories", &Calibration::of_histories(&controls), right);
        let report = tallies.iter().fold(report, |report, (kind, tally)| {
            report.store(&format!("store, through {}", kind.word()), tally)
        });
        let rejected = |outcome: &Outcome| u64::from(!outcome.is_right());
        let [snapshot, serializable] = &controls.undetected;
        Ok(report.figures(
            "control, histories",
            [
                ("of blind clients, rejected", rejected(&controls.blind)),
                ("undetected at snapshot, rejected", rejected(snapshot)),
                (
                    "undetected at serializable, rejected",
                    rejected(serializable),
                ),
                ("of the simple store, rejected", rejected(&controls.simple)),
            ],
        ))
    }

    /// Interleaved transactions on simulated machines, one for each seed.
    #[must_use]
    pub fn interleaved(&self, seeds: u64) -> Report {
        let store = interleave::sweep(self.seed, seeds);
        let blind = interleave::blindness_caught(self.seed, CONTROL_SEEDS);
        let lies = interleave::lies_caught(self.seed, CONTROL_SEEDS);
        let repeated = interleave::traces_repeated(self.seed, CONTROL_TRACES);
        let calibrated = Calibration::of_interleaved(
            (blind, CONTROL_SEEDS),
            (lies, CONTROL_SEEDS),
            (repeated, CONTROL_TRACES),
        );
        let total = &store.total;
        let figures = [
            ("seeds", store.seeds),
            (
                "wrong",
                u64::try_from(store.findings.len()).unwrap_or(u64::MAX),
            ),
            ("begun", total.begun),
            ("committed", total.committed),
            ("conflicts", total.conflicts),
            ("refused for nothing", total.cautious),
            ("locked", total.locked),
            ("commits outside", total.outside),
            ("crashes", total.crashes),
            ("kills", total.kills),
            ("closes", total.closes),
            ("failures", total.failures),
            ("torn away", total.torn_away),
        ];
        Report::new("interleaved", &calibrated, store.findings.is_empty())
            .figures("store", figures)
            .finding(&store.findings)
            .figures(
                "control, interleaved",
                [
                    ("seeds", CONTROL_SEEDS),
                    ("no conflict detection, caught", blind),
                    ("lying disk, caught", lies),
                    ("the same seed twice, same trace", repeated),
                ],
            )
    }

    /// Power cuts.
    ///
    /// # Errors
    /// When a child or a mount fails.
    pub fn power(&self, cuts: u64) -> Result<Report> {
        if let Err(reason) = LoopExt4::probe(&self.fresh("probe")?) {
            return Ok(Report::skipped("power", &reason));
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
        let calibrated = Calibration::of_power(&tally);
        Ok(Report::new("power", &calibrated, tally.target.is_right())
            .store("store", &tally.target)
            .control("that syncs", &tally.fsync)
            .control("that does not sync", &tally.nosync))
    }

    /// The syscall sweep with kills, over all activities or to the end of one.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn syscalls(&self, extent: Extent) -> Result<Report> {
        if let Err(reason) = probe::strace() {
            return Ok(Report::skipped("syscalls", &reason));
        }
        let fsync = self.sweep(FSYNC, Fault::Kill, Extent::Short(CONTROL_POINTS))?;
        let split = self.split_batches()?;
        let store = self.sweep(SMALL, Fault::Kill, extent)?;
        let calibrated = Calibration::of_syscalls(&fsync, &split);
        let right = store.is_right() && store.counted("hit") > 0;
        Ok(Report::new("syscalls", &calibrated, right)
            .store("store", &store)
            .control("that syncs", &fsync)
            .control("that splits batches", &split))
    }

    /// Errors of syncs and full disks at the Nth call, over all activities or to the end of one.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn faults(&self, extent: Extent) -> Result<Report> {
        if let Err(reason) = probe::strace() {
            return Ok(Report::skipped("faults", &reason));
        }
        let control = |kind| {
            let target = TargetKind::Control(kind);
            self.sweep(target, Fault::SyncError, Extent::Short(CONTROL_POINTS))
        };
        let fsync = control(ControlKind::Fsync)?;
        let again = control(ControlKind::SyncAgain)?;
        let go_on = control(ControlKind::GoOn)?;
        let half = match extent {
            Extent::Short(points) => Extent::Short(points.div_ceil(2)),
            end @ Extent::End(_) => end,
        };
        let eio = self.sweep(SMALL, Fault::SyncError, half)?;
        let enospc = self.sweep(SMALL, Fault::NoSpace, half)?;
        let calibrated = Calibration::of_faults(&fsync, &again, &go_on);
        let right = eio.is_right() && enospc.is_right() && eio.counted("hit") > 0;
        Ok(Report::new("faults", &calibrated, right)
            .store("store, syncs fail", &eio)
            .store("store, no space", &enospc)
            .control("that stops", &fsync)
            .control("that syncs again", &again)
            .control("that goes on", &go_on))
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
                aim: Aim::Anywhere,
                seed,
            }
            .run(&self.fresh("flip")?)
        };
        let nosum = run(
            TargetKind::Control(ControlKind::NoSum),
            CONTROL_FLIPS_NO_SUM,
        )?;
        let lenient = run(FSYNC, CONTROL_FLIPS)?;
        let store = run(SMALL, flips)?;
        let calibrated = Calibration::of_flip(&nosum, &lenient);
        Ok(Report::new("flip", &calibrated, store.findings.is_empty())
            .flips("store", &store)
            .flipped_control("without checksums", &nosum)
            .flipped_control("that takes rot for a torn tail", &lenient))
    }

    /// A full disk that grows.
    ///
    /// # Errors
    /// When a child or a mount fails.
    pub fn full(&self) -> Result<Report> {
        if let Err(reason) = SizedTmpfs::probe(&self.fresh("probe")?) {
            return Ok(Report::skipped("full", &reason));
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
        let right = small.is_right() && tight.is_right();
        Ok(Report::new("full", &Calibration::of_full(&control), right)
            .store("store", &small)
            .store("store without a reserve", &tight)
            .control("that never recovers", &control))
    }

    /// A memory cap.
    ///
    /// # Errors
    /// When a child or a control group fails.
    pub fn cap(&self, steps: u64) -> Result<Report> {
        if let Err(reason) = MemoryCap::probe() {
            return Ok(Report::skipped("cap", &reason));
        }
        let over = MemoryCap::bears(&self.binary, &self.dir, 100, 200)?;
        let below = MemoryCap::bears(&self.binary, &self.dir, 100, 20)?;
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
        let calibrated = Calibration::of_cap(over, below);
        Ok(Report::new("cap", &calibrated, store.is_right())
            .store("store", &store)
            .figures(
                "control, eaters under a cap of 100 MiB",
                [
                    ("of 200 MiB alive", u64::from(over)),
                    ("of 20 MiB alive", u64::from(below)),
                ],
            ))
    }

    /// Simulated machines, one for each seed.
    #[must_use]
    pub fn sim(&self, seeds: u64) -> Report {
        let store = sim::sweep(self.seed, seeds);
        let caught = sim::lies_caught(self.seed, CONTROL_SEEDS);
        let repeated = sim::traces_repeated(self.seed, CONTROL_TRACES);
        let calibrated = Calibration::of_sim((caught, CONTROL_SEEDS), (repeated, CONTROL_TRACES));
        let total = &store.total;
        let wrong = u64::try_from(store.findings.len()).unwrap_or(u64::MAX);
        let figures = [
            ("seeds", store.seeds),
            ("wrong", wrong),
            ("commits", total.commits),
            ("promised", total.promised),
            ("crashes", total.crashes),
            ("kills", total.kills),
            ("closes", total.closes),
            ("sync failures", total.sync_failures),
            ("refused", total.refused),
            ("torn away", total.torn_away),
        ];
        Report::new("sim", &calibrated, store.findings.is_empty())
            .figures("store", figures)
            .finding(&store.findings)
            .figures(
                "control, a disk that lies about syncs",
                [("seeds", CONTROL_SEEDS), ("caught", caught)],
            )
            .figures(
                "control, the same seed twice",
                [("seeds", CONTROL_TRACES), ("same trace", repeated)],
            )
    }

    /// The control of kills at system calls, at all of its writes: only some of them stand within a
    /// batch, and a seed is taken by which there are some.
    fn split_batches(&self) -> Result<Tally> {
        let rig = Sweep {
            binary: self.binary.clone(),
            target: TargetKind::Control(ControlKind::SplitBatch),
            fault: Fault::Kill,
            activities: vec![Activity::Commit],
            only: Some("write"),
            reach: Reach::Points(usize::MAX),
            seed: Sweep::seed_with_splits(self.seed, SPLITS_MIN),
        };
        rig.run(&self.fresh("sweep")?)
    }

    fn sweep(&self, target: TargetKind, fault: Fault, extent: Extent) -> Result<Tally> {
        let (activities, reach) = match extent {
            Extent::End(activity) => (vec![activity], Reach::End),
            Extent::Short(points) if target.is_store() => {
                (Activity::ALL.to_vec(), Reach::Points(points))
            }
            // A control has no flushes; its commits are what calibrates.
            Extent::Short(points) => {
                let activities = vec![Activity::Create, Activity::Commit];
                (activities, Reach::Points(points))
            }
        };
        let (binary, seed) = (self.binary.clone(), self.seed);
        let rig = Sweep {
            binary,
            target,
            fault,
            activities,
            only: None,
            reach,
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
