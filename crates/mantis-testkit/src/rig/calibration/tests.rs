//! A part is calibrated only by controls that did as they must, one by one.

use super::*;
use crate::rig::flip::{Classes, Zone};

fn right() -> Tally {
    Tally {
        rounds: 12,
        promised: 100,
        ..Tally::default()
    }
}

/// A control that was found so many times in so many kills.
fn found(kills: u64, findings: u64, lost: u64) -> Tally {
    let mut tally = Tally {
        lost,
        findings_count: findings,
        ..right()
    };
    tally.count(KILLS, kills);
    tally
}

fn silent(count: u64, harmless: u64) -> FlipTally {
    let classes = Classes {
        silent: count,
        harmless,
        ..Classes::default()
    };
    let mut tally = FlipTally::default();
    tally
        .classes
        .insert(("control".to_owned(), Zone::Dead), classes);
    tally
}

#[test]
fn a_kill_loop_is_calibrated_when_each_kill_of_a_broken_control_finds_something() {
    let good = Calibration::of_kill(&right(), &found(4, 30, 200), &found(4, 4, 1));
    assert!(good.is_met(), "{good:?}");
    assert_eq!(good.reason(), "");
    let bad = |fsync: &Tally, ack_first: &Tally, half: &Tally| {
        let calibration = Calibration::of_kill(fsync, ack_first, half);
        assert_eq!(calibration.unmet.len(), 1, "{calibration:?}");
        assert!(!calibration.is_met());
        calibration.reason()
    };
    // Nothing found at all: what a control by luck came to now and then.
    let nothing = found(12, 0, 0);
    assert!(bad(&right(), &nothing, &found(4, 4, 1)).contains("acknowledges first"));
    assert!(bad(&right(), &found(4, 30, 200), &nothing).contains("splits batches"));
    // Found, but not by each kill; found, but nothing was lost.
    bad(&right(), &found(4, 3, 200), &found(4, 4, 1));
    bad(&right(), &found(4, 30, 0), &found(4, 4, 1));
    bad(&right(), &found(4, 30, 200), &found(4, 3, 1));
    // Never killed.
    bad(&right(), &found(0, 1, 1), &found(4, 4, 1));
    bad(&right(), &found(4, 30, 200), &found(0, 1, 0));
    // The right one lost something, or had nothing to lose.
    bad(&found(12, 1, 1), &found(4, 30, 200), &found(4, 4, 1));
    bad(&Tally::default(), &found(4, 30, 200), &found(4, 4, 1));
}

#[test]
fn power_cuts_are_calibrated_when_only_the_control_without_syncs_loses() {
    let of = |fsync: Tally, nosync: Tally| {
        let target = Tally::default();
        Calibration::of_power(&PowerTally {
            target,
            fsync,
            nosync,
        })
    };
    assert!(of(right(), found(0, 1, 1)).is_met());
    assert!(!of(right(), right()).is_met());
    assert!(!of(found(0, 1, 1), found(0, 1, 1)).is_met());
    assert!(!of(Tally::default(), found(0, 1, 1)).is_met());
}

#[test]
fn sweeps_are_calibrated_when_the_right_control_is_hit_and_the_broken_ones_are_found() {
    let mut hit = right();
    hit.count("hit", 3);
    assert!(Calibration::of_syscalls(&hit, &found(0, 1, 0)).is_met());
    assert!(!Calibration::of_syscalls(&hit, &right()).is_met());
    assert!(!Calibration::of_syscalls(&right(), &found(0, 1, 0)).is_met());

    let (mut stops, mut goes_on) = (right(), found(0, 5, 0));
    stops.count("errors noticed", 2);
    goes_on.count("acks after a failed sync", 2);
    let again = found(0, 1, 0);
    assert!(Calibration::of_faults(&stops, &again, &goes_on).is_met());
    assert!(!Calibration::of_faults(&right(), &again, &goes_on).is_met());
    assert!(!Calibration::of_faults(&stops, &right(), &goes_on).is_met());
    assert!(!Calibration::of_faults(&stops, &again, &found(0, 5, 0)).is_met());
}

