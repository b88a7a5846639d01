//! The syscall sweep with its controls.

use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::probe;
use mantis_testkit::rig::specimen::Tally;
use mantis_testkit::rig::sweep::{Activity, Fault, Reach, Sweep};
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn run(
    target: TargetKind,
    fault: Fault,
    activities: &[Activity],
    points_max: u64,
) -> Option<Tally> {
    run_only(target, fault, activities, None, points_max)
}

fn run_only(
    target: TargetKind,
    fault: Fault,
    activities: &[Activity],
    only: Option<&'static str>,
    points_max: u64,
) -> Option<Tally> {
    let name = format!("{fault:?} sweep of {}", target.word());
    if let Err(reason) = probe::strace() {
        println!("SKIP {name}: {reason:#}");
        return None;
    }
    let mut seed = setting::seed(&name);
    if target == TargetKind::Control(ControlKind::SplitBatch) {
        seed = Sweep::seed_with_splits(seed, 3);
    }
    let dir = setting::dir();
    let rig = Sweep {
        binary: setting::binary(),
        target,
        fault,
        activities: activities.to_vec(),
        only,
        reach: Reach::Points(usize::try_from(points_max).expect("a small number")),
        seed,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("{name}: {tally}");
    if target.is_store() && !tally.is_right() {
        println!("kept for a look: {}", dir.keep().display());
    }
    Some(tally)
}

const PLAIN: [Activity; 2] = [Activity::Create, Activity::Commit];

#[test]
fn control_that_syncs_survives_a_kill_at_every_call() {
    let target = TargetKind::Control(ControlKind::Fsync);
    let Some(tally) = run(target, Fault::Kill, &PLAIN, 25) else {
        return;
    };
    assert!(tally.is_right() && tally.counted("hit") > 15, "{tally}");
}

#[test]
fn control_that_splits_batches_is_caught_by_the_sweep() {
    let target = TargetKind::Control(ControlKind::SplitBatch);
    // Only some of its writes stand within a batch: all of them are tried.
    let tally = run_only(
        target,
        Fault::Kill,
        &[Activity::Commit],
        Some("write"),
        1000,
    );
    let Some(tally) = tally else {
        return;
    };
    assert!(tally.findings_count > 0, "{tally}");
}

#[test]
fn control_that_stops_after_a_failed_sync_passes() {
    let target = TargetKind::Control(ControlKind::Fsync);
    let Some(tally) = run(target, Fault::SyncError, &[Activity::Commit], 10) else {
        return;
    };
    assert!(
        tally.is_right() && tally.counted("errors noticed") > 5,
        "{tally}"
    );
}

#[test]
fn control_that_syncs_again_after_a_failure_is_caught() {
    let target = TargetKind::Control(ControlKind::SyncAgain);
    let Some(tally) = run(target, Fault::SyncError, &[Activity::Commit], 10) else {
        return;
    };
    assert!(tally.findings_count > 0, "{tally}");
}

#[test]
fn control_that_goes_on_after_it_said_it_would_not_is_caught() {
    let target = TargetKind::Control(ControlKind::GoOn);
    let Some(tally) = run(target, Fault::SyncError, &[Activity::Commit], 10) else {
        return;
    };
    assert!(tally.counted("acks after a failed sync") > 0, "{tally}");
}

/// Beyond what was seen the sweep goes on until nothing is hit, and says so.
#[test]
fn a_sweep_to_the_end_ends_behind_the_last_call() {
    let name = "sweep to the end";
    if let Err(reason) = probe::strace() {
        println!("SKIP {name}: {reason:#}");
        return;
    }
    let (seed, dir) = (setting::seed(name), setting::dir());
    let rig = Sweep {
        binary: setting::binary(),
        target: TargetKind::Control(ControlKind::Fsync),
        fault: Fault::Kill,
        activities: vec![Activity::Create],
        only: Some("fdatasync"),
        reach: Reach::End,
        seed,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    assert!(tally.is_right() && tally.counted("hit") > 0, "{tally}");
    assert!(tally.counted("not reached") >= 3, "{tally}");
    assert_eq!(tally.counted("calls swept"), 1, "{tally}");
    assert_eq!(tally.counted("calls swept to their end"), 1, "{tally}");
}

const SMALL: TargetKind = TargetKind::Store(StoreSize::Small);

#[test]
fn a_kill_at_any_system_call_loses_nothing() {
    let points = setting::size("RIG_POINTS", 200);
    let Some(tally) = run(SMALL, Fault::Kill, &Activity::ALL, points) else {
        return;
    };
    assert!(
        tally.is_right() && tally.counted("hit") > points / 3,
        "{tally}"
    );
    let copies = tally.counted("checkpoints read") + tally.counted("half checkpoints begun anew");
    assert!(copies > 0, "no copy was ever looked at: {tally}");
}

#[test]
fn a_failed_sync_is_never_acknowledged_over() {
    let points = setting::size("RIG_FAULT_POINTS", 40);
    let around = [
        Activity::Create,
        Activity::Commit,
        Activity::Checkpoint,
        Activity::Close,
    ];
    let Some(tally) = run(SMALL, Fault::SyncError, &around, points) else {
        return;
    };
    assert!(
        tally.is_right() && tally.counted("errors noticed") > 0,
        "{tally}"
    );
}

/// Tables are synced by `fsync`, the log by `fdatasync`.
#[test]
fn a_failed_sync_of_a_table_loses_nothing() {
    let points = setting::size("RIG_FAULT_POINTS", 40) / 2;
    let tables = [Activity::Flush, Activity::Compact];
    let tally = run_only(SMALL, Fault::SyncError, &tables, Some("fsync"), points);
    let Some(tally) = tally else { return };
    assert!(tally.is_right() && tally.counted("hit") > 0, "{tally}");
}

#[test]
fn a_call_that_finds_no_space_does_no_harm() {
    let points = setting::size("RIG_FAULT_POINTS", 40);
    let Some(tally) = run(SMALL, Fault::NoSpace, &Activity::ALL, points) else {
        return;
    };
    assert!(
        tally.is_right() && tally.counted("errors noticed") > 0,
        "{tally}"
    );
}
