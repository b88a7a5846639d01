//! What happens to commits when the disk fails below the log.

use std::sync::Arc;

use mantis_env::{Env, Fault, FaultPlan, FaultyFs, OpKind};
use mantis_types::{Code, Durability, ErrorKind, Seq};

use crate::setup::{commit, open, open_tight, read};

fn faulty(env: &Env, plan: &FaultPlan) -> Env {
    env.with_fs(Arc::new(FaultyFs::new(Arc::clone(env.fs()), plan.clone())))
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_nothing_unsynced_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let plan = FaultPlan::new();
    let env = faulty(&Env::real(), &plan);
    let store = open(&env, Some(&log)).unwrap();
    commit(&store, &[(1, 1)], Durability::Sync).unwrap();
    plan.fail(OpKind::Sync, 1, Fault::Eio);
    let failed = commit(&store, &[(1, 2)], Durability::Sync).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ReadOnly);
    assert_eq!(
        read(&store, 1),
        Some(1),
        "what was never promised is not shown"
    );
    for class in [Durability::None, Durability::Interval, Durability::Sync] {
        let refused = commit(&store, &[(2, 2)], class).unwrap_err();
        assert_eq!(refused.code(), Code::SyncFailed, "{class}");
    }
    assert_eq!(store.durable_seq(), Seq::new(1));
    drop(store.close());
    drop(store);
    let store = open(&Env::real(), Some(&log)).unwrap();
    assert!(
        matches!(read(&store, 1), Some(1 | 2)),
        "the outcome of the failed one is open"
    );
    assert_eq!(read(&store, 2), None);
}

/// A commit that has its Seq stays queued on a full disk and is written when space returns: only one
/// that never began is said to be without effect.
#[test]
fn what_a_full_disk_refuses_never_appears_and_what_it_keeps_queued_is_called_unknown() {
    let mut appeared = 0;
    for kind in [OpKind::Open, OpKind::SetLen, OpKind::Write] {
        for nth in 1..30 {
            appeared += queued_commits_that_appear(kind, nth);
        }
    }
    assert!(appeared > 0, "no commit was kept queued");
}

fn queued_commits_that_appear(kind: OpKind, nth: u64) -> usize {
    let plan = FaultPlan::new();
    let env = faulty(&Env::simulated(nth), &plan);
    let store = open_tight(&env, std::path::Path::new("/log")).unwrap();
    plan.fail(kind, nth, Fault::Enospc);
    let (mut refused, mut queued) = (Vec::new(), Vec::new());
    for n in 1..400 {
        match commit(&store, &[(n, n)], Durability::Sync) {
            Ok(_) => {}
            Err(error) if error.code() == Code::DiskFull => refused.push(n),
            Err(error) if error.code() == Code::Timeout => queued.push(n),
            // A write into a file that has its room does not fail on a disk that is merely full.
            Err(error) => {
                assert_eq!(error.code(), Code::SyncFailed, "{error:?}");
                return 0;
            }
        }
    }
    let wrong = refused.iter().find(|n| read(&store, **n).is_some());
    assert_eq!(wrong, None, "{kind:?} {nth}: refused, and there");
    let appeared = queued.iter().filter(|n| read(&store, **n).is_some());
    appeared.count()
}

#[test]
fn whatever_operation_fails_every_acknowledged_commit_is_there_after_reopening() {
    let mut hit = 0;
    for kind in [
        OpKind::Write,
        OpKind::Sync,
        OpKind::Open,
        OpKind::Rename,
        OpKind::SetLen,
    ] {
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortThenEio(100)] {
            for nth in (1..40).step_by(3) {
                hit += usize::from(acknowledged_survive(kind, nth, fault));
            }
        }
    }
    assert!(hit > 60, "only {hit} runs met their fault");
}

/// Answers whether the fault was met.
fn acknowledged_survive(kind: OpKind, nth: u64, fault: Fault) -> bool {
    let plan = FaultPlan::new();
    let machine = Env::simulated(nth);
    let env = faulty(&machine, &plan);
    plan.fail(kind, nth, fault);
    let log = std::path::Path::new("/log");
    let mut acknowledged = 0;
    if let Ok(store) = open(&env, Some(log)) {
        for n in 1..60 {
            let class = if n % 3 == 0 {
                Durability::Sync
            } else {
                Durability::Interval
            };
            match commit(&store, &[(7, n), (n + 100, n)], class) {
                Ok(done) if done.durability == Durability::Sync => acknowledged = n,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    let fired = plan.fired() > 0;
    machine.simulation().expect("made as one").crash();
    let store = open(&machine, Some(log))
        .unwrap_or_else(|e| panic!("cannot be opened after {fault:?} at {kind:?} {nth}: {e:?}"));
    let found = read(&store, 7).unwrap_or(0);
    assert!(
        found >= acknowledged,
        "{kind:?} {nth} {fault:?}: {found} < {acknowledged}"
    );
    for n in 1..=found {
        assert_eq!(
            read(&store, n + 100),
            Some(n),
            "{kind:?} {nth} {fault:?}: a torn commit"
        );
    }
    fired
}
