//! The syscall sweep: the child is killed, or told of an error, at its Nth call of each kind that
//! changes the disk, while it creates a store, commits, flushes, compacts, copies and closes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::child::{Binary, Ended};
use super::control::{ControlKind, can_be_split};
use super::copy::copy_dir;
use super::heard::{Heard, Stop};
use super::script::Script;
use super::specimen::{PATIENCE, ReadBack, Specimen, Tally, read_back};
use super::strace::{Calls, around, calls_of, injected};
use super::target::TargetKind;
use super::writing::{AFTER_THE_END, Part, checkpoint_dir};
use crate::dice::Dice;

/// What a child does while it is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// A store is made.
    Create,
    /// Commits to a store that is there.
    Commit,
    /// Memtables become tables.
    Flush,
    /// Tables are merged.
    Compact,
    /// A copy is made.
    Checkpoint,
    /// The store is closed in good order.
    Close,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Commit,
        Self::Flush,
        Self::Compact,
        Self::Checkpoint,
        Self::Close,
    ];

    /// A word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Commit => "commit",
            Self::Flush => "flush",
            Self::Compact => "compact",
            Self::Checkpoint => "checkpoint",
            Self::Close => "close",
        }
    }

    fn plan(self) -> &'static [Part] {
        match self {
            Self::Create => &[Part::Steps(3)],
            Self::Commit => &[Part::Steps(COMMIT_STEPS)],
            Self::Flush => &[Part::Steps(15), Part::Flush, Part::Steps(5), Part::Flush],
            Self::Compact => &[
                Part::Steps(10),
                Part::Flush,
                Part::Steps(10),
                Part::Flush,
                Part::Compact,
                Part::Steps(5),
            ],
            Self::Checkpoint => &[
                Part::Steps(10),
                Part::Flush,
                Part::Steps(5),
                Part::Checkpoint,
            ],
            Self::Close => &[Part::Steps(10), Part::Close],
        }
    }
}

/// What is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL` at the call.
    Kill,
    /// A sync says `EIO`, once.
    SyncError,
    /// A write, an allocation or a new file says `ENOSPC`, once.
    NoSpace,
}

impl Fault {
    fn meets(self, call: &str) -> bool {
        match self {
            Self::Kill => true,
            Self::SyncError => matches!(call, "fsync" | "fdatasync" | "sync_file_range"),
            // Not `writev`: that is the acknowledgement.
            Self::NoSpace => matches!(
                call,
                "write"
                    | "pwrite64"
                    | "fallocate"
                    | "ftruncate"
                    | "openat"
                    | "mkdir"
                    | "copy_file_range"
            ),
        }
    }

    fn inject(self, call: &str, ordinal: u64) -> String {
        match self {
            Self::Kill => format!("{call}:signal=SIGKILL:when={ordinal}"),
            Self::SyncError => format!("{call}:error=EIO:when={ordinal}"),
            Self::NoSpace => format!("{call}:error=ENOSPC:when={ordinal}"),
        }
    }
}

/// How far a sweep goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At most so many points, spread over activities and calls.
    Points(usize),
    /// Every point, and beyond the last one until no run is hit any more.
    End,
}

/// A call is swept to its end when so many runs in a row, behind every point that was ever seen, are
/// not hit. More than one: threads share the work differently in each run.
const MISSES_TO_END: u64 = 3;
/// Points that are tried behind the last one that was seen.
const BEYOND_MAX: u64 = 300;

/// Steps of each writer while commits are swept, in the epoch behind the template's.
const COMMIT_STEPS: u64 = 25;
const COMMIT_EPOCH: u64 = 1;
/// Seeds that are looked at for one with batches: about every third has three.
const SEEDS_MAX: u64 = 10_000;

/// A sweep over a target.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The rig's binary.
    pub binary: Binary,
    /// What is swept.
    pub target: TargetKind,
    /// What is injected.
    pub fault: Fault,
    /// During what.
    pub activities: Vec<Activity>,
    /// Only this call, if one is named.
    pub only: Option<&'static str>,
    /// How far.
    pub reach: Reach,
    /// Everything random follows from it.
    pub seed: u64,
}

#[derive(Clone, Debug)]
struct Point {
    activity: Activity,
    call: String,
    ordinal: u64,
}

