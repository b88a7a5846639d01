//! The rows of `bench peers`, in their order.

use super::plan::{Mix, Place, Plan, Threads, Work};
use crate::report::Goal;
use crate::store::Contender;

const UNSYNCED: &[Contender] = &[
    Contender::SkipMap,
    Contender::NONE,
    Contender::INTERVAL,
    Contender::Fjall(false),
    Contender::Rocks(false),
];
const SYNCED: &[Contender] = &[
    Contender::RawDisk,
    Contender::SYNC,
    Contender::Fjall(true),
    Contender::Rocks(true),
];
const READ: &[Contender] = &[
    Contender::SkipMap,
    Contender::NONE,
    Contender::Fjall(false),
    Contender::Rocks(false),
];

const SCALED: &[Contender] = &[Contender::SkipMap, Contender::NONE, Contender::Fjall(false)];

const INTERVAL: &str = "mantis interval";
const NONE: &str = "mantis none";
const SYNC: &str = "mantis sync";

const fn put(
    id: &'static str,
    title: &'static str,
    threads: Threads,
    goals: &'static [Goal],
) -> Plan {
    Plan {
        id,
        title,
        work: Work::Put {
            ordered: false,
            threads,
        },
        contenders: UNSYNCED,
        goals,
    }
}

const fn durable(
    id: &'static str,
    title: &'static str,
    writers: Threads,
    goals: &'static [Goal],
) -> Plan {
    Plan {
        id,
        title,
        work: Work::Durable { writers },
        contenders: SYNCED,
        goals,
    }
}

const fn read(id: &'static str, title: &'static str, work: Work, goals: &'static [Goal]) -> Plan {
    Plan {
        id,
        title,
        work,
        contenders: READ,
        goals,
    }
}

const fn ycsb(
    id: &'static str,
    title: &'static str,
    mix: Mix,
    threads: Threads,
    goals: &'static [Goal],
) -> Plan {
    Plan {
        id,
        title,
        work: Work::Ycsb { mix, threads },
        contenders: UNSYNCED,
        goals,
    }
}

const fn get_from(from: Place, threads: Threads) -> Work {
    Work::Get { from, threads }
}

const fn scan_from(from: Place, threads: Threads) -> Work {
    Work::Scan { from, threads }
}

