//! The simulation with its controls: a run is repeated by its seed.

use mantis_testkit::rig::sim;

use crate::setting;

#[test]
fn promised_commits_survive_every_simulated_crash() {
    let first = setting::seed("simulation");
    let seeds = setting::size("RIG_SIM_SEEDS", 60);
    let tally = sim::sweep(first, seeds);
    let total = &tally.total;
    println!("simulation: {seeds} seeds: {total:?}");
    assert_eq!(tally.findings, [""; 0], "RIG_SIM_SEEDS=1 repeats one");
    assert!(
        total.crashes > seeds && total.promised > 10 * seeds,
        "{total:?}"
    );
    assert!(total.sync_failures > 0 && total.torn_away > 0, "{total:?}");
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    assert_eq!(sim::traces_repeated(0, 5), 5);
}

/// A disk that says that it synced and did not must be found by the same checks.
#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let caught = sim::lies_caught(0, 20);
    println!("a lying disk was caught in {caught} of 20 runs");
    assert!(caught >= 10, "{caught} of 20");
}