impl Sweep {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn run(&self, dir: &Path) -> Result<Tally> {
        let mut tally = Tally::default();
        let template = self.template(dir)?;
        let mut points = Vec::new();
        for &activity in &self.activities {
            let calls = self.discover(dir, &template, activity)?;
            for name in calls.unknown {
                tally.find(format!("the sweep is blind to the call {name}"));
            }
            let wanted =
                |call: &str| self.fault.meets(call) && self.only.is_none_or(|only| only == call);
            let swept = calls.points.into_iter().filter(|(call, _)| wanted(call));
            points.push(
                swept
                    .map(|(call, ordinals)| (activity, call, ordinals))
                    .collect(),
            );
        }
        if let Reach::Points(points_max) = self.reach {
            let points = self.choose(points, points_max, &mut tally);
            for (number, point) in points.iter().enumerate() {
                let at = dir.join(format!("point-{number}"));
                self.hit(&at, &template, point, &mut tally)?;
            }
            return Ok(tally);
        }
        for (activity, call, ordinals) in points.into_iter().flatten() {
            let at = dir.join(format!("{}-{call}", activity.word()));
            let point = |ordinal| Point {
                activity,
                call: call.clone(),
                ordinal,
            };
            let mut hit = |ordinal: u64, tally: &mut Tally| {
                let at = at.join(ordinal.to_string());
                self.hit(&at, &template, &point(ordinal), tally)
            };
            sweep_to_end(&ordinals, &mut tally, &mut hit)?;
        }
        Ok(tally)
    }

    /// The first seed from `seed` on by which a control that splits batches does so in `count` steps of
    /// its commits, at least.
    #[must_use]
    pub fn seed_with_splits(seed: u64, count: usize) -> u64 {
        let splits = |seed: u64| {
            let script = script(seed, 1);
            let steps = (0..COMMIT_STEPS).map(|index| script.step(COMMIT_EPOCH, 0, index));
            steps.filter(can_be_split).count()
        };
        (0..SEEDS_MAX)
            .map(|n| seed.wrapping_add(n))
            .find(|&seed| splits(seed) >= count)
            .unwrap_or(seed)
    }

    /// Of a control that splits batches there is one writer: its Nth write is the same in each run.
    fn script(&self) -> Script {
        let is_split = self.target == TargetKind::Control(ControlKind::SplitBatch);
        script(self.seed, if is_split { 1 } else { 2 })
    }

    /// A store with some data and tables, closed in good order.
    fn template(&self, dir: &Path) -> Result<Specimen> {
        let at = dir.join("template");
        let mut specimen = Specimen::new(at.join("store"), self.target, self.script());
        fs::create_dir_all(&at)?;
        let plan = [Part::Steps(40), Part::Flush, Part::Steps(10), Part::Close];
        let ended = self
            .binary
            .write(&specimen.writing(&plan))?
            .finish(PATIENCE)?;
        ensure!(
            ended.ear.done,
            "the template was not written: {:?}",
            ended.ear.fatal
        );
        let promise = ended.ear.promise(&specimen.script, Stop::Process);
        let mut tally = Tally::default();
        specimen.examine(&self.binary, &ended, &promise, true, &mut tally)?;
        ensure!(tally.is_right(), "the template is not right: {tally}");
        Ok(specimen)
    }

    /// A copy of the template, or nothing yet when creation is swept.
    fn specimen(&self, at: &Path, template: &Specimen, activity: Activity) -> Result<Specimen> {
        fs::create_dir_all(at)?;
        let dir = at.join("store");
        if activity == Activity::Create {
            return Ok(Specimen::new(dir, self.target, template.script));
        }
        copy_dir(&template.dir, &dir)?;
        Ok(Specimen {
            dir,
            ..template.clone()
        })
    }

    fn discover(&self, dir: &Path, template: &Specimen, activity: Activity) -> Result<Calls> {
        let at = dir.join(format!("discover-{}", activity.word()));
        let specimen = self.specimen(&at, template, activity)?;
        let log = at.join("trace");
        let binary = self.binary.within(around("%file,%desc", "", &log));
        let ended = binary
            .write(&specimen.writing(activity.plan()))?
            .finish(PATIENCE)?;
        let whole = ended.ear.done && ended.ear.failed.is_empty();
        ensure!(whole, "{} under strace: {ended:?}", activity.word());
        let calls = calls_of(&log)?;
        fs::remove_dir_all(&at)?;
        Ok(calls)
    }

    /// Takes turns among activities and calls, so that the rare calls of a flush are not drowned by
    /// the many of the commits.
    fn choose(
        &self,
        found: Vec<Vec<(Activity, String, BTreeSet<u64>)>>,
        points_max: usize,
        tally: &mut Tally,
    ) -> Vec<Point> {
        let mut dice = Dice::at(self.seed, &[3]);
        let mut groups: Vec<Vec<Point>> = Vec::new();
        for (activity, call, ordinals) in found.into_iter().flatten() {
            let name = format!("{} {call} points", activity.word());
            tally.count(&name, u64::try_from(ordinals.len()).unwrap_or(u64::MAX));
            let mut group: Vec<Point> = ordinals
                .into_iter()
                .map(|ordinal| Point {
                    activity,
                    call: call.clone(),
                    ordinal,
                })
                .collect();
            group.sort_by_cached_key(|_| dice.next_u64());
            groups.push(group);
        }
        let mut chosen = Vec::new();
        while chosen.len() < points_max && groups.iter().any(|group| !group.is_empty()) {
            chosen.extend(groups.iter_mut().filter_map(Vec::pop));
        }
        chosen.truncate(points_max);
        chosen
    }

