//! The simple store passes at every level; with a bug it is caught.

use mantis_env::Env;
use mantis_testkit::door::naive::{Bug, Naive};
use mantis_testkit::history::client::Habits;
use mantis_testkit::history::plan::Mix;
use mantis_testkit::history::run::{Outcome, Run};
use mantis_types::Isolation;

use crate::setting;

fn run(bug: Option<Bug>, level: Option<Isolation>, habits: Habits) -> Outcome {
    let seed = setting::seed("history");
    let run = Run {
        mix: Mix::contended(seed, level).with_faults(),
        clients: 6,
        process: 0,
        habits,
        transactions: 2000,
    };
    let outcome = run.perform(&Naive::new(&Env::real(), bug));
    println!("{level:?} {bug:?}: {outcome}");
    outcome
}

#[test]
fn the_simple_store_is_valid_at_every_level_and_with_all_mixed() {
    for level in Isolation::ALL.map(Some).into_iter().chain([None]) {
        let outcome = run(None, level, Habits::default());
        assert!(outcome.is_right(), "{level:?}");
        assert!(outcome.seen.committed > 200, "{level:?}");
    }
}

#[test]
fn blind_clients_are_rejected() {
    let habits = Habits {
        blind: true,
        ..Habits::default()
    };
    for level in Isolation::ALL {
        assert!(!run(None, Some(level), habits).is_right(), "{level}");
    }
}

#[test]
fn every_bug_is_caught() {
    let serializable = [Bug::NoReadCheck, Bug::NoRangeCheck];
    for bug in Bug::ALL {
        let level = match bug {
            Bug::NoLocks => Isolation::ReadCommitted,
            bug if serializable.contains(&bug) => Isolation::Serializable,
            _ => Isolation::Snapshot,
        };
        assert!(
            !run(Some(bug), Some(level), Habits::default()).is_right(),
            "{bug:?}"
        );
    }
}
