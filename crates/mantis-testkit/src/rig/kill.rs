//! The kill loop: `SIGKILL` at random moments, in flushes and compactions, and while opening.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::child::Binary;
use super::heard::{Heard, Stop};
use super::reading::Reading;
use super::script::Script;
use super::specimen::{PATIENCE, Specimen, Tally};
use super::target::TargetKind;
use super::writing::Part;
use crate::dice::Dice;

/// After so many kills a new store is begun, so that creation is killed, too.
const KILLS_PER_STORE: u64 = 25;
/// So many acknowledgements must be heard before a kill counts.
pub(super) const ACKS_MIN: u64 = 100;
/// Kills after `ACKS_MIN`, in the tally.
pub const KILLS: &str = "kills after 100 acks";
/// Those of [`KILLS`] that met a flush or a compaction, in the tally.
pub const BUSY_KILLS: &str = "of these in a flush or a compaction";

/// What is killed, and how often.
#[derive(Clone, Debug)]
pub struct KillLoop {
    /// The rig's binary.
    pub binary: Binary,
    /// How many kills after enough acknowledgements. Kills while opening come on top.
    pub kills: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// What is written to; a store changes between default and small options.
    pub target: TargetKind,
    /// What is written.
    pub script: Script,
}

impl KillLoop {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn run(&self, dir: &Path) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut dice = Dice::at(self.seed, &[1]);
        let mut stores = 0;
        let mut specimen: Option<Specimen> = None;
        // A child that never says enough is a finding; it must not make this go on for ever.
        let rounds_max = self.kills.saturating_mul(2) + KILLS_PER_STORE;
        while tally.counted(KILLS) < self.kills && tally.rounds < rounds_max {
            let fresh = tally.rounds.is_multiple_of(KILLS_PER_STORE);
            let mut current = match specimen.take().filter(|_| !fresh) {
                Some(current) => current,
                None => {
                    stores += 1;
                    Specimen::new(
                        dir.join(format!("store-{stores}")),
                        self.target,
                        self.script,
                    )
                }
            };
            current.resize(&mut dice);
            let usable = self.round(&mut current, &mut dice, &mut tally)?;
            specimen = usable.then_some(current);
        }
        Ok(tally)
    }

    fn round(&self, specimen: &mut Specimen, dice: &mut Dice, tally: &mut Tally) -> Result<bool> {
        tally.rounds += 1;
        let child = self.binary.write(&specimen.writing(&[activity(dice)]))?;
        let early = dice.percent(10);
        if early {
            child.let_run(Duration::from_millis(dice.below(30)));
        } else {
            child.wait_until(PATIENCE, |heard| heard.acks_count() >= ACKS_MIN);
            if self.target.halts() {
                child.wait_until(PATIENCE, |heard| heard.phase.0);
            }
            child.let_run(Duration::from_millis(dice.below(400)));
            if dice.percent(50) {
                let busy = |heard: &Heard| heard.busy() != (false, false);
                child.wait_until(Duration::from_millis(400), busy);
                child.let_run(Duration::from_millis(dice.below(12)));
            }
        }
        let enough = child.heard(Heard::acks_count) >= ACKS_MIN;
        let ended = child.finish_by_kill()?;
        let heard = &ended.ear;
        if !early && !enough {
            tally.find(format!("fewer than {ACKS_MIN} acknowledgements"));
        }
        tally.count("killed while opening", u64::from(!heard.opened));
        let (flush, compact) = heard.busy();
        tally.count(KILLS, u64::from(enough));
        tally.count(BUSY_KILLS, u64::from(enough && (flush || compact)));
        tally.count("killed in a flush", u64::from(flush));
        tally.count("killed in a compaction", u64::from(compact));
        tally.count("flushes heard", heard.phases_seen.0);
        tally.count("compactions heard", heard.phases_seen.1);
        if let Some((at, code, text)) = &heard.fatal {
            tally.find(format!(
                "the writer could not go on at {at}: {code}: {text}"
            ));
        }
        if dice.percent(15) {
            // Recovery is killed as well; the next one must cope with what it left.
            let (dir, target) = (specimen.dir.clone(), specimen.target);
            let reader = self.binary.read(&Reading {
                dir,
                target,
                close: true,
            })?;
            reader.let_run(Duration::from_millis(dice.below(25)));
            reader.finish_by_kill()?;
            tally.count("killed while recovering", 1);
        }
        let promise = heard.promise(&specimen.script, Stop::Process);
        specimen.examine(&self.binary, &ended, &promise, dice.percent(30), tally)
    }
}

/// Half of the time with flushes and compactions beside the writers.
pub(super) fn activity(dice: &mut Dice) -> Part {
    if dice.percent(50) {
        Part::Stir
    } else {
        Part::Run
    }
}