    /// One point; answers whether the run was hit.
    fn hit(
        &self,
        at: &Path,
        template: &Specimen,
        point: &Point,
        tally: &mut Tally,
    ) -> Result<bool> {
        tally.rounds += 1;
        let mut specimen = self.specimen(at, template, point.activity)?;
        let log = at.join("trace");
        let inject = self.fault.inject(&point.call, point.ordinal);
        let binary = self.binary.within(around(&point.call, &inject, &log));
        let ended = binary
            .write(&specimen.writing(point.activity.plan()))?
            .finish(PATIENCE)?;
        let name = format!("{} {inject}", point.activity.word());
        let hit = match self.fault {
            Fault::Kill => !ended.status.success(),
            Fault::SyncError | Fault::NoSpace => injected(&log)? > 0,
        };
        tally.count(if hit { "hit" } else { "not reached" }, 1);
        let before = tally.findings_count;
        self.check_behaviour(&ended, hit, point, tally);
        let promise = ended.ear.promise(&specimen.script, Stop::Process);
        self.check_checkpoint(&specimen, &ended, tally)?;
        specimen.examine(
            &self.binary,
            &ended,
            &promise,
            point.ordinal.is_multiple_of(2),
            tally,
        )?;
        if tally.findings_count == before {
            fs::remove_dir_all(at).with_context(|| format!("removing {}", at.display()))?;
        } else {
            tally.find(format!("the point was: {name}, in {}", at.display()));
        }
        Ok(hit)
    }

    fn check_behaviour(&self, ended: &Ended<Heard>, hit: bool, point: &Point, tally: &mut Tally) {
        let heard = &ended.ear;
        let refused: u64 = heard.refused.values().sum();
        match self.fault {
            Fault::Kill => {
                if let Some((at, code, text)) = &heard.fatal {
                    tally.find(format!("the child could not go on at {at}: {code}: {text}"));
                }
            }
            Fault::SyncError | Fault::NoSpace => {
                check_parts(heard, tally);
                if let Some((at, code, _)) = &heard.fatal {
                    tally.count(&format!("refused at {at}: {code}"), 1);
                }
                if self.fault == Fault::SyncError {
                    let after = |text: &&String| text.contains(AFTER_THE_END);
                    let after = heard.violations.iter().filter(after).count();
                    let after = u64::try_from(after).unwrap_or(u64::MAX);
                    tally.count("acks after a failed sync", after);
                }
                let noticed = refused > 0 || !heard.failed.is_empty() || heard.fatal.is_some();
                // Commits are synced by `fdatasync`. An `fsync` is that of a table, which a flush in
                // the background writes anew, or of a file made ahead.
                let must_notice = self.fault == Fault::SyncError
                    && point.activity == Activity::Commit
                    && point.call == "fdatasync";
                tally.count("errors noticed", u64::from(hit && noticed));
                if hit && must_notice && !noticed {
                    tally.find("a failed sync of a commit went unnoticed");
                }
            }
        }
    }

    /// A copy that was said to be done must hold everything; a half one must not pass for whole.
    fn check_checkpoint(
        &self,
        specimen: &Specimen,
        ended: &Ended<Heard>,
        tally: &mut Tally,
    ) -> Result<()> {
        let dir: PathBuf = checkpoint_dir(&specimen.dir, 1);
        let is_done = ended.ear.ended.iter().any(|part| part == "checkpoint");
        if !is_done && !dir.exists() {
            return Ok(());
        }
        match read_back(&self.binary, &dir, self.target, true)? {
            // What was never finished is made anew when it is opened.
            ReadBack::Whole(contents) if !is_done && contents.is_empty() => {
                tally.count("half checkpoints begun anew", 1);
            }
            ReadBack::Whole(contents) => {
                let promise = ended.ear.promise(&specimen.script, Stop::Process);
                let verdict = specimen
                    .oracle
                    .clone()
                    .judge(&ended.ear, &promise, &contents);
                for finding in &verdict.findings {
                    tally.find(format!("checkpoint: {finding}"));
                }
                tally.count("checkpoints read", 1);
            }
            other if is_done => tally.find(format!("the checkpoint: {other}")),
            ReadBack::Crashed(text) => tally.find(format!("a half checkpoint: {text}")),
            _ => tally.count("half checkpoints refused", 1),
        }
        Ok(())
    }
}

