//! The rows of `bench transactions`: what is done, by whom, and the goals that hang on it.

use super::column::Column;
use super::mix::Mix;
use crate::report::Goal;

/// One row.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) work: Work,
    /// Empty where the work knows its own.
    pub(super) columns: &'static [Column],
    /// The column whose rate others are shown over.
    pub(super) base: &'static str,
    pub(super) goals: &'static [Goal],
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Transactions over loaded keys, class interval.
    Mixed { mix: Mix, threads: u64 },
    /// One put of a new key in each transaction, one thread, class none.
    NewKeys,
    /// The same with so many writers, class sync.
    Durable { writers: u64 },
    /// Additions to one counter by so many writers, class sync.
    Counter { writers: u64 },
}

const SNAPSHOT: &str = "mantis snapshot";
const SERIALIZABLE: &str = "mantis serializable";
const PLAIN: &str = "mantis plain";

const OWN: &[Column] = &[Column::Plain, Column::Snapshot, Column::Serializable];

const fn two_and_two(id: &'static str, title: &'static str, threads: u64) -> Plan {
    Plan {
        id,
        title,
        work: Work::Mixed {
            mix: Mix::TwoAndTwo,
            threads,
        },
        columns: &Column::ALL,
        base: "fjall optimistic",
        goals: const {
            &[
                Goal::rate(SNAPSHOT, 2.0, "fjall optimistic"),
                Goal::rate(SNAPSHOT, 1.0, "rocksdb optimistic"),
            ]
        },
    }
}

/// Every row, in the order of the table.
pub(super) const ROWS: &[Plan] = &[
    two_and_two(
        "txn-2r2w-1",
        "2 random reads, 2 random writes, one commit; 1 thread",
        1,
    ),
    two_and_two(
        "txn-2r2w-2",
        "2 random reads, 2 random writes, one commit; 2 threads",
        2,
    ),
    Plan {
        id: "txn-ycsb-a-2",
        title: "YCSB A: half gets, half puts, each a transaction, 2 threads",
        work: Work::Mixed {
            mix: Mix::YcsbA,
            threads: 2,
        },
        columns: OWN,
        base: PLAIN,
        goals: &[Goal::cpu(SERIALIZABLE, 1.3, SNAPSHOT)],
    },
    Plan {
        id: "txn-durable-64",
        title: "durable put, 64 writers, each a transaction of one put, beside plain puts",
        work: Work::Durable { writers: 64 },
        columns: &[Column::Plain, Column::Snapshot],
        base: PLAIN,
        goals: &[Goal::rate(SNAPSHOT, 0.85, PLAIN)],
    },
    Plan {
        id: "txn-counter-64",
        title: "one counter, 64 writers, class sync",
        work: Work::Counter { writers: 64 },
        columns: &[],
        base: "mantis read-modify-write",
        goals: &[
            Goal::rate("mantis increment", 20.0, "mantis read-modify-write"),
            Goal::rate("mantis merge", 20.0, "mantis read-modify-write"),
        ],
    },
    Plan {
        id: "txn-one-put",
        title: "a transaction of one put beside a plain put, class none, 1 thread",
        work: Work::NewKeys,
        columns: OWN,
        base: PLAIN,
        goals: &[
            Goal::cpu(SERIALIZABLE, 2.0, PLAIN),
            Goal::cpu(SNAPSHOT, 2.0, PLAIN),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::super::counter::Way;
    use super::*;

    fn labels(plan: &Plan) -> Vec<String> {
        match plan.work {
            Work::Counter { .. } => Way::ALL.iter().map(Way::to_string).collect(),
            _ => plan.columns.iter().map(Column::to_string).collect(),
        }
    }

    #[test]
    fn rows_have_names_of_their_own_and_goals_over_columns_they_measure() {
        for (index, plan) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.id != plan.id));
            let labels = labels(plan);
            let sides = plan.goals.iter().flat_map(|goal| [goal.subject, goal.base]);
            for side in sides.chain([plan.base]) {
                assert!(labels.iter().any(|l| l == side), "{} {side}", plan.id);
            }
        }
    }
}
