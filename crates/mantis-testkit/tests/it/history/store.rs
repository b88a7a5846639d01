//! The real store, through every door, at every level and with all levels mixed.

use mantis_testkit::history::sweep::Sweep;
use mantis_types::Code;

use crate::setting;

fn sweep(transactions: u64) -> Sweep {
    Sweep {
        seed: setting::seed("history"),
        transactions,
    }
}

#[test]
fn every_level_keeps_its_promise() {
    let transactions = setting::size("RIG_HISTORY", 42_000);
    let dir = setting::dir();
    let mut parts = 0;
    let performed = sweep(transactions).perform(dir.path(), |kind, level, outcome| {
        let seen = &outcome.seen;
        println!("{} {level:?}: {outcome}", kind.word());
        assert!(outcome.is_right(), "{} {level:?}", kind.word());
        assert!(seen.committed > seen.all() / 10, "{seen:?}");
        let too_old = seen.refused_with(Code::SnapshotTooOld);
        assert!(too_old < seen.all() / 20, "{seen:?}");
        parts += 1;
    });
    performed.expect("the stores open");
    assert_eq!(parts, 35);
}

#[test]
fn the_controls_are_rejected_and_the_simple_store_is_not() {
    let controls = sweep(0).controls().expect("the stores open");
    assert!(controls.simple.is_right(), "{}", controls.simple);
    assert!(!controls.blind.is_right(), "blind clients");
    for outcome in &controls.undetected {
        assert!(!outcome.is_right(), "{outcome}");
    }
}
