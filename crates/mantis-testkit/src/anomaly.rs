//! The anomalies that isolation levels are told apart by, each as a script of interleaved steps that is
//! played through a door, by one thread. An anomaly is shown when what was answered is proof of it.

pub mod played;
pub mod script;
pub mod scripts;
mod stage;

use std::fmt;

use mantis_types::Isolation;

use crate::door::{Door, Refusal};
use script::Script;
use scripts::SCRIPTS;
pub use stage::play;

/// What each script showed at each level.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

/// A script at all levels.
#[derive(Clone, Debug)]
struct Row {
    script: Script,
    cells: Vec<Cell>,
}

/// A script at a level.
#[derive(Clone, Copy, Debug)]
struct Cell {
    level: Isolation,
    shown: bool,
    /// How many of its transactions committed.
    committed: usize,
}

impl Cell {
    fn finding(&self, script: &Script) -> Option<String> {
        let level = self.level;
        if self.shown != script.is_allowed(level) {
            return Some(format!("{} at {level}: {}", script.name, word(self.shown)));
        }
        // Who refuses everything prevents everything.
        let nobody = self.committed == 0;
        nobody.then(|| format!("{} at {level}: nobody committed", script.name))
    }
}

impl Table {
    /// Plays every script at every level; the store may be in use before and afterwards.
    ///
    /// # Errors
    /// A refusal that no script accounts for.
    pub fn of(door: &dyn Door) -> Result<Self, Refusal> {
        let mut table = Self::default();
        for script in SCRIPTS {
            let cells = Isolation::ALL.map(|level| {
                let prefix = format!("{}-{level}", table.rows.len());
                let played = play(door, level, &prefix, &script.interleaved())?;
                Ok(Cell {
                    level,
                    shown: (script.shows)(&played),
                    committed: played.committed_count(),
                })
            });
            let cells = cells.into_iter().collect::<Result<_, Refusal>>()?;
            table.rows.push(Row { script, cells });
        }
        Ok(table)
    }

    /// Whether this script showed its anomaly at this level; `None` when there is no such script.
    #[must_use]
    pub fn shown(&self, script: &str, level: Isolation) -> Option<bool> {
        let row = self.rows.iter().find(|row| row.script.name == script)?;
        let cell = row.cells.iter().find(|cell| cell.level == level)?;
        Some(cell.shown)
    }

    /// What is not as it must be: shown and not allowed, allowed and not shown, nobody committed.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for Row { script, cells } in &self.rows {
            findings.extend(cells.iter().filter_map(|cell| cell.finding(script)));
        }
        findings
    }
}

const fn word(shown: bool) -> &'static str {
    if shown { "SHOWN" } else { "prevented" }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24}", "")?;
        for level in Isolation::ALL {
            write!(f, "{:17}", level.as_str())?;
        }
        for Row { script, cells } in &self.rows {
            write!(f, "\n{:24}", script.name)?;
            for cell in cells {
                write!(f, "{:17}", word(cell.shown))?;
            }
        }
        Ok(())
    }
}
