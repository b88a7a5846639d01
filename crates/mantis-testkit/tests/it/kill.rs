//! The kill loop with its controls.

use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::kill::{KILLS, KillLoop};
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::specimen::Tally;
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn run(target: TargetKind, kills: u64, mixed_classes: bool) -> Tally {
    let seed = setting::seed(target.word());
    let dir = setting::dir();
    let script = Script {
        mixed_classes,
        ..Script::mixed(seed)
    };
    let rig = KillLoop {
        binary: setting::binary(),
        kills,
        seed,
        target,
        script,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("kill loop on {}: {tally}", target.word());
    if target.is_store() && !tally.is_right() {
        println!("kept for a look: {}", dir.keep().display());
    }
    tally
}

#[test]
fn control_that_syncs_loses_nothing_to_kills() {
    let tally = run(TargetKind::Control(ControlKind::Fsync), 10, false);
    assert!(tally.is_right() && tally.promised > 10, "{tally}");
}

/// Whatever the machine does meanwhile: it always has commits that it has not written.
#[test]
fn control_that_acknowledges_first_is_caught_by_each_kill() {
    let tally = run(TargetKind::Control(ControlKind::AckFirst), 4, false);
    assert!(tally.findings_count >= tally.counted(KILLS), "{tally}");
    // Of 64 commits each writer may have one that nobody heard of.
    assert!(tally.lost >= 4 * (64 - 8), "{tally}");
}

#[test]
fn control_that_splits_batches_is_caught_by_each_kill() {
    let tally = run(TargetKind::Control(ControlKind::HalfBatch), 4, false);
    assert!(tally.findings_count >= tally.counted(KILLS), "{tally}");
}

#[test]
fn acknowledged_writes_survive_kills() {
    let kills = setting::size("RIG_KILLS", 100);
    let tally = run(
        TargetKind::Store(StoreSize::Default),
        kills - kills / 4,
        false,
    );
    assert!(tally.is_right() && tally.promised > 10 * kills, "{tally}");
    assert!(
        tally.counted("killed in a flush") > 0,
        "no kill met a flush: {tally}"
    );
}

#[test]
fn weaker_classes_survive_kills_as_far_as_they_promise() {
    let kills = setting::size("RIG_KILLS", 100) / 4;
    let tally = run(TargetKind::Store(StoreSize::Default), kills, true);
    assert!(tally.is_right() && tally.promised > 10 * kills, "{tally}");
}
