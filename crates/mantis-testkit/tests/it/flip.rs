//! Bit flips with their controls.

use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::flip::{FlipSweep, FlipTally};
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn run(target: TargetKind, flips: u64) -> FlipTally {
    let seed = setting::seed(&format!("flips of {}", target.word()));
    let dir = setting::dir();
    let rig = FlipSweep {
        binary: setting::binary(),
        target,
        flips,
        seed,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("flips of {}:\n{tally}", target.word());
    if target.is_store() && !tally.findings.is_empty() {
        println!("kept for a look: {}", dir.keep().display());
    }
    tally
}

#[test]
fn flips_of_a_control_without_checksums_are_silent() {
    let tally = run(TargetKind::Control(ControlKind::NoSum), 40);
    assert!(tally.total().silent > 0, "{tally}");
}

#[test]
fn flips_of_a_control_that_takes_rot_for_a_torn_tail_are_silent() {
    let tally = run(TargetKind::Control(ControlKind::Fsync), 20);
    assert!(tally.total().silent > 0, "{tally}");
}

#[test]
fn no_flipped_bit_changes_anything_silently() {
    let flips = setting::size("RIG_FLIPS", 500);
    let tally = run(TargetKind::Store(StoreSize::Small), flips);
    let total = tally.total();
    assert_eq!((total.silent, total.crashed), (0, 0), "{tally}");
    assert!(total.at_open + total.at_read > flips / 10, "{tally}");
}
