//! Histories through every door, at every level and with all levels mixed; and the controls that must
//! be rejected.

use std::path::Path;

use anyhow::{Result, anyhow};
use mantis_env::Env;
use mantis_types::{Durability, Isolation};

use super::client::Habits;
use super::plan::Mix;
use super::run::{Outcome, Run};
use crate::door::kind::DoorKind;
use crate::door::naive::Naive;
use crate::door::store::StoreDoor;

/// Clients at a time.
const CLIENTS: u64 = 6;
/// Transactions of a control: some hundred conflicts, of which one is enough.
const CONTROL_TRANSACTIONS: u64 = 2000;
/// The levels, and all of them mixed.
const LEVELS: [Option<Isolation>; 5] = [
    Some(Isolation::ReadCommitted),
    Some(Isolation::RepeatableRead),
    Some(Isolation::Snapshot),
    Some(Isolation::Serializable),
    None,
];

/// Histories of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Everything that is drawn follows from it.
    pub seed: u64,
    /// How many transactions, over all doors and levels.
    pub transactions: u64,
}

/// What the controls came to.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// The simple store, which is right.
    pub simple: Outcome,
    /// Clients that read outside of their transactions, over the store.
    pub blind: Outcome,
    /// The store without conflict detection, at snapshot and serializable.
    pub undetected: [Outcome; 2],
}

impl Sweep {
    /// Runs and judges all; `each` gets what came of a door at a level.
    ///
    /// # Errors
    /// When a store does not open or close.
    pub fn perform(
        &self,
        dir: &Path,
        mut each: impl FnMut(DoorKind, Option<Isolation>, &Outcome),
    ) -> Result<()> {
        let parts = u64::try_from(DoorKind::ALL.len() * LEVELS.len())?;
        for kind in DoorKind::ALL {
            for (place, level) in LEVELS.into_iter().enumerate() {
                let dir = dir.join(format!("{}-{place}", kind.word()));
                std::fs::create_dir_all(&dir)?;
                let door = kind.open(&Env::real(), &dir)?;
                let run = Run {
                    transactions: self.transactions.div_ceil(parts),
                    habits: Habits {
                        durability: kind.durability(),
                        blind: false,
                    },
                    ..self.run(level)
                };
                each(kind, level, &run.perform(&*door));
                let closed = door.close();
                closed.map_err(|refusal| anyhow!("not closed: {}", refusal.text))?;
            }
        }
        Ok(())
    }

    /// Runs and judges the controls.
    ///
    /// # Errors
    /// When a store does not open.
    pub fn controls(&self) -> Result<Controls> {
        let env = Env::real();
        let simple = self.run(None).perform(&Naive::new(&env, None));
        let blind = Run {
            habits: Habits {
                blind: true,
                ..Habits::default()
            },
            ..self.run(Some(Isolation::Snapshot))
        };
        let undetected = |level| {
            let door = StoreDoor::in_memory(&env)?;
            door.store().without_conflict_detection();
            anyhow::Ok(self.run(Some(level)).perform(&door))
        };
        Ok(Controls {
            simple,
            blind: blind.perform(&StoreDoor::in_memory(&env)?),
            undetected: [
                undetected(Isolation::Snapshot)?,
                undetected(Isolation::Serializable)?,
            ],
        })
    }

    const fn run(&self, level: Option<Isolation>) -> Run {
        Run {
            mix: Mix::contended(self.seed, level).with_faults(),
            clients: CLIENTS,
            process: 0,
            habits: Habits {
                durability: Durability::Sync,
                blind: false,
            },
            transactions: CONTROL_TRANSACTIONS,
        }
    }
}
