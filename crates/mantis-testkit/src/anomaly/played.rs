//! What was answered while a script was played.

use std::collections::BTreeMap;

/// Rows of a range.
pub type Rows = BTreeMap<String, i64>;

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its commit was acknowledged.
    Committed,
    /// The script ended it.
    Aborted,
    /// It was refused, with this code.
    Refused(String),
}

/// All answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    pub(super) reads: Vec<(usize, String, Option<i64>)>,
    pub(super) ranges: Vec<(usize, Rows)>,
    pub(super) ends: BTreeMap<usize, End>,
    pub(super) after: Rows,
}

impl Played {
    /// What transaction `who` read of `key`, in order.
    #[must_use]
    pub fn reads(&self, who: usize, key: &str) -> Vec<Option<i64>> {
        let reads = self.reads.iter();
        reads
            .filter(|(by, of, _)| *by == who && of == key)
            .map(|(_, _, value)| *value)
            .collect()
    }

    /// Whether transaction `who` ever read this.
    #[must_use]
    pub fn has_read(&self, who: usize, key: &str, value: i64) -> bool {
        self.reads(who, key).contains(&Some(value))
    }

    /// Whether `who` read one of the first, and later one of the second.
    #[must_use]
    pub fn has_read_then(&self, who: usize, first: &[(&str, i64)], then: &[(&str, i64)]) -> bool {
        let is_one = |set: &[(&str, i64)], key: &str, value: Option<i64>| {
            set.iter().any(|(k, v)| *k == key && Some(*v) == value)
        };
        let mut own = self.reads.iter().filter(|(by, _, _)| *by == who);
        own.any(|(_, key, value)| is_one(first, key, *value))
            && own.any(|(_, key, value)| is_one(then, key, *value))
    }

    /// The ranges that `who` read, in order.
    #[must_use]
    pub fn ranges(&self, who: usize) -> Vec<&Rows> {
        let ranges = self.ranges.iter();
        ranges
            .filter(|(by, _)| *by == who)
            .map(|(_, rows)| rows)
            .collect()
    }

    /// Whether all of these committed.
    #[must_use]
    pub fn committed(&self, who: &[usize]) -> bool {
        who.iter()
            .all(|who| self.ends.get(who) == Some(&End::Committed))
    }

    /// How many committed.
    #[must_use]
    pub fn committed_count(&self) -> usize {
        let ends = self.ends.values();
        ends.filter(|end| **end == End::Committed).count()
    }

    /// Whether everybody ended as the script says.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        let mut ends = self.ends.values();
        ends.all(|end| !matches!(end, End::Refused(_)))
    }

    /// The value of `key` when all had ended.
    #[must_use]
    pub fn after(&self, key: &str) -> Option<i64> {
        self.after.get(key).copied()
    }
}
