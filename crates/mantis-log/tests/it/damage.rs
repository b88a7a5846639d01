//! Damage shows, a torn tail is cut off, and the two are told apart.

use mantis_log::{Fault, Finding, LogError, LogOptions, RecoveryMode, repair, verify};
use mantis_types::Seq;

use crate::fixture::{
    Files, append, body, check_all, dir, file_index, machine, open, outcome, put, save, segments,
    small, specimen,
};
use crate::naive::believe;

const RECORDS: u64 = 100;

fn expected(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(body).collect()
}

fn tolerant() -> LogOptions {
    LogOptions {
        mode: RecoveryMode::Tolerant,
        ..small()
    }
}

#[derive(Default, Debug)]
struct Classes {
    detected: u64,
    harmless: u64,
    silent: Vec<(usize, usize)>,
}

/// Flips one bit of each `step`th byte of each file.
fn sweep(files: &Files, step: usize, read: impl Fn(&Files) -> Option<Vec<Vec<u8>>>) -> Classes {
    let mut classes = Classes::default();
    let mut files = files.clone();
    for file in 0..files.len() {
        for at in (0..files[file].1.len()).step_by(step) {
            let bit = 1 << ((at / step + file) % 8);
            files[file].1[at] ^= bit;
            match read(&files) {
                None => classes.detected += 1,
                Some(bodies) if bodies == expected(RECORDS) => classes.harmless += 1,
                Some(_) => classes.silent.push((file, at)),
            }
            files[file].1[at] ^= bit;
        }
    }
    classes
}