/// Every row, in the order of the table. Rows that can share loaded stores stand together.
pub(super) const ROWS: &[Plan] = &[
    Plan {
        id: "put-ordered-1",
        title: "sequential put, 1 thread",
        work: Work::Put {
            ordered: true,
            threads: &[1],
        },
        contenders: UNSYNCED,
        goals: &[
            Goal::rate(INTERVAL, 4.0, "fjall"),
            Goal::rate(INTERVAL, 4.0, "rocksdb"),
            Goal::rate(NONE, 4.0, "fjall"),
            Goal::rate(NONE, 4.0, "rocksdb"),
        ],
    },
    put(
        "put-random-1",
        "random put, 1 thread",
        &[1],
        &[
            Goal::rate(INTERVAL, 2.3, "fjall"),
            Goal::rate(NONE, 2.3, "fjall"),
            Goal::rate(NONE, 0.5, "skipmap"),
        ],
    ),
    put(
        "put-random-2",
        "random put, 2 threads",
        &[2],
        &[
            Goal::rate(INTERVAL, 3.0, "fjall"),
            Goal::rate(NONE, 3.0, "fjall"),
            Goal::rate(NONE, 0.5, "skipmap"),
        ],
    ),
    put(
        "put-random-8",
        "random put, 8 threads",
        &[8],
        &[
            Goal::rate(INTERVAL, 2.4, "fjall"),
            Goal::rate(INTERVAL, 4.0, "rocksdb"),
            Goal::rate(NONE, 2.4, "fjall"),
            Goal::rate(NONE, 4.0, "rocksdb"),
            Goal::rate(NONE, 0.5, "skipmap"),
        ],
    ),
    Plan {
        id: "scale-put",
        title: "random put, 2 threads over 1",
        work: Work::Put {
            ordered: false,
            threads: &[1, 2],
        },
        contenders: SCALED,
        goals: &[Goal::rate("mantis none x2", 1.15, "mantis none x1")],
    },
    durable(
        "durable-1",
        "durable put, 1 writer",
        &[1],
        &[Goal::rate(SYNC, 0.7, "append+fdatasync")],
    ),
    durable(
        "durable-8",
        "durable put, 8 writers",
        &[8],
        &[Goal::rate(SYNC, 2.5, "append+fdatasync")],
    ),
    durable(
        "durable-64",
        "durable put, 64 writers",
        &[64],
        &[
            Goal::rate(SYNC, 10.0, "append+fdatasync"),
            Goal::rate(SYNC, 1.5, "rocksdb sync"),
        ],
    ),
    read(
        "get-memtable-1",
        "get from the memtable, 1 thread",
        get_from(Place::Memtable, &[1]),
        &[Goal::rate(NONE, 0.75, "skipmap")],
    ),
    read(
        "get-memtable-2",
        "get from the memtable, 2 threads",
        get_from(Place::Memtable, &[2]),
        &[Goal::rate(NONE, 0.75, "skipmap")],
    ),
    read(
        "scan-memtable-1",
        "scan of 100 in the memtable, 1 thread",
        scan_from(Place::Memtable, &[1]),
        &[Goal::rate(NONE, 1.0, "fjall")],
    ),
    Plan {
        id: "scale-get-memtable",
        title: "get from the memtable, 2 threads over 1",
        work: get_from(Place::Memtable, &[1, 2]),
        contenders: SCALED,
        goals: &[Goal::rate("mantis none x2", 1.8, "mantis none x1")],
    },
    read(
        "get-tables-1",
        "get from tables, no row cache, 1 thread",
        get_from(Place::Tables, &[1]),
        &[
            Goal::rate(NONE, 1.0, "fjall"),
            Goal::rate(NONE, 0.9, "rocksdb"),
        ],
    ),
    read(
        "get-tables-2",
        "get from tables, no row cache, 2 threads",
        get_from(Place::Tables, &[2]),
        &[
            Goal::rate(NONE, 1.0, "fjall"),
            Goal::rate(NONE, 0.9, "rocksdb"),
        ],
    ),
    read(
        "scan-tables-1",
        "scan of 100 in tables, 1 thread",
        scan_from(Place::Tables, &[1]),
        &[Goal::rate(NONE, 1.0, "fjall")],
    ),
    read(
        "scan-tables-2",
        "scan of 100 in tables, 2 threads",
        scan_from(Place::Tables, &[2]),
        &[Goal::rate(NONE, 1.0, "fjall")],
    ),
    Plan {
        id: "scale-get-tables",
        title: "get from tables, 2 threads over 1",
        work: get_from(Place::Tables, &[1, 2]),
        contenders: SCALED,
        goals: &[Goal::rate("mantis none x2", 1.8, "mantis none x1")],
    },
    read(
        "get-hot-1",
        "get of hot keys, row cache for 10 % of the data, 1 thread",
        get_from(Place::Hot, &[1]),
        &[Goal::rate(NONE, 2.0, "fjall")],
    ),
    read(
        "get-hot-2",
        "get of hot keys, row cache for 10 % of the data, 2 threads",
        get_from(Place::Hot, &[2]),
        &[Goal::rate(NONE, 2.0, "fjall")],
    ),
    read(
        "get-budget-1",
        "get of any key, caches as the budget divides them, 1 thread",
        get_from(Place::Budget, &[1]),
        &[],
    ),
    ycsb(
        "ycsb-a-2",
        "YCSB A: half gets, half puts, 2 threads",
        Mix::A,
        &[2],
        &[
            Goal::rate(INTERVAL, 2.0, "fjall"),
            Goal::rate(NONE, 2.0, "fjall"),
        ],
    ),
    ycsb(
        "ycsb-a-8",
        "YCSB A: half gets, half puts, 8 threads",
        Mix::A,
        &[8],
        &[
            Goal::rate(INTERVAL, 2.0, "fjall"),
            Goal::rate(NONE, 2.0, "fjall"),
        ],
    ),
    ycsb(
        "ycsb-b-2",
        "YCSB B: 95 % gets, 5 % puts, 2 threads",
        Mix::B,
        &[2],
        &[],
    ),
    ycsb("ycsb-c-2", "YCSB C: gets, 2 threads", Mix::C, &[2], &[]),
    ycsb(
        "ycsb-e-2",
        "YCSB E: 95 % scans, 5 % new keys, 2 threads",
        Mix::E,
        &[2],
        &[],
    ),
    ycsb(
        "ycsb-f-2",
        "YCSB F: half gets, half read-modify-write, 2 threads",
        Mix::F,
        &[2],
        &[],
    ),
    Plan {
        id: "commit-cost",
        title: "a commit of one put, class none, beside a put of the engine alone",
        work: Work::Put {
            ordered: false,
            threads: &[1],
        },
        contenders: &[Contender::Plain, Contender::NONE],
        goals: &[Goal::cpu(NONE, 2.0, "plain engine")],
    },
    Plan {
        id: "worst-get",
        title: "get of any key beside 20,000 puts a second, flushes and compactions",
        work: Work::Paced { puts: 20_000 },
        contenders: &[
            Contender::INTERVAL,
            Contender::Fjall(false),
            Contender::Rocks(false),
        ],
        goals: &[Goal::worst(INTERVAL, 0.5, "fjall")],
    },
    Plan {
        id: "large",
        title: "more data than memory",
        work: Work::Large,
        contenders: &[
            Contender::INTERVAL,
            Contender::Fjall(false),
            Contender::Rocks(false),
        ],
        goals: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own_and_goals_over_stores_they_measure() {
        for (index, plan) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.id != plan.id));
            let threads = plan.work.threads().iter();
            let labels: Vec<_> = threads
                .flat_map(|threads| plan.contenders.iter().map(|c| plan.label(*c, *threads)))
                .collect();
            let sides = plan.goals.iter().flat_map(|goal| [goal.subject, goal.base]);
            sides.for_each(|side| assert!(labels.iter().any(|l| l == side), "{} {side}", plan.id));
        }
    }

    #[test]
    fn rows_that_share_loaded_stores_stand_together() {
        let places: Vec<_> = ROWS.iter().filter_map(|plan| plan.work.place()).collect();
        let groups = places.chunk_by(|one, other| one == other).count();
        assert_eq!(groups, 5);
    }
}
