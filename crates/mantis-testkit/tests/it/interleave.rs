//! Interleaved transactions on a simulated machine, with their controls.

use mantis_testkit::rig::interleave::{blindness_caught, lies_caught, sweep, traces_repeated};

use crate::setting;

/// Among so many seeds there is also what is rare.
const RARE_SEEDS: u64 = 400;

#[test]
fn every_answer_of_interleaved_transactions_is_as_predicted() {
    let first = setting::seed("interleaved");
    let seeds = setting::size("RIG_INTERLEAVED_SEEDS", 40);
    let tally = sweep(first, seeds);
    let total = &tally.total;
    println!("interleaved: {seeds} seeds: {total:?}");
    assert_eq!(
        tally.findings, [""; 0],
        "RIG_INTERLEAVED_SEEDS=1 repeats one"
    );
    assert!(total.committed > 30 * seeds, "{total:?}");
    assert!(total.conflicts > 5 * seeds, "{total:?}");
    assert!(total.locked > seeds && total.kept_out > seeds, "{total:?}");
    assert!(
        total.crashes > seeds && total.closes > 0 && total.torn_away > 0,
        "{total:?}"
    );
    assert!(total.failures > 0 && total.open_max == 16, "{total:?}");
    // Rare: few seeds may have none.
    assert!(seeds < RARE_SEEDS || total.cautious > 0, "{total:?}");
}

#[test]
fn the_same_seed_leaves_the_same_trace_and_answers() {
    assert_eq!(traces_repeated(0, 4), 4);
}

#[test]
fn a_store_that_detects_no_conflicts_is_caught_by_each_seed() {
    assert_eq!(blindness_caught(0, 10), 10);
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let caught = lies_caught(0, 10);
    println!("a lying disk was caught in {caught} of 10 runs");
    assert!(caught >= 5, "{caught} of 10");
}
