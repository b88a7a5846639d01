//! A sweep over failing operations: after a failed write or sync nothing is acknowledged any more,
//! and what was acknowledged before is there when the log is opened again.

use std::sync::Arc;

use mantis_env::{Env, Fault, FaultPlan, OpKind};
use mantis_log::{DurableHook, LogError, LogOptions};
use mantis_types::{Code, ErrorKind, Seq};
use parking_lot::Mutex;

use crate::fixture::{append, check_all, open, small, with_fs};

/// Records of an earlier life.
const BEFORE: u64 = 30;

fn before(env: &Env) {
    let log = open(env, small()).unwrap().log;
    crate::fixture::put(&log, 1, BEFORE);
    env.simulation().unwrap().kill();
}

/// Opens, commits and does background work until something fails; answers the last Seq that was
/// acknowledged.
fn commit_until_failure(env: &Env, last: u64) -> u64 {
    let heard = Arc::new(Mutex::new(0));
    let ear = Arc::clone(&heard);
    let on_durable: DurableHook = Arc::new(move |seq| *ear.lock() = seq.get());
    let options = LogOptions {
        on_durable: Some(on_durable),
        ..small()
    };
    let Ok(opened) = open(env, options) else {
        return BEFORE;
    };
    let log = opened.log;
    let mut acknowledged = log.last_seq().get();
    // Keeps the first segment from being recycled: it is removed.
    let _reader = log.read(Seq::new(1));
    for seq in acknowledged + 1..=last {
        env.simulation().unwrap().run_tasks(20);
        log.release(Seq::new(seq / 2));
        let committed = log.admit(64).and_then(|()| append(&log, seq));
        if committed.and_then(|()| log.sync(Seq::new(seq))).is_ok() {
            acknowledged = seq;
            continue;
        }
        if log.poisoned().is_some() {
            let before = *heard.lock();
            for seq in seq..seq + 3 {
                assert_eq!(append(&log, seq).unwrap_err().code(), Code::SyncFailed);
                assert_eq!(log.admit(1).unwrap_err().kind(), ErrorKind::ReadOnly);
            }
            assert!(matches!(
                log.sync(log.last_seq()),
                Err(LogError::Poisoned(_))
            ));
            assert!(log.close().is_err());
            assert_eq!(
                *heard.lock(),
                before,
                "the hook was called after the failure"
            );
            assert!(log.durable_seq().get() <= acknowledged.max(before));
        }
        break;
    }
    acknowledged
}

fn sweep(kind: OpKind, fault: Fault) -> (u64, u64) {
    let (mut runs, mut failed) = (0, 0);
    for nth in 1.. {
        for crash in [false, true] {
            let env = Env::simulated(nth);
            before(&env);
            let plan = FaultPlan::new();
            plan.fail(kind, nth, fault);
            let acknowledged = commit_until_failure(&with_fs(&env, &plan), 150);
            if plan.fired() == 0 {
                assert_eq!(acknowledged, 150);
                return (runs, failed);
            }
            runs += 1;
            failed += u64::from(acknowledged < 150);
            let simulation = env.simulation().unwrap();
            if crash {
                simulation.crash()
            } else {
                simulation.kill()
            }
            let options = LogOptions {
                first_seq: Seq::new(1.max(acknowledged / 2)),
                ..small()
            };
            let opened = open(&env, options)
                .unwrap_or_else(|error| panic!("{kind:?} {nth} {fault:?} crash {crash}: {error}"));
            let last = check_all(&opened.log);
            assert!(
                last >= acknowledged,
                "{kind:?} {nth}: {last} of {acknowledged}"
            );
        }
    }
    unreachable!("a sweep ends when nothing fires")
}

#[test]
fn no_failing_write_loses_what_was_acknowledged() {
    for fault in [
        Fault::Eio,
        Fault::Enospc,
        Fault::ShortThenEio(100),
        Fault::ShortThenEnospc(9),
    ] {
        let (runs, failed) = sweep(OpKind::Write, fault);
        assert!(runs > 200 && failed > 200, "{runs} {failed}");
    }
}

#[test]
fn no_failing_sync_is_followed_by_an_acknowledgement() {
    let (runs, failed) = sweep(OpKind::Sync, Fault::Eio);
    assert!(runs > 200 && failed > 200, "{runs} {failed}");
}

#[test]
fn no_failing_change_of_names_loses_what_was_acknowledged() {
    for kind in [
        OpKind::Open,
        OpKind::Rename,
        OpKind::SyncDir,
        OpKind::SetLen,
        OpKind::Remove,
    ] {
        for fault in [Fault::Eio, Fault::Enospc] {
            let (runs, _) = sweep(kind, fault);
            assert!(runs > 0, "{kind:?} never happened");
        }
    }
}

#[test]
fn no_failing_look_is_taken_for_damage() {
    for kind in [OpKind::Read, OpKind::Look, OpKind::CreateDir] {
        let (runs, _) = sweep(kind, Fault::Eio);
        assert!(runs > 0, "{kind:?} never happened");
    }
}

#[test]
fn a_read_error_while_opening_is_an_error_and_changes_nothing() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    crate::fixture::put(&log, 1, 100);
    env.simulation().unwrap().kill();
    drop(log);
    for nth in 1.. {
        let plan = FaultPlan::new();
        plan.fail(OpKind::Read, nth, Fault::Eio);
        let opened = open(&with_fs(&env, &plan), small());
        if plan.fired() == 0 {
            return assert!(nth > 5);
        }
        assert!(matches!(opened.unwrap_err(), LogError::Io { .. }));
        assert_eq!(check_all(&open(&env, small()).unwrap().log), 100);
        env.simulation().unwrap().kill();
    }
}

#[test]
fn control_an_acknowledgement_before_the_sync_is_caught() {
    // The check of the sweep, fed with a committer that answers after the write.
    let mut lost = 0;
    for seed in 0..20 {
        let env = Env::simulated(seed);
        let plan = FaultPlan::new();
        plan.fail_from(OpKind::Sync, 12, Fault::Eio);
        let log = open(&with_fs(&env, &plan), small()).unwrap().log;
        let mut acknowledged = 0;
        for seq in 1..=20 {
            if append(&log, seq)
                .and_then(|()| log.write(Seq::new(seq)))
                .is_err()
            {
                break;
            }
            acknowledged = seq;
        }
        drop(log);
        env.simulation().unwrap().crash();
        lost += u64::from(open(&env, small()).unwrap().log.last_seq().get() < acknowledged);
    }
    assert!(lost > 10, "{lost}");
}
