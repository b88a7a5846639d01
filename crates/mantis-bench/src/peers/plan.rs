//! What a row is: the work, the stores that do it, and the goals that hang on it.

use crate::report::{Goal, Row};
use crate::store::Contender;

/// One row.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) work: Work,
    pub(super) contenders: &'static [Contender],
    pub(super) goals: &'static [Goal],
}

/// How many threads work. A row with several numbers has a line for each.
pub(super) type Threads = &'static [u64];

/// What is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Puts of new keys, in order or not.
    Put { ordered: bool, threads: Threads },
    /// Random puts, each of them synced.
    Durable { writers: Threads },
    /// Gets of random keys.
    Get { from: Place, threads: Threads },
    /// 100 rows from a random key on.
    Scan { from: Place, threads: Threads },
    /// A workload of the Yahoo! Cloud Serving Benchmark.
    Ycsb { mix: Mix, threads: Threads },
    /// Gets of random keys beside so many puts a second.
    Paced { puts: u64 },
    /// More data than memory.
    Large,
}

/// Where what is read stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the memtable, no more than fits into one.
    Memtable,
    /// In merged tables; no row cache.
    Tables,
    /// In merged tables, keys by Zipf 0.99, with a row cache for a tenth of the data.
    Hot,
    /// In merged tables, with the caches as a budget divides them.
    Budget,
    /// In tables, with little memory: flushes and compactions are always under way.
    Flushing,
}

/// What a mixed workload consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Half gets, half puts.
    A,
    /// 95 % gets, 5 % puts.
    B,
    /// Gets.
    C,
    /// 95 % scans of 1 to 100 rows, 5 % new keys.
    E,
    /// Half gets, half gets followed by a put of the same key.
    F,
}

impl Work {
    pub(super) const fn wants_new_stores(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Durable { .. })
    }

    /// Where the stores of the row must have their data; `None` when it makes its own stores.
    pub(super) const fn place(&self) -> Option<Place> {
        match self {
            Self::Get { from, .. } | Self::Scan { from, .. } => Some(*from),
            Self::Ycsb { .. } => Some(Place::Budget),
            Self::Paced { .. } => Some(Place::Flushing),
            Self::Put { .. } | Self::Durable { .. } | Self::Large => None,
        }
    }

    pub(super) const fn threads(&self) -> Threads {
        match self {
            Self::Put { threads, .. }
            | Self::Durable { writers: threads }
            | Self::Get { threads, .. }
            | Self::Scan { threads, .. }
            | Self::Ycsb { threads, .. } => threads,
            Self::Paced { .. } | Self::Large => &[1],
        }
    }

    /// Whether two rows can be measured on the same loaded stores.
    pub(super) fn shares_stores_with(&self, other: &Self) -> bool {
        self.place().is_some() && self.place() == other.place()
    }
}

impl Plan {
    /// The stores that can be measured here.
    pub(super) fn present(&self) -> impl Iterator<Item = Contender> {
        let all = self.contenders.iter().copied();
        all.filter(|contender| contender.missing().is_none())
    }

    /// The name of a line.
    pub(super) fn label(&self, contender: Contender, threads: u64) -> String {
        match self.work.threads() {
            [_] => contender.to_string(),
            _ => format!("{contender} x{threads}"),
        }
    }

    /// The row without figures; says which stores are missing.
    pub(super) fn row(&self) -> Row {
        self.row_as(self.id, self.title)
    }

    /// The same under another name.
    pub(super) fn row_as(&self, id: &str, title: &str) -> Row {
        let mut row = Row::new(id, title);
        for contender in self.contenders {
            if let Some(why) = contender.missing() {
                row.note_missing(&contender.to_string(), why);
            }
        }
        row
    }
}
