//! The kill loop with its controls.

use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::kill::KillLoop;
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::specimen::Tally;
use mantis_testkit::rig::target::TargetKind;

use crate::setting;

fn run(target: TargetKind, kills: u64) -> Tally {
    let seed = setting::seed(target.word());
    let dir = setting::dir();
    let script = Script::mixed(seed);
    let rig = KillLoop {
        binary: setting::binary(),
        kills,
        seed,
        target,
        script,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("kill loop on {}: {tally}", target.word());
    tally
}

#[test]
fn control_that_syncs_loses_nothing_to_kills() {
    let tally = run(TargetKind::Control(ControlKind::Fsync), 10);
    assert!(tally.is_right() && tally.promised > 100, "{tally}");
}

#[test]
fn control_that_acknowledges_first_is_caught_by_kills() {
    let tally = run(TargetKind::Control(ControlKind::AckFirst), 10);
    assert!(tally.lost > 0, "{tally}");
}

#[test]
fn control_that_splits_batches_is_caught_by_kills() {
    let tally = run(TargetKind::Control(ControlKind::SplitBatch), 30);
    assert!(tally.findings_count > 0, "{tally}");
}