fn script(seed: u64, writers: u32) -> Script {
    Script {
        writers,
        keys: 30,
        large_percent: 3,
        ..Script::mixed(seed)
    }
}

/// What failed is known at once; nobody waits for it until a limit is reached.
fn check_parts(heard: &Heard, tally: &mut Tally) {
    for (what, code) in &heard.failed {
        tally.count(&format!("{what} failed: {code}"), 1);
        if code == "timeout" {
            tally.find(format!("after a fault {what} waited out its time"));
        }
    }
}

/// Every ordinal that was seen, then those behind it until none is reached any more.
fn sweep_to_end(
    seen: &BTreeSet<u64>,
    tally: &mut Tally,
    hit: &mut dyn FnMut(u64, &mut Tally) -> Result<bool>,
) -> Result<()> {
    tally.count("calls swept", 1);
    for &ordinal in seen {
        hit(ordinal, tally)?;
    }
    let last = seen.last().copied().unwrap_or(0);
    let mut misses = 0;
    for ordinal in last + 1..=last + BEYOND_MAX {
        misses = if hit(ordinal, tally)? { 0 } else { misses + 1 };
        if misses == MISSES_TO_END {
            tally.count("calls swept to their end", 1);
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;
    use crate::rig::wire::Line;

    fn findings(fault: Fault, what: &str, code: &str) -> u64 {
        let sweep = Sweep {
            binary: Binary::new("nothing"),
            target: TargetKind::Store(crate::rig::target::StoreSize::Small),
            fault,
            activities: vec![Activity::Flush],
            only: None,
            reach: Reach::End,
            seed: 1,
        };
        let mut ear = Heard::default();
        let (what, code) = (what.to_owned(), code.to_owned());
        ear.take(Line::Failed { what, code });
        let ended = Ended {
            ear,
            status: ExitStatus::from_raw(0),
            complaints: String::new(),
            hung: false,
        };
        let point = Point {
            activity: Activity::Flush,
            call: "pwrite64".to_owned(),
            ordinal: 1,
        };
        let mut tally = Tally::default();
        sweep.check_behaviour(&ended, true, &point, &mut tally);
        tally.findings_count
    }

    #[test]
    fn a_part_that_waits_out_its_time_is_a_finding_and_one_that_is_refused_is_not() {
        for fault in [Fault::NoSpace, Fault::SyncError] {
            assert_eq!(findings(fault, "flush", "timeout"), 1);
            assert_eq!(findings(fault, "flush", "disk_full"), 0);
        }
    }

    /// What a sweep to the end tries, when runs are hit up to an ordinal.
    fn tried(seen: &[u64], hit_to: u64) -> (Vec<u64>, Tally) {
        let (mut tried, mut tally) = (Vec::new(), Tally::default());
        let seen = seen.iter().copied().collect();
        let mut hit = |ordinal, _: &mut Tally| {
            tried.push(ordinal);
            Ok(ordinal <= hit_to)
        };
        sweep_to_end(&seen, &mut tally, &mut hit).unwrap();
        (tried, tally)
    }

    #[test]
    fn a_sweep_goes_on_behind_what_was_seen_until_nothing_is_hit() {
        let (all, tally) = tried(&[2, 4], 4);
        assert_eq!(all, [2, 4, 5, 6, 7]);
        assert_eq!(tally.counted("calls swept to their end"), 1);
        let (all, _) = tried(&[2, 4], 6);
        assert_eq!(all, [2, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn the_seed_of_the_control_has_batches_to_split_and_is_the_first_such_one() {
        let splits = |seed| {
            let script = script(seed, 1);
            let steps = (0..COMMIT_STEPS).map(|index| script.step(COMMIT_EPOCH, 0, index));
            steps.filter(can_be_split).count()
        };
        let without = (0..1000).find(|&seed| splits(seed) == 0).unwrap();
        let taken = Sweep::seed_with_splits(without, 3);
        assert!(splits(taken) >= 3);
        assert!((without..taken).all(|seed| splits(seed) < 3));
        assert_eq!(Sweep::seed_with_splits(taken, 3), taken);
    }

    #[test]
    fn a_call_that_is_always_hit_is_not_swept_to_its_end() {
        let (_, tally) = tried(&[1], u64::MAX);
        assert_eq!(tally.counted("calls swept"), 1);
        assert_eq!(tally.counted("calls swept to their end"), 0);
    }
}
