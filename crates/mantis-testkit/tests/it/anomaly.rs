//! The anomaly scripts over the real store and over stores that calibrate them.

mod open;

use mantis_env::Env;
use mantis_testkit::anomaly::scripts::SCRIPTS;
use mantis_testkit::anomaly::{Table, play};
use mantis_testkit::door::Door;
use mantis_testkit::door::kind::DoorKind;
use mantis_testkit::door::naive::{Bug, Naive};
use mantis_testkit::door::store::StoreDoor;
use mantis_types::Isolation;

use crate::setting;
use open::Open;

fn table(door: &dyn Door) -> Table {
    Table::of(door).expect("only conflicts are refused")
}

#[test]
fn each_level_of_the_store_shows_and_prevents_exactly_what_it_says() {
    let env = Env::real();
    for kind in DoorKind::ALL {
        let dir = setting::dir();
        let door = kind.open(&env, dir.path()).expect("it opens");
        let table = table(&*door);
        println!("through {}\n{table}", kind.word());
        assert_eq!(table.findings(), [""; 0], "{}", kind.word());
        door.close().expect("it closes");
    }
}

#[test]
fn the_simple_store_agrees() {
    let table = table(&Naive::new(&Env::real(), None));
    assert_eq!(table.findings(), [""; 0], "{table}");
}

#[test]
fn in_turn_nothing_is_shown_and_everybody_commits() {
    let door = StoreDoor::in_memory(&Env::real()).expect("it opens");
    for (place, script) in SCRIPTS.iter().enumerate() {
        for level in Isolation::ALL {
            let prefix = format!("{place}-{level}");
            let played = play(&door, level, &prefix, &script.in_turn()).expect("it plays");
            let shown = (script.shows)(&played);
            assert!(played.is_as_written(), "{} at {level}", script.name);
            assert!(!shown, "{} at {level}: {played:?}", script.name);
        }
    }
}

/// Each script can see its anomaly.
#[test]
fn a_store_without_isolation_shows_every_anomaly_at_every_level() {
    let table = table(&Open::default());
    println!("{table}");
    for script in SCRIPTS {
        for level in Isolation::ALL {
            let shown = table.shown(script.name, level);
            assert_eq!(shown, Some(true), "{} at {level}", script.name);
        }
    }
}

#[test]
fn each_bug_is_shown_by_the_scripts_that_are_about_it() {
    use Isolation::{ReadCommitted, Serializable, Snapshot};
    let cases = [
        (Bug::NoWriteCheck, Snapshot, ["P4", "G-single by a write"]),
        (
            Bug::NoReadCheck,
            Serializable,
            ["write skew", "absent keys"],
        ),
        (
            Bug::NoRangeCheck,
            Serializable,
            ["G2", "phantom, absent range"],
        ),
        (Bug::DirtyReads, ReadCommitted, ["G1a", "G1c"]),
        (Bug::TornReads, Snapshot, ["G-single", "PMP"]),
    ];
    for (bug, level, scripts) in cases {
        let table = table(&Naive::new(&Env::real(), Some(bug)));
        for script in scripts {
            assert_eq!(table.shown(script, level), Some(true), "{bug:?} {script}");
        }
    }
}

#[test]
fn without_conflict_detection_the_store_is_caught() {
    let door = StoreDoor::in_memory(&Env::real()).expect("it opens");
    door.store().without_conflict_detection();
    let table = table(&door);
    println!("{table}");
    assert_eq!(table.shown("P4", Isolation::Snapshot), Some(true));
    for script in ["write skew", "G2", "read-only anomaly", "absent keys"] {
        let shown = table.shown(script, Isolation::Serializable);
        assert_eq!(shown, Some(true), "{script}");
    }
}