fn strict(files: &Files) -> Option<Vec<Vec<u8>>> {
    match outcome(files, small()) {
        Ok((bodies, _)) => Some(bodies),
        Err(LogError::Damaged(_) | LogError::LaterFormat { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_flipped_byte_of_a_killed_log_is_detected_or_harmless() {
    let classes = sweep(&specimen(RECORDS, false), 1, strict);
    assert_eq!(classes.silent, []);
    assert!(
        classes.detected > 10_000 && classes.harmless > 1_000,
        "{classes:?}"
    );
}

#[test]
fn every_flipped_byte_of_a_closed_log_is_detected_or_harmless() {
    let classes = sweep(&specimen(RECORDS, true), 5, strict);
    assert_eq!(classes.silent, []);
    assert!(
        classes.detected > 2_000 && classes.harmless > 200,
        "{classes:?}"
    );
}

#[test]
fn control_a_reader_without_checksums_lets_flips_through() {
    let files = specimen(RECORDS, false);
    assert_eq!(believe(&files), expected(RECORDS));
    let classes = sweep(&files, 1, |files| Some(believe(files)));
    assert!(classes.silent.len() > 2_000, "{}", classes.silent.len());
}

#[test]
fn every_flip_in_records_is_named_with_its_place() {
    let mut files = specimen(RECORDS, false);
    let index = segments(&files)[1];
    files[index].1[4096 + 44] ^= 4;
    let LogError::Damaged(damage) = outcome(&files, small()).unwrap_err() else {
        panic!()
    };
    assert_eq!(
        (damage.segment, damage.offset, damage.what),
        (2, 4096, Fault::BadRecord)
    );
    let report = verify(&machine(&files), dir(), Seq::new(1)).unwrap();
    assert_eq!(report.damage, Some(damage));
    assert_eq!(report.segments[0].last_seq.next(), damage.seq);
    assert_eq!(report.would_drop[0].first_seq, Some(damage.seq));
    assert_eq!(report.would_drop.len(), segments(&files).len() - 1);
}

/// The place of the record in the last segment's file, and where it ends.
fn last_record(files: &Files) -> (usize, usize, usize) {
    let index = *segments(files).last().unwrap();
    let bytes = &files[index].1;
    let mut at = 4096;
    loop {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let next = (at + 40 + usize::try_from(len).unwrap()).next_multiple_of(8);
        if bytes[next..next + 8] == [0; 8] {
            return (index, at, next);
        }
        at = next;
    }
}

#[test]
fn a_flip_in_the_last_synced_record_is_damage_and_not_a_torn_tail() {
    let clean = specimen(RECORDS, false);
    let (index, from, to) = last_record(&clean);
    // The padding behind the body means nothing.
    let meaning = from + 40 + body(RECORDS).len();
    assert!(meaning <= to);
    for at in from..meaning {
        let mut files = clean.clone();
        files[index].1[at] ^= 1;
        let LogError::Damaged(damage) = outcome(&files, small()).unwrap_err() else {
            panic!()
        };
        assert_eq!(damage.seq, Seq::new(RECORDS), "byte {at}");
    }
}

/// 1..=40 synced, 41..=45 written in one go and not synced.
fn half_written() -> (Files, usize, usize, usize) {
    let env = mantis_env::Env::simulated(3);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 40);
    let synced = save(&env);
    let (index, _, from) = last_record(&synced);
    (41..=45).for_each(|seq| append(&log, seq).unwrap());
    log.write(Seq::new(45)).unwrap();
    env.simulation().unwrap().kill();
    drop(log);
    let files = save(&env);
    let (_, _, to) = last_record(&files);
    (files, index, from, to)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_does_not_come_back() {
    let (whole, index, from, to) = half_written();
    let mut torn_count = 0;
    for at in from..to {
        for garbage in [0_u8, 0xa5] {
            let mut files = whole.clone();
            files[index].1[at..to].fill(garbage);
            let env = machine(&files);
            let opened = open(&env, small()).unwrap();
            let last = opened.log.last_seq().get();
            assert!((40..=45).contains(&last), "torn at {at}: {last}");
            assert_eq!(check_all(&opened.log), last);
            torn_count += u64::from(opened.recovery.torn.is_some());
            put(&opened.log, last + 1, last + 1);
            env.simulation().unwrap().crash();
            drop(opened);
            let again = open(&env, small()).unwrap();
            assert_eq!(
                (again.log.last_seq().get(), again.recovery.torn),
                (last + 1, None)
            );
        }
    }
    assert!(torn_count > 200, "{torn_count}");
}

#[test]
fn a_lost_record_with_whole_ones_behind_it_stays_lost_with_them() {
    // The disk wrote the end of a group and not its beginning. The same record appended anew fits
    // before the old ones byte by byte: they must not be there any more.
    let (whole, index, from, _) = half_written();
    let mut files = whole;
    files[index].1[from..from + 40].fill(0);
    let env = machine(&files);
    let opened = open(&env, small()).unwrap();
    let torn = opened.recovery.torn.unwrap();
    assert_eq!((torn.seq, torn.offset), (Seq::new(41), from as u64));
    assert_eq!(opened.log.last_seq(), Seq::new(40));
    put(&opened.log, 41, 41);
    env.simulation().unwrap().crash();
    drop(opened);
    assert_eq!(open(&env, small()).unwrap().log.last_seq(), Seq::new(41));
}

#[test]
fn a_later_record_tells_what_was_durable_when_the_mark_is_lost() {
    let mut files = specimen(RECORDS, false);
    let mark = file_index(&files, "mark");
    files.remove(mark);
    let (bodies, report) = outcome(&files, small()).unwrap();
    assert_eq!(bodies, expected(RECORDS));
    assert_eq!(report.findings, [Finding::MissingMark]);
    let (index, last, _) = last_record(&files);
    let earlier = last - 48;
    files[index].1[earlier] ^= 1;
    assert!(matches!(
        outcome(&files, small()),
        Err(LogError::Damaged(_))
    ));
}

#[test]
fn a_damaged_mark_alone_loses_nothing_and_is_reported() {
    let clean = specimen(RECORDS, false);
    let mark = file_index(&clean, "mark");
    for (places, finding) in [
        (&[20_usize][..], Finding::BadMarkSlot),
        (&[532], Finding::BadMarkSlot),
        (&[20, 532], Finding::BadMark),
    ] {
        let mut files = clean.clone();
        places.iter().for_each(|at| files[mark].1[*at] ^= 1);
        let report = verify(&machine(&files), dir(), Seq::new(1)).unwrap();
        assert!(report.is_sound());
        assert_eq!(report.findings, [finding]);
        let env = machine(&files);
        let opened = open(&env, small()).unwrap();
        assert_eq!(opened.recovery.findings, [finding]);
        assert_eq!(check_all(&opened.log), RECORDS);
        put(&opened.log, RECORDS + 1, RECORDS + 1);
        env.simulation().unwrap().kill();
        drop(opened);
        assert_eq!(open(&env, small()).unwrap().recovery.findings, []);
    }
}

#[test]
fn missing_and_exchanged_segments_are_damage() {
    let clean = specimen(RECORDS, false);
    let segments = segments(&clean);
    assert!(segments.len() >= 3);
    for index in &segments {
        let mut files = clean.clone();
        files.remove(*index);
        let LogError::Damaged(damage) = outcome(&files, small()).unwrap_err() else {
            panic!()
        };
        assert_eq!(damage.what, Fault::MissingSegment, "without {index}");
    }
    for pair in segments.windows(2) {
        let mut files = clean.clone();
        let bytes = files[pair[0]].1.clone();
        files[pair[0]].1 = std::mem::replace(&mut files[pair[1]].1, bytes);
        assert!(matches!(
            outcome(&files, small()),
            Err(LogError::Damaged(_))
        ));
    }
    let mut files = clean.clone();
    segments
        .iter()
        .rev()
        .for_each(|index| drop(files.remove(*index)));
    assert!(
        matches!(outcome(&files, small()), Err(LogError::Damaged(_))),
        "a mark, no segment"
    );
    for index in &segments {
        for len in [0, 4000, 4096, 4200] {
            let mut files = clean.clone();
            files[*index].1.truncate(len);
            assert!(
                matches!(outcome(&files, small()), Err(LogError::Damaged(_))),
                "{index} {len}"
            );
        }
    }
}

#[test]
fn a_record_of_another_history_is_damage_even_with_the_right_seq_and_salt() {
    // Two logs from one seed: the same salts. Their third records differ.
    let write = |third: &[u8]| {
        let env = mantis_env::Env::simulated(5);
        let log = open(&env, small()).unwrap().log;
        for seq in 1..=5 {
            let body = if seq == 3 {
                third.to_vec()
            } else {
                vec![7; 24]
            };
            log.append(Seq::new(seq), &mantis_log::Prepared::new(&body))
                .unwrap();
            log.sync(Seq::new(seq)).unwrap();
        }
        env.simulation().unwrap().kill();
        save(&env)
    };
    let (mut one, other) = (write(&[1; 24]), write(&[2; 24]));
    let (fourth, index) = (4096 + 3 * 64, segments(&one)[0]);
    one[index].1[fourth..fourth + 64].copy_from_slice(&other[index].1[fourth..fourth + 64]);
    let LogError::Damaged(damage) = outcome(&one, small()).unwrap_err() else {
        panic!()
    };
    assert_eq!((damage.what, damage.seq), (Fault::OutOfPlace, Seq::new(4)));
}

#[test]
fn exchanged_and_doubled_records_are_damage() {
    let clean = specimen(RECORDS, false);
    let index = segments(&clean)[0];
    // Records 8 and 17 have bodies of one length.
    let place = |wanted: u64| {
        let bytes = &clean[index].1;
        let mut at = 4096;
        for _ in 1..wanted {
            let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            at = (at + 40 + usize::try_from(len).unwrap()).next_multiple_of(8);
        }
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        at..(at + 40 + usize::try_from(len).unwrap()).next_multiple_of(8)
    };
    let same = (2..40)
        .find(|seq| place(*seq).len() == place(1).len())
        .unwrap();
    let (one, other) = (place(1), place(same));
    let mut swapped = clean.clone();
    swapped[index].1.copy_within(other.clone(), one.start);
    swapped[index].1[other.clone()].copy_from_slice(&clean[index].1[one.clone()]);
    let mut doubled = clean.clone();
    doubled[index].1.copy_within(one, other.start);
    for files in [swapped, doubled] {
        let LogError::Damaged(damage) = outcome(&files, small()).unwrap_err() else {
            panic!()
        };
        assert_eq!(damage.what, Fault::OutOfPlace);
    }
}

#[test]
fn a_log_that_ends_before_what_is_needed_or_begins_after_it_is_damaged() {
    let files = specimen(RECORDS, true);
    for (first, fits) in [(1, true), (RECORDS + 1, true), (RECORDS + 2, false)] {
        let options = LogOptions {
            first_seq: Seq::new(first),
            ..small()
        };
        assert_eq!(outcome(&files, options).is_ok(), fits, "{first}");
    }
    let env = machine(&Files::new());
    let late = LogOptions {
        first_seq: Seq::new(50),
        ..small()
    };
    open(&env, late).unwrap().log.close().unwrap();
    assert!(matches!(open(&env, small()), Err(LogError::Damaged(_))));
}

#[test]
fn a_tolerant_opening_keeps_what_is_whole_and_says_what_it_drops() {
    let clean = specimen(RECORDS, false);
    for (which, index) in segments(&clean).into_iter().enumerate() {
        for at in [10, 4096 + 5, 4096 + 60] {
            let mut files = clean.clone();
            files[index].1[at] ^= 1;
            let Err(LogError::Damaged(damage)) = outcome(&files, small()) else {
                panic!()
            };
            let env = machine(&files);
            let opened = open(&env, tolerant()).unwrap();
            let last = opened.log.last_seq().get();
            assert_eq!(last, damage.seq.get() - 1, "segment {which} byte {at}");
            assert_eq!(check_all(&opened.log), last);
            let dropped = &opened.recovery.dropped;
            assert_eq!(dropped[0].segment, which as u64 + 1);
            assert_eq!(dropped.len(), segments(&clean).len() - which);
            assert!(dropped.iter().all(|dropped| dropped.bytes > 0));
            put(&opened.log, last + 1, last + 60);
            env.simulation().unwrap().crash();
            drop(opened);
            let again = open(&env, small()).unwrap();
            assert_eq!(check_all(&again.log), last + 60);
            let aside = |path: &std::path::Path| path.to_string_lossy().contains("dropped-");
            let kept = save(&env).iter().filter(|(path, _)| aside(path)).count();
            assert_eq!(kept, segments(&clean).len() - which);
        }
    }
}

#[test]
fn a_repair_that_fails_at_any_step_can_be_made_again() {
    let mut files = specimen(RECORDS, false);
    let index = segments(&files)[1];
    files[index].1[4096 + 900] ^= 1;
    let kinds = mantis_env::OpKind::ALL;
    let mut failures = 0;
    for kind in kinds {
        for nth in 1.. {
            let env = machine(&files);
            let plan = mantis_env::FaultPlan::new();
            plan.fail(kind, nth, mantis_env::Fault::Eio);
            let faulty = crate::fixture::with_fs(&env, &plan);
            let first = repair(&faulty, dir(), Seq::new(1));
            if plan.fired() == 0 {
                break;
            }
            failures += u64::from(first.is_err());
            env.simulation().unwrap().crash();
            repair(&env, dir(), Seq::new(1)).unwrap();
            let opened = open(&env, small()).unwrap();
            let last = check_all(&opened.log);
            let Err(LogError::Damaged(damage)) = outcome(&files, small()) else {
                panic!()
            };
            assert_eq!(last + 1, damage.seq.get(), "{kind:?} {nth}");
        }
    }
    assert!(failures > 20, "{failures}");
}

#[test]
fn a_tolerant_opening_behind_the_end_begins_anew_there() {
    let env = machine(&specimen(RECORDS, true));
    let options = LogOptions {
        first_seq: Seq::new(500),
        ..tolerant()
    };
    let opened = open(&env, options).unwrap();
    assert_eq!(
        (opened.log.oldest_seq(), opened.log.last_seq()),
        (Seq::new(500), Seq::new(499))
    );
    put(&opened.log, 500, 510);
    env.simulation().unwrap().crash();
    drop(opened);
    let options = LogOptions {
        first_seq: Seq::new(500),
        ..small()
    };
    assert_eq!(check_all(&open(&env, options).unwrap().log), 510);
}
