//! A full disk: refused before anything is promised, what is promised is finished, and all is well
//! when space returns.

use mantis_env::{Env, Fault, FaultPlan, OpKind};
use mantis_log::{LogError, LogOptions};
use mantis_types::{Code, Seq};

use crate::fixture::{append, check_all, open, put, small, with_fs};

fn options() -> LogOptions {
    LogOptions {
        min_free_bytes: 32 << 10,
        ..small()
    }
}

#[test]
fn a_full_disk_refuses_admission_and_recovers_when_space_returns() {
    let env = Env::simulated(1);
    let simulation = env.simulation().unwrap();
    simulation.set_disk_bytes(400 << 10);
    let log = open(&env, options()).unwrap().log;
    let mut last = 0;
    let refused = loop {
        simulation.run_tasks(100);
        match log.admit(64) {
            Ok(()) => put(&log, last + 1, last + 1),
            Err(error) => break error,
        }
        last += 1;
        assert!(last < 100_000);
    };
    assert_eq!(
        (refused.code(), log.poisoned().is_none()),
        (Code::DiskFull, true)
    );
    assert!(log.stats().full && log.stats().disk_full == 1);
    assert_eq!(check_all(&log), last);
    // What was admitted before by others is still taken, and becomes durable.
    for seq in last + 1..=last + 40 {
        append(&log, seq).unwrap();
        log.sync(Seq::new(seq)).unwrap();
    }
    last += 40;
    // Releasing makes room, as does a larger disk.
    simulation.set_disk_bytes(600 << 10);
    log.admit(64).unwrap();
    put(&log, last + 1, last + 200);
    log.release(Seq::new(last));
    simulation.set_disk_bytes(350 << 10);
    simulation.advance(std::time::Duration::from_secs(2), 1000);
    log.admit(64).unwrap();
    put(&log, last + 201, last + 201);
    simulation.crash();
    drop(log);
    let log = open(
        &env,
        LogOptions {
            first_seq: Seq::new(last),
            ..options()
        },
    )
    .unwrap()
    .log;
    assert_eq!(check_all(&log), last + 201);
}

#[test]
fn a_disk_without_one_free_byte_keeps_the_records_queued_until_there_is_space() {
    let env = Env::simulated(1);
    let plan = FaultPlan::new();
    let log = open(&with_fs(&env, &plan), small()).unwrap().log;
    put(&log, 1, 60);
    env.simulation().unwrap().run_tasks(1000);
    assert_eq!(log.stats().spares, 1);
    let mut last = 60;
    // All room at hand and the reserve are used up by a caller that does not ask for admission.
    plan.limit_growth(Some(0));
    let error = loop {
        last += 1;
        append(&log, last).unwrap();
        if let Err(error) = log.sync(Seq::new(last)) {
            break error;
        }
        assert!(last < 10_000);
    };
    assert!(matches!(error, LogError::DiskFull), "{error}");
    let durable = log.durable_seq().get();
    assert!(durable > 150, "the reserve has been used: {durable}");
    for seq in last + 1..=last + 5 {
        append(&log, seq).unwrap();
        assert!(matches!(log.sync(Seq::new(seq)), Err(LogError::DiskFull)));
        assert!(matches!(log.write(Seq::new(seq)), Err(LogError::DiskFull)));
    }
    assert!(matches!(log.admit(64), Err(LogError::DiskFull)));
    last += 5;
    assert!(log.poisoned().is_none());
    plan.limit_growth(None);
    // Nobody asks again: the background finishes it.
    env.simulation()
        .unwrap()
        .advance(std::time::Duration::from_secs(2), 10_000);
    assert_eq!(log.durable_seq().get(), last);
    log.admit(64).unwrap();
    put(&log, last + 1, last + 100);
    env.simulation().unwrap().crash();
    drop(log);
    assert_eq!(check_all(&open(&env, small()).unwrap().log), last + 100);
}

#[test]
fn a_record_too_large_for_the_disk_is_refused_at_admission() {
    let env = Env::simulated(1);
    env.simulation().unwrap().set_disk_bytes(300 << 10);
    let log = open(&env, options()).unwrap().log;
    assert!(matches!(log.admit(280 << 10), Err(LogError::DiskFull)));
    log.admit(1000).unwrap();
    put(&log, 1, 1);
}

#[test]
fn background_work_that_fails_is_counted_and_tried_again() {
    let env = Env::simulated(1);
    let plan = FaultPlan::new();
    let log = open(&with_fs(&env, &plan), small()).unwrap().log;
    plan.fail_from_at("spare", OpKind::Write, 1, Fault::Eio);
    put(&log, 1, 60);
    let simulation = env.simulation().unwrap();
    simulation.advance(std::time::Duration::from_secs(3), 1000);
    let stats = log.stats();
    assert!(
        stats.background_failures >= 3 && stats.spares == 0,
        "{stats:?}"
    );
    assert!(log.poisoned().is_none());
    put(&log, 61, 200);
    plan.heal();
    simulation.advance(std::time::Duration::from_secs(1), 1000);
    assert_eq!(log.stats().spares, 1);
}
