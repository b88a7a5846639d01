//! Kills amid transactions of several keys: after each, every transaction must be whole or absent, and
//! there if it was acknowledged; the history of all lives of a store must be valid.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use mantis_env::Env;

use super::child::{Binary, Ended};
use super::specimen::{PATIENCE, Tally};
use super::txn_child::{CLIENTS, Overheard, Through};
use crate::dice::Dice;
use crate::history::account::{Lists, account};
use crate::history::event::{Event, History, Stage};
use crate::history::journal::Recorder;
use crate::history::plan::VALUES_PER_PLAN;
use crate::history::run::{judge_levels, read_all};

/// So many commits must be heard before a kill.
const COMMITS_MIN: u64 = 60;
/// After so many kills the history is judged, and a new store begun.
const KILLS_PER_STORE: u64 = 25;
/// No list has a number beyond.
const LISTS_END: u64 = 9_999_999_999;
/// Kills, each after enough commits, in the tally.
pub const TXN_KILLS: &str = "kills amid transactions";
/// Transactions of several keys that were on their way at a kill, in the tally.
pub const CUT_OFF: &str = "transactions of several keys cut off";
/// Those of them that are there, in the tally.
pub const CUT_OFF_WHOLE: &str = "of these there";

/// What is killed, and how often.
#[derive(Clone, Debug)]
pub struct TxnKills {
    /// The rig's binary.
    pub binary: Binary,
    /// How many kills.
    pub kills: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Through which door.
    pub through: Through,
}

/// A store with all that was heard of it.
#[derive(Default)]
struct Past {
    history: History,
    /// The number of the next transaction.
    next: u64,
    /// The next free process of the history.
    process: u64,
    /// Appends that had to be there at the last look.
    promised: u64,
}

impl TxnKills {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn run(&self, dir: &Path) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut dice = Dice::at(self.seed, &[17]);
        while tally.rounds < self.kills {
            let store = dir.join(format!("store-{}", tally.rounds));
            let kills = KILLS_PER_STORE.min(self.kills - tally.rounds);
            let mut past = Past::default();
            for _ in 0..kills {
                self.round(&store, &mut past, &mut dice, &mut tally)?;
            }
            // Each round has looked at all lives of the store; a promise counts once.
            tally.promised += past.promised;
            for finding in judge_levels(&past.history) {
                tally.find(format!("seed {}: {finding}", self.seed));
            }
        }
        Ok(tally)
    }

    fn round(&self, dir: &Path, past: &mut Past, dice: &mut Dice, tally: &mut Tally) -> Result<()> {
        tally.rounds += 1;
        let words = [
            "transactor".to_owned(),
            format!("--through={}", self.through.word()),
            format!("--seed={}", self.seed),
            format!("--first={}", past.next),
            format!("--process={}", past.process),
        ];
        let child = self.binary.start::<Overheard>(&words, dir)?;
        let enough = child.wait_until(PATIENCE, |heard| match self.through {
            Through::Right(_) => heard.commits >= COMMITS_MIN,
            Through::Broken(_) => heard.halted,
        });
        child.let_run(Duration::from_micros(dice.below(60_000)));
        let ended = child.finish_by_kill()?;
        if enough {
            tally.count(TXN_KILLS, 1);
        } else {
            tally.find(format!("fewer than {COMMITS_MIN} commits"));
        }
        let cut_off = past.take(ended, tally);
        match self.read(dir) {
            Ok((lists, events)) => {
                past.history.events.extend(events);
                let account = account(&past.history, &lists);
                past.promised = account.promised;
                tally.lost += account.lost;
                for finding in account.findings {
                    tally.find(format!(
                        "seed {} round {}: {finding}",
                        self.seed, tally.rounds
                    ));
                }
                let there = cut_off.iter().filter(|event| {
                    let has = |(key, value)| lists.get(&key).is_some_and(|l| l.contains(&value));
                    event.appends().all(has)
                });
                tally.count(CUT_OFF_WHOLE, u64::try_from(there.count())?);
            }
            Err(error) => {
                tally.unopened += 1;
                tally.find(format!("not read after a kill: {error:#}"));
            }
        }
        Ok(())
    }

    /// Opens the store and reads every list, as a transaction of the history.
    fn read(&self, dir: &Path) -> Result<(Lists, Vec<Event>)> {
        let door = self.through.kind().open(&Env::real(), dir)?;
        let recorder = Recorder::default();
        let lists = read_all(&*door, LISTS_END, &recorder);
        let lists = lists.map_err(|refusal| anyhow::anyhow!("{}", refusal.text))?;
        let closed = door.close();
        closed.map_err(|refusal| anyhow::anyhow!("not closed: {}", refusal.text))?;
        Ok((lists, recorder.into_history().events))
    }
}

impl Past {
    /// Takes what was heard of a life; answers the transactions of several keys that were on their way.
    fn take(&mut self, ended: Ended<Overheard>, tally: &mut Tally) -> Vec<Event> {
        if let Some(crash) = ended.crash() {
            tally.find(format!("the child crashed: {crash}"));
        }
        let heard = ended.ear;
        tally.acks += heard.commits;
        for text in heard.violations {
            tally.find(text);
        }
        let of_clients = heard.events.iter().filter(|event| !event.is_ghost());
        self.process = of_clients
            .map(|event| event.process + 1)
            .fold(self.process, u64::max)
            .next_multiple_of(CLIENTS);
        let values = heard.events.iter().flat_map(Event::appends);
        self.next = values
            .map(|(_, value)| value / VALUES_PER_PLAN + 1)
            .fold(self.next, u64::max);
        self.history.events.extend(heard.events);
        let before = self.history.events.len();
        self.history.end();
        let open = self.history.events.iter().skip(before);
        let several = |event: &&Event| {
            let keys: BTreeSet<u64> = event.appends().map(|(key, _)| key).collect();
            event.stage == Stage::Info && keys.len() > 1
        };
        let cut_off: Vec<Event> = open.filter(several).cloned().collect();
        tally.count(CUT_OFF, u64::try_from(cut_off.len()).unwrap_or(u64::MAX));
        cut_off
    }
}