#[test]
fn the_other_parts_are_calibrated_by_each_of_their_controls() {
    assert!(Calibration::of_flip(&silent(1, 79), &silent(40, 0)).is_met());
    assert!(!Calibration::of_flip(&silent(0, 80), &silent(40, 0)).is_met());
    let lenient = Calibration::of_flip(&silent(1, 79), &silent(0, 40));
    assert!(lenient.reason().contains("0 silent of 40"), "{lenient:?}");

    assert!(Calibration::of_full(&found(0, 1, 0)).is_met());
    assert!(!Calibration::of_full(&right()).is_met());

    assert!(Calibration::of_cap(false, true).is_met());
    assert!(!Calibration::of_cap(true, true).is_met());
    assert!(!Calibration::of_cap(false, false).is_met());

    assert!(Calibration::of_sim((10, 20), (3, 3)).is_met());
    assert!(!Calibration::of_sim((9, 20), (3, 3)).is_met());
    assert!(!Calibration::of_sim((20, 20), (2, 3)).is_met());
    assert!(!Calibration::of_sim((0, 0), (3, 3)).is_met());
    assert!(!Calibration::of_sim((20, 20), (0, 0)).is_met());
}

#[test]
fn kills_amid_transactions_need_both_broken_doors_caught_by_each_kill() {
    let broken = |kills: u64, findings: u64, lost: u64| {
        let mut tally = found(0, findings, lost);
        tally.count(TXN_KILLS, kills);
        tally
    };
    let met = |split: &Tally, forget: &Tally| Calibration::of_txn_kill(split, forget).is_met();
    assert!(met(&broken(4, 4, 0), &broken(4, 4, 9)));
    assert!(!met(&broken(4, 3, 0), &broken(4, 4, 9)));
    assert!(!met(&broken(4, 4, 0), &broken(4, 4, 0)));
    assert!(!met(&broken(0, 4, 0), &broken(4, 4, 9)));
    assert!(!met(&broken(4, 4, 0), &broken(4, 3, 9)));
}

#[test]
fn retries_need_doubles_without_keys() {
    let mut keyless = Tally::default();
    keyless.count(ONCE_KILLS, 3);
    assert!(!Calibration::of_once_kill(&keyless).is_met());
    keyless.count(DOUBLES, 4);
    assert!(Calibration::of_once_kill(&keyless).is_met());
    keyless.counts.clear();
    assert!(!Calibration::of_once_kill(&keyless).is_met());
}

#[test]
fn histories_need_each_control_rejected_and_the_simple_store_accepted() {
    let wrong = || Outcome {
        findings: vec!["G0".to_owned()],
        ..Outcome::default()
    };
    let mut simple = Outcome::default();
    simple.seen.committed = 9;
    let good = || Controls {
        simple: simple.clone(),
        blind: wrong(),
        undetected: [wrong(), wrong()],
    };
    assert!(Calibration::of_histories(&good()).is_met());
    let spoilers: [fn(&mut Controls); 5] = [
        |controls| controls.simple.findings.push("G0".to_owned()),
        |controls| controls.simple.seen.committed = 0,
        |controls| controls.blind.findings.clear(),
        |controls| controls.undetected[0].findings.clear(),
        |controls| controls.undetected[1].findings.clear(),
    ];
    for spoil in spoilers {
        let mut controls = good();
        spoil(&mut controls);
        assert_eq!(Calibration::of_histories(&controls).unmet.len(), 1);
    }
}

#[test]
fn interleaved_transactions_need_each_control() {
    let met = |blind, lies, repeated| Calibration::of_interleaved(blind, lies, repeated).is_met();
    assert!(met((9, 9), (5, 9), (3, 3)));
    assert!(!met((8, 9), (5, 9), (3, 3)));
    assert!(!met((9, 9), (4, 9), (3, 3)));
    assert!(!met((9, 9), (5, 9), (2, 3)));
    assert!(!met((0, 0), (5, 9), (3, 3)));
}
