//! Tests of the judgement: each requirement, when it alone is not met, is said.

use std::collections::BTreeMap;

use super::*;

fn record(size: u64, subject: &str, figures: &[(&str, u64)]) -> Record {
    let figures = figures.iter().map(|(name, n)| ((*name).to_owned(), *n));
    Record {
        size,
        figures: BTreeMap::from([(subject.to_owned(), figures.collect())]),
        ..Record::default()
    }
}

/// The record with one figure changed.
fn but(record: &Record, figure: &str, to: u64) -> Record {
    let mut changed = record.clone();
    for figures in changed.figures.values_mut() {
        figures.insert(figure.to_owned(), to);
    }
    changed
}

fn check(judge: Judge, good: &Record, bad: &[(&str, u64)]) {
    assert_eq!(judge(good).unmet, [""; 0], "{}", judge(good).headline);
    for (figure, to) in bad {
        let verdict = judge(&but(good, figure, *to));
        assert!(!verdict.unmet.is_empty(), "{figure} = {to} passed");
    }
}

#[test]
fn kills_need_acknowledgements_before_and_flushes_beside_them() {
    let figures = [
        ("kills after 100 acks", 100),
        ("of these in a flush or a compaction", 20),
        ("promised", 9000),
    ];
    let good = record(100, "store, class sync", &figures);
    let bad = [
        ("kills after 100 acks", 99),
        ("of these in a flush or a compaction", 19),
        ("lost", 1),
        ("unopened", 1),
        ("findings", 1),
    ];
    check(kill, &good, &bad);
}

#[test]
fn flips_need_live_bytes_and_each_one_detected_or_harmless() {
    let figures = [
        ("flips", 100),
        ("live", 40),
        ("live detected", 39),
        ("detected", 60),
        ("harmless", 40),
    ];
    let good = record(100, "store", &figures);
    let bad = [
        ("flips", 99),
        ("live", 29),
        ("live detected", 19),
        ("harmless", 39),
    ];
    check(flip, &good, &bad);
}

#[test]
fn sweeps_need_every_call_to_its_end() {
    let figures = [
        ("hit", 5),
        ("calls swept", 4),
        ("calls swept to their end", 4),
    ];
    let good = record(1, "store", &figures);
    let bad = [("hit", 0), ("calls swept to their end", 3), ("unopened", 1)];
    check(syscalls, &good, &bad);
    check(faults, &good, &bad);
    check(faults, &good, &[("acks after a failed sync", 1)]);
}

#[test]
fn cuts_disks_and_memory_need_a_clean_oracle() {
    let lost = [("lost", 1), ("unopened", 1), ("findings", 1)];
    let cuts = record(20, "store", &[("rounds", 20), ("promised", 9)]);
    check(power, &cuts, &lost);
    check(power, &cuts, &[("rounds", 19)]);
    let disk = record(1, "store", &[("rounds", 1), ("refused disk_full", 5)]);
    check(full, &disk, &lost);
    check(full, &disk, &[("refused disk_full", 0)]);
    let memory = record(1, "store", &[("stored MiB", 500)]);
    check(cap, &memory, &lost);
    check(cap, &memory, &[("stored MiB", 200)]);
}

#[test]
fn seeds_need_something_that_happened() {
    let figures = [
        ("seeds", 10),
        ("crashes", 30),
        ("sync failures", 3),
        ("torn away", 4),
    ];
    let good = record(10, "store", &figures);
    let bad = [("seeds", 9), ("wrong", 1), ("crashes", 0), ("torn away", 0)];
    check(sim, &good, &bad);
}

#[test]
fn histories_need_transactions_that_commit_and_that_conflict() {
    let figures = [
        ("transactions", 100),
        ("acks", 25),
        ("refused serialization_failure", 3),
        ("refused deadlock", 1),
    ];
    let good = record(100, "store, memory", &figures);
    let bad = [
        ("transactions", 99),
        ("acks", 24),
        ("refused serialization_failure", 0),
        ("refused deadlock", 0),
        ("lost", 1),
        ("findings", 1),
    ];
    check(histories, &good, &bad);
}

#[test]
fn kills_amid_retried_writes_need_some_that_were_cut_off_and_stored_answers() {
    let figures = [
        ("kills amid retried writes", 10),
        ("writes cut off", 12),
        ("of these done", 3),
        ("stored answers", 40),
    ];
    let good = record(10, "store", &figures);
    let bad = [
        ("kills amid retried writes", 9),
        ("writes cut off", 0),
        ("of these done", 0),
        ("stored answers", 0),
        ("lost", 1),
        ("unopened", 1),
        ("findings", 1),
    ];
    check(once_kill, &good, &bad);
}

#[test]
fn kills_amid_transactions_need_some_that_were_cut_off() {
    let figures = [
        ("kills amid transactions", 10),
        ("transactions of several keys cut off", 12),
        ("of these there", 3),
    ];
    let good = record(10, "store", &figures);
    let bad = [
        ("kills amid transactions", 9),
        ("transactions of several keys cut off", 9),
        ("of these there", 0),
        ("of these there", 12),
        ("lost", 1),
        ("unopened", 1),
        ("findings", 1),
    ];
    check(txn_kill, &good, &bad);
}

#[test]
fn interleaved_transactions_need_conflicts_and_crashes() {
    let figures = [
        ("seeds", 10),
        ("conflicts", 9),
        ("locked", 9),
        ("crashes", 9),
        ("failures", 2),
        ("torn away", 1),
    ];
    let good = record(10, "store", &figures);
    let bad = [
        ("seeds", 9),
        ("wrong", 1),
        ("conflicts", 0),
        ("locked", 0),
        ("crashes", 0),
        ("failures", 0),
        ("torn away", 0),
    ];
    check(interleaved, &good, &bad);
}

#[test]
fn tests_need_to_pass() {
    let good = record(1, "tests", &[("passed", 7)]);
    check(tests, &good, &[("failed", 1), ("passed", 0)]);
}

#[test]
fn fuzzing_needs_its_control_and_whole_targets() {
    let mut good = record(60, "control, a planted panic", &[("found", 1)]);
    let target = record(60, "key_codec", &[("cpu ms", 60_000), ("runs", 9)]);
    good.figures.extend(target.figures.clone());
    assert_eq!(fuzz(&good).unmet, [""; 0]);
    assert!(!fuzz(&target).unmet.is_empty(), "without the control");
    let mut idle = good.clone();
    idle.figures
        .insert("log_recovery".to_owned(), BTreeMap::new());
    assert!(!fuzz(&idle).unmet.is_empty(), "a target that never ran");
    let mut broken = good.clone();
    let figures = broken.figures.get_mut("key_codec").unwrap();
    figures.insert("broken".to_owned(), 1);
    assert!(!fuzz(&broken).unmet.is_empty(), "a broken target");
}
