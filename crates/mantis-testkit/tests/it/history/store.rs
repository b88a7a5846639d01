//! The real store, over both engines, at every level and with all levels mixed.

use mantis_env::Env;
use mantis_testkit::door::store::StoreDoor;
use mantis_testkit::history::client::Habits;
use mantis_testkit::history::plan::Mix;
use mantis_testkit::history::run::{Outcome, Run};
use mantis_types::{Code, Durability, Isolation};

use crate::setting;

/// The engine of a store.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Memory,
    Logged,
    Disk,
}

fn open(kind: Kind, dir: &std::path::Path) -> StoreDoor {
    let env = Env::real();
    match kind {
        Kind::Memory => StoreDoor::in_memory(&env),
        Kind::Logged => StoreDoor::logged(&env, dir),
        Kind::Disk => StoreDoor::on_disk(&env, dir),
    }
    .expect("it opens")
}

fn run(kind: Kind, level: Option<Isolation>, transactions: u64) -> Outcome {
    let seed = setting::seed("history");
    let dir = setting::dir();
    let durability = match kind {
        Kind::Logged => Durability::Sync,
        _ => Durability::None,
    };
    let run = Run {
        mix: Mix::contended(seed, level).with_faults(),
        clients: 6,
        habits: Habits {
            durability,
            ..Habits::default()
        },
        transactions,
    };
    let door = open(kind, dir.path());
    let outcome = run.perform(&door);
    println!("{kind:?} {level:?}: {outcome}; {:?}", door.store().stats());
    outcome
}

#[test]
fn every_level_keeps_its_promise() {
    let transactions = setting::size("RIG_HISTORY", 4000);
    for kind in [Kind::Memory, Kind::Logged, Kind::Disk] {
        for level in Isolation::ALL.map(Some).into_iter().chain([None]) {
            let outcome = run(kind, level, transactions);
            assert!(outcome.is_right(), "{kind:?} {level:?}");
            let seen = &outcome.seen;
            assert!(seen.committed > transactions / 10, "{kind:?} {level:?}");
            let too_old = seen.refused_with(Code::SnapshotTooOld);
            assert!(too_old < transactions / 20, "{kind:?} {level:?}: {too_old}");
        }
    }
}

#[test]
fn without_conflict_detection_it_is_rejected() {
    for level in [Isolation::Snapshot, Isolation::Serializable] {
        let door = StoreDoor::in_memory(&Env::real()).expect("it opens");
        door.store().without_conflict_detection();
        let run = Run {
            mix: Mix::contended(setting::seed("history"), Some(level)),
            clients: 6,
            habits: Habits::default(),
            transactions: 2000,
        };
        assert!(!run.perform(&door).is_right(), "{level}");
    }
}
