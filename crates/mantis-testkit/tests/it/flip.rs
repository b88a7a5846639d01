//! Bit flips with their controls.

use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::flip::{Aim, FlipSweep, FlipTally};
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn sweep(target: TargetKind, flips: u64) -> FlipSweep {
    FlipSweep {
        binary: setting::binary(),
        target,
        flips,
        aim: Aim::Anywhere,
        seed: setting::seed(&format!("flips of {}", target.word())),
    }
}

fn run(target: TargetKind, flips: u64) -> FlipTally {
    let dir = setting::dir();
    let rig = sweep(target, flips);
    let tally = rig.run(dir.path()).expect("the children run");
    println!("flips of {}:\n{tally}", target.word());
    if target.is_store() && !tally.findings.is_empty() {
        println!("kept for a look: {}", dir.keep().display());
    }
    tally
}

#[test]
fn flips_of_a_control_without_checksums_are_silent() {
    let tally = run(TargetKind::Control(ControlKind::NoSum), 80);
    assert!(tally.total().silent > 0, "{tally}");
}

#[test]
fn flips_of_a_control_that_takes_rot_for_a_torn_tail_are_silent() {
    let tally = run(TargetKind::Control(ControlKind::Fsync), 20);
    assert!(tally.total().silent > 0, "{tally}");
}

/// The child holds still before it is killed, so that nothing is on its way; what it had acknowledged
/// by then must be there all the same.
#[test]
fn a_store_that_lost_something_before_it_held_still_is_no_template() {
    let dir = setting::dir();
    let rig = sweep(TargetKind::Control(ControlKind::AckFirst), 1);
    let refused = rig.run(dir.path()).expect_err("steps are missing");
    let text = format!("{refused:#}");
    assert!(text.contains("the template is not right"), "{text}");
    assert!(text.contains("promised ones"), "{text}");
}

/// Rot in the very last record that was acknowledged is not taken for a torn tail.
#[test]
fn each_flip_of_the_last_acknowledged_record_is_found() {
    let flip = |target, later: u64| {
        let dir = setting::dir();
        let sweep = sweep(target, 12);
        let rig = FlipSweep {
            aim: Aim::LastRecord,
            seed: sweep.seed + later,
            ..sweep
        };
        let tally = rig.run(dir.path()).expect("the children run");
        println!("flips of the last record of {}:\n{tally}", target.word());
        tally
    };
    let tally = flip(TargetKind::Store(StoreSize::Small), 0);
    assert_eq!(tally.total().detected(), 12, "{tally}");
    // The control takes them for torn tails; that shows unless the last step changed nothing, such as the
    // removal of a key that was not there.
    let mut tallies = (0..8).map(|later| flip(TargetKind::Control(ControlKind::Fsync), later));
    assert!(tallies.any(|tally| tally.total().silent == 12));
}

#[test]
fn no_flipped_bit_changes_anything_silently() {
    let flips = setting::size("RIG_FLIPS", 500);
    let tally = run(TargetKind::Store(StoreSize::Small), flips);
    let total = tally.total();
    assert_eq!((total.silent, total.crashed), (0, 0), "{tally}");
    assert!(total.at_open + total.at_read > flips / 10, "{tally}");
}
