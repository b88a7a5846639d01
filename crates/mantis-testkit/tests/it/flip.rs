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
    let flip = |target| {
        let dir = setting::dir();
        let rig = FlipSweep {
            aim: Aim::LastRecord,
            ..sweep(target, 12)
        };
        let tally = rig.run(dir.path()).expect("the children run");
        println!("flips of the last record of {}:\n{tally}", target.word());
        tally
    };
    let tally = flip(TargetKind::Store(StoreSize::Small));
    assert_eq!(tally.total().detected(), 12, "{tally}");
    // The control takes them for torn tails.
    let tally = flip(TargetKind::Control(ControlKind::Fsync));
    assert_eq!(tally.total().silent, 12, "{tally}");
}

#[test]
fn no_flipped_bit_changes_anything_silently() {
    let flips = setting::size("RIG_FLIPS", 500);
    let tally = run(TargetKind::Store(StoreSize::Small), flips);
    let total = tally.total();
    assert_eq!((total.silent, total.crashed), (0, 0), "{tally}");
    assert!(total.at_open + total.at_read > flips / 10, "{tally}");
}
