//! Kills amid retried writes: whatever was cut off is sent again in the next life, and in the end each
//! write must have taken effect once, and have been answered the same each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::child::{Binary, Ended};
use super::once_child::{COUNTERS, Retold, counter};
use super::specimen::{PATIENCE, Tally};
use crate::dice::Dice;

/// So many answers must be heard before a kill.
const ANSWERS_MIN: usize = 40;
/// After so many kills the counters are read, and a new store begun.
const KILLS_PER_STORE: u64 = 20;
/// So many writes that were answered are sent again in the next life.
const REPEATED: usize = 3;
/// Kills, each after enough answers, in the tally.
pub const ONCE_KILLS: &str = "kills amid retried writes";
/// Writes that were on their way at a kill, in the tally.
pub const CUT_OFF: &str = "writes cut off";
/// Those of them that had taken effect, and were answered from what was stored.
pub const CUT_OFF_DONE: &str = "of these done";
/// Answers that were stored ones, in the tally.
pub const REPLAYED: &str = "stored answers";

/// Writes that took effect once more than they should, in the tally.
pub const DOUBLES: &str = "doubles";

/// What is killed, and how often.
#[derive(Clone, Debug)]
pub struct OnceKills {
    /// The rig's binary.
    pub binary: Binary,
    /// How many kills.
    pub kills: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Whether the requests have keys; the control has none.
    pub keyed: bool,
}

/// A store with all that was heard of it.
#[derive(Default)]
struct Past {
    /// The next new write.
    next: u64,
    /// What each was answered.
    answered: BTreeMap<u64, i64>,
    /// Sent and not answered.
    open: BTreeSet<u64>,
}

impl OnceKills {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn run(&self, dir: &Path) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut dice = Dice::at(self.seed, &[23]);
        while tally.rounds < self.kills {
            let store = dir.join(format!("store-{}", tally.rounds));
            let kills = KILLS_PER_STORE.min(self.kills - tally.rounds);
            let mut past = Past::default();
            for _ in 0..kills {
                self.round(&store, &mut past, &mut dice, &mut tally)?;
            }
            self.settle(&store, &mut past, &mut tally)?;
        }
        Ok(tally)
    }

    fn words(&self, again: &[u64], first: Option<u64>) -> Vec<String> {
        let again: Vec<String> = again.iter().map(u64::to_string).collect();
        let mut words = vec!["retrier".to_owned()];
        words.extend((!again.is_empty()).then(|| format!("--again={}", again.join(","))));
        words.extend(first.map(|first| format!("--first={first}")));
        words.extend(self.keyed.then(|| "--keyed".to_owned()));
        words
    }

    fn round(&self, dir: &Path, past: &mut Past, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        tally.rounds += 1;
        let mut again: Vec<u64> = past.open.iter().copied().collect();
        let answered: Vec<u64> = past.answered.keys().copied().collect();
        let drawn = (0..REPEATED).filter_map(|_| answered.get(dice.index(answered.len().max(1))));
        again.extend(drawn);
        let words = self.words(&again, Some(past.next));
        let child = self.binary.start::<Retold>(&words, dir)?;
        let enough = child.wait_until(PATIENCE, |heard| heard.done.len() >= ANSWERS_MIN);
        child.let_run(Duration::from_micros(dice.below(40_000)));
        let ended = child.finish_by_kill()?;
        match enough {
            true => tally.count(ONCE_KILLS, 1),
            false => tally.find(format!("fewer than {ANSWERS_MIN} answers")),
        }
        past.take(ended, tally);
        tally.count(CUT_OFF, u64::try_from(past.open.len())?);
        Ok(())
    }

    /// Sends what is open, and compares the counters with all that was sent.
    fn settle(&self, dir: &Path, past: &mut Past, tally: &mut Tally) -> Result<()> {
        let again: Vec<u64> = past.open.iter().copied().collect();
        let child = self
            .binary
            .start::<Retold>(&self.words(&again, None), dir)?;
        let counters = past.take(child.finish(PATIENCE)?, tally);
        for write in &past.open {
            tally.find(format!("write {write} was never answered"));
        }
        for number in 0..COUNTERS {
            let own = past.answered.iter();
            let mut values: Vec<i64> = own
                .filter(|(write, _)| counter(**write) == number)
                .map(|(_, value)| *value)
                .collect();
            values.sort_unstable();
            let count = i64::try_from(values.len())?;
            tally.promised += u64::try_from(values.len())?;
            let stands = counters.get(&number).copied().unwrap_or(-1);
            if stands != count {
                tally.find(format!(
                    "counter {number} is {stands} after {count} writes that add one"
                ));
                tally.lost += u64::try_from(count - stands).unwrap_or(0);
                tally.count(DOUBLES, u64::try_from(stands - count).unwrap_or(0));
            }
            if !values.iter().copied().eq(1..=count) {
                tally.find(format!(
                    "the answers of counter {number} are not 1 to {count}, each once"
                ));
            }
        }
        Ok(())
    }
}

impl Past {
    /// Takes what was heard of a life; answers the counters, if it said them.
    fn take(&mut self, ended: Ended<Retold>, tally: &mut Tally) -> BTreeMap<u64, i64> {
        if let Some(crash) = ended.crash() {
            tally.find(format!("the child crashed: {crash}"));
        }
        let heard = ended.ear;
        for text in heard.violations {
            tally.find(text);
        }
        let cut_off = std::mem::take(&mut self.open);
        self.open = heard.begun.union(&cut_off).copied().collect();
        self.next = heard
            .begun
            .iter()
            .map(|write| write + 1)
            .fold(self.next, u64::max);
        let mut all_stored = BTreeMap::new();
        for (write, value, is_replayed) in heard.done {
            tally.acks += 1;
            tally.count(REPLAYED, u64::from(is_replayed));
            *all_stored.entry(write).or_insert(true) &= is_replayed;
            self.open.remove(&write);
            let said = *self.answered.entry(write).or_insert(value);
            if said != value {
                tally.find(format!("write {write} was answered {said} and {value}"));
            }
        }
        let done_before = cut_off
            .iter()
            .filter(|write| all_stored.get(write) == Some(&true));
        let done_before = u64::try_from(done_before.count()).unwrap_or(u64::MAX);
        tally.count(CUT_OFF_DONE, done_before);
        heard.counters
    }
}
