//! Power cuts: ext4 on a loop device is shut down without a flush of its journal, while the store and
//! two control programs write to it. Only what was heard before the cut counts as promised.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::child::Binary;
use super::control::ControlKind;
use super::heard::{Heard, Stop};
use super::kill::activity;
use super::mount::LoopExt4;
use super::script::Script;
use super::specimen::{PATIENCE, Specimen, Tally};
use super::target::TargetKind;
use crate::dice::Dice;

const DISK_MB: u64 = 1500;
/// After so many cuts a new disk and a new store are made.
const CUTS_PER_DISK: u64 = 20;
/// So many acknowledgements of each control are heard before a cut.
const CONTROL_ACKS_MIN: u64 = 5;

/// What is cut, and how often.
#[derive(Clone, Debug)]
pub struct PowerCuts {
    /// The rig's binary.
    pub binary: Binary,
    /// How many cuts.
    pub cuts: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// What is written to beside the controls; `None` for the controls alone.
    pub target: Option<TargetKind>,
    /// What is written.
    pub script: Script,
}

/// What came out, for each of the three that were running.
#[derive(Clone, Debug, Default)]
pub struct PowerTally {
    /// The target; nothing may be lost.
    pub target: Tally,
    /// The control that syncs; nothing may be lost.
    pub fsync: Tally,
    /// The control that never syncs; it must lose.
    pub nosync: Tally,
}

impl PowerCuts {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child or a mount fails.
    pub fn run(&self, dir: &Path) -> Result<PowerTally> {
        let mut tally = PowerTally::default();
        let mut dice = Dice::at(self.seed, &[2]);
        let mut left = self.cuts;
        for number in 0.. {
            if left == 0 {
                break;
            }
            let dir = dir.join(format!("disk-{number}"));
            left -= self.run_disk(&dir, left.min(CUTS_PER_DISK), &mut dice, &mut tally)?;
        }
        Ok(tally)
    }

    /// At most `cuts` cuts of one disk; answers how many there were.
    fn run_disk(
        &self,
        dir: &Path,
        cuts: u64,
        dice: &mut Dice,
        tally: &mut PowerTally,
    ) -> Result<u64> {
        let mut disk = LoopExt4::create(dir, DISK_MB)?;
        let mut specimen = self
            .target
            .map(|t| Specimen::new(disk.path().join("store"), t, self.script));
        for number in 1..=cuts {
            if let Some(specimen) = &mut specimen {
                specimen.resize(dice);
            }
            if !self.cut(&mut disk, specimen.as_mut(), number, dice, tally)? {
                return Ok(number);
            }
        }
        Ok(cuts)
    }

    /// One cut; answers whether the store can be used for another one.
    fn cut(
        &self,
        disk: &mut LoopExt4,
        specimen: Option<&mut Specimen>,
        number: u64,
        dice: &mut Dice,
        tally: &mut PowerTally,
    ) -> Result<bool> {
        let control = |kind: ControlKind| {
            let small = Script {
                writers: 1,
                large_percent: 0,
                ..self.script
            };
            let name = format!("{}-{number}", kind.word());
            Specimen::new(disk.path().join(name), TargetKind::Control(kind), small)
        };
        let (mut fsync, mut nosync) = (control(ControlKind::Fsync), control(ControlKind::NoSync));
        let mut all: Vec<(&mut Specimen, &mut Tally)> = vec![
            (&mut fsync, &mut tally.fsync),
            (&mut nosync, &mut tally.nosync),
        ];
        all.extend(specimen.map(|s| (s, &mut tally.target)));
        let mut children = Vec::new();
        for (specimen, _) in &all {
            children.push(self.binary.write(&specimen.writing(&[activity(dice)]))?);
        }
        let cutter = disk.cutter()?;
        for child in &children {
            child.wait_until(PATIENCE, |heard| heard.opened);
        }
        // Without acknowledgements a control would have nothing to lose or to keep.
        for child in children.iter().take(2) {
            child.wait_until(PATIENCE, |heard| heard.acks_count() >= CONTROL_ACKS_MIN);
        }
        let busy = |heard: &Heard| heard.busy() != (false, false);
        if let Some(child) = children.last() {
            child.let_run(Duration::from_millis(30 + dice.below(300)));
            if dice.percent(50) {
                child.wait_until(Duration::from_millis(300), busy);
                child.let_run(Duration::from_millis(dice.below(12)));
            }
        }
        // An acknowledgement that races with the cut proves nothing: only what is heard by now counts.
        let promises: Vec<_> = all
            .iter()
            .zip(&children)
            .map(|((s, _), child)| child.heard(|heard| heard.promise(&s.script, Stop::Power)))
            .collect();
        let phase = children.last().map(|child| child.heard(Heard::busy));
        cutter.cut()?;
        children.iter_mut().for_each(super::child::Child::kill);
        let mut ended = Vec::new();
        for child in children {
            ended.push(child.finish_by_kill()?);
        }
        disk.replug()?;
        let mut usable = true;
        for (((specimen, tally), ended), promise) in all.into_iter().zip(&ended).zip(&promises) {
            tally.rounds += 1;
            if let Some((flush, compact)) = phase.filter(|_| specimen.target.is_store()) {
                tally.count("cut in a flush", u64::from(flush));
                tally.count("cut in a compaction", u64::from(compact));
            }
            usable &= specimen.examine(&self.binary, ended, promise, dice.percent(30), tally)?
                || !specimen.target.is_store();
        }
        Ok(usable)
    }
}
