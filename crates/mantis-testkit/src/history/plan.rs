//! What a client is going to do: transactions drawn by number, the same for the same seed.
//!
//! Keys are alive for some transactions only: the pool slides forward with the numbers, so that new
//! lists come all the time, absent ones are read, and no list grows without bound.

use std::time::Duration;

use mantis_types::Isolation;

use super::event::Micro;
use crate::dice::Dice;

/// Operations of a transaction.
const STEPS_MAX: u64 = 8;
/// Numbers of one transaction are apart from those of the next one by this.
pub(crate) const VALUES_PER_PLAN: u64 = 64;
/// Keys of a range that is read.
const RANGE_MAX: u64 = 4;

/// Which transactions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Everything else follows from it.
    pub seed: u64,
    /// The level, or all of them mixed.
    pub level: Option<Isolation>,
    /// Lists that are alive at a time.
    pub lists: u64,
    /// Transactions after which one list dies and another one is born.
    pub life: u64,
    /// Transactions in a hundred that their client ends by itself, in one way or another.
    pub given_up_percent: u64,
    /// Transactions in a hundred with too little time.
    pub hurried_percent: u64,
}

impl Mix {
    /// Few lists, many conflicts.
    #[must_use]
    pub const fn contended(seed: u64, level: Option<Isolation>) -> Self {
        Self {
            seed,
            level,
            lists: 8,
            life: 10,
            given_up_percent: 0,
            hurried_percent: 0,
        }
    }

    /// The same, and some clients give up or have no time.
    #[must_use]
    pub const fn with_faults(self) -> Self {
        Self {
            given_up_percent: 10,
            hurried_percent: 10,
            ..self
        }
    }

    /// Transaction `number`.
    #[must_use]
    pub fn plan(&self, number: u64) -> Plan {
        let mut dice = Dice::at(self.seed, &[3, number]);
        let all = Isolation::ALL;
        let drawn = all.get(dice.index(all.len())).copied();
        let level = self.level.or(drawn).unwrap_or_default();
        let read_only = dice.percent(10);
        let mut draw = Draw {
            first_key: number / self.life.max(1),
            lists: self.lists,
            next_value: number * VALUES_PER_PLAN,
        };
        let count = 1 + dice.below(STEPS_MAX);
        let steps: Vec<Step> = (0..count)
            .map(|_| draw.step(&mut dice, read_only))
            .collect();
        let ending = match dice.below(100) {
            roll if roll >= self.given_up_percent => Ending::Commit,
            roll if roll.is_multiple_of(2) => Ending::RollBack,
            _ => Ending::WalkAway,
        };
        let span = dice
            .percent(self.hurried_percent)
            .then(|| Duration::from_micros(dice.below(1500)));
        Plan {
            number,
            level,
            read_only,
            given_up_after: dice.index(steps.len() + 1),
            steps,
            ending,
            span,
        }
    }

    /// The first list that none of the first so many transactions writes.
    #[must_use]
    pub fn lists_end(&self, transactions: u64) -> u64 {
        transactions / self.life.max(1) + self.lists
    }
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its place in the run.
    pub number: u64,
    /// Its level.
    pub level: Isolation,
    /// Whether it says that it writes nothing.
    pub read_only: bool,
    /// Each is a statement.
    pub steps: Vec<Step>,
    /// How it is meant to end.
    pub ending: Ending,
    /// After so many steps, if it does not end by a commit.
    pub given_up_after: usize,
    /// The time that it has.
    pub span: Option<Duration>,
}

/// How a transaction is meant to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its commit.
    Commit,
    /// By its client's word.
    RollBack,
    /// By its client going away.
    WalkAway,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Puts a number behind a list.
    Append {
        /// The list.
        key: u64,
        /// The number.
        value: u64,
        /// Locks it first, though the level does not need it.
        locks: bool,
        /// Removes the list before it is written.
        rewrites: bool,
    },
    /// Reads a list.
    Read(u64),
    /// Reads all lists from the first key to the second one, excluded.
    Range(u64, u64),
    /// Appends that are taken back at once by a savepoint.
    Undone(Vec<(u64, u64)>),
}

impl Plan {
    /// What the history says about it before it begins.
    #[must_use]
    pub fn asked(&self) -> Vec<Micro> {
        let read = |key| Micro::Read { key, list: None };
        let micros = self.steps.iter().flat_map(|step| match step {
            Step::Append { key, value, .. } => vec![Micro::Append {
                key: *key,
                value: *value,
            }],
            Step::Read(key) => vec![read(*key)],
            Step::Range(from, to) => (*from..*to).map(read).collect(),
            Step::Undone(_) => Vec::new(),
        });
        micros.collect()
    }
}

struct Draw {
    first_key: u64,
    lists: u64,
    next_value: u64,
}

impl Draw {
    fn step(&mut self, dice: &mut Dice, read_only: bool) -> Step {
        let roll = dice.below(100);
        match roll {
            0..=49 if !read_only => Step::Append {
                key: self.key(dice),
                value: self.value(),
                locks: dice.percent(15),
                rewrites: dice.percent(10),
            },
            50..=54 if !read_only => {
                let count = 1 + dice.below(3);
                let undone = (0..count).map(|_| (self.key(dice), self.value()));
                Step::Undone(undone.collect())
            }
            0..=69 => {
                let from = self.key(dice);
                Step::Range(from, from + 1 + dice.below(RANGE_MAX))
            }
            _ => Step::Read(self.key(dice)),
        }
    }

    /// Newer lists are drawn more often.
    fn key(&self, dice: &mut Dice) -> u64 {
        let place = dice.below(self.lists).max(dice.below(self.lists));
        self.first_key + place
    }

    fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_number_is_the_same_plan_and_no_number_is_appended_twice() {
        let mix = Mix::contended(5, None).with_faults();
        let mut values = HashSet::new();
        let mut kinds = [0_u32; 4];
        for number in 0..2000 {
            let plan = mix.plan(number);
            assert_eq!(plan, mix.plan(number));
            for step in &plan.steps {
                let (kind, own): (usize, Vec<u64>) = match step {
                    Step::Append { value, .. } => (0, vec![*value]),
                    Step::Read(_) => (1, vec![]),
                    Step::Range(..) => (2, vec![]),
                    Step::Undone(all) => (3, all.iter().map(|(_, value)| *value).collect()),
                };
                kinds[kind] += 1;
                assert!(own.iter().all(|value| values.insert(*value)));
                assert!(own.is_empty() || !plan.read_only);
            }
        }
        assert!(kinds.iter().all(|count| *count > 200), "{kinds:?}");
    }
}
