//! Many committers at once, of all classes, on a real disk: acknowledged is acknowledged, and a
//! failure reaches everybody who waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mantis_env::{Env, Fault, FaultPlan, OpKind};
use mantis_log::{DurableHook, Log, LogError, LogOptions, Prepared};
use mantis_types::Seq;
use parking_lot::Mutex;

use crate::fixture::{small, with_fs};

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 64 << 10,
        ..small()
    }
}

/// Commits until `ops` are done or one fails; answers what was acknowledged, with its body.
fn committer(
    log: &Log,
    next: &Mutex<u64>,
    writer: u64,
    ops: u64,
) -> (BTreeMap<u64, Vec<u8>>, Result<(), LogError>) {
    let mut acknowledged = BTreeMap::new();
    for op in 0..ops {
        let body = format!("writer {writer} op {op}").into_bytes();
        let prepared = Prepared::new(&body);
        let commit = || -> Result<u64, LogError> {
            log.admit(body.len() as u64)?;
            let seq = {
                let mut next = next.lock();
                log.append(Seq::new(*next), &prepared)?;
                *next += 1;
                *next - 1
            };
            match (writer + op) % 4 {
                0 => log.write(Seq::new(seq))?,
                _ => log.sync(Seq::new(seq))?,
            }
            Ok(seq)
        };
        match commit() {
            Ok(seq) => drop(acknowledged.insert(seq, body)),
            Err(error) => return (acknowledged, Err(error)),
        }
    }
    (acknowledged, Ok(()))
}

type Outcome = (BTreeMap<u64, Vec<u8>>, Vec<Result<(), LogError>>);

fn all(log: &Log, writers: u64, ops: u64) -> Outcome {
    let next = Mutex::new(log.last_seq().get() + 1);
    let (mut acknowledged, mut results) = (BTreeMap::new(), Vec::new());
    std::thread::scope(|scope| {
        let next = &next;
        let work = |writer| scope.spawn(move || committer(log, next, writer, ops));
        let threads: Vec<_> = (0..writers).map(work).collect();
        for thread in threads {
            let (some, result) = thread.join().unwrap();
            acknowledged.extend(some);
            results.push(result);
        }
    });
    (acknowledged, results)
}

fn check(log: &Log, acknowledged: &BTreeMap<u64, Vec<u8>>) {
    let records = log.read(Seq::new(1)).unwrap().map(|record| record.unwrap());
    let records: BTreeMap<u64, Vec<u8>> = records.map(|r| (r.seq.get(), r.body)).collect();
    for (seq, body) in acknowledged {
        assert_eq!(records.get(seq), Some(body), "acknowledged record {seq}");
    }
}

#[test]
fn concurrent_commits_share_syncs_and_are_all_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let durable = Arc::new(AtomicU64::new(0));
    let ear = Arc::clone(&durable);
    let on_durable: DurableHook = Arc::new(move |seq| {
        let before = ear.swap(seq.get(), SeqCst);
        assert!(before < seq.get(), "the durable mark went back");
    });
    let options = LogOptions {
        on_durable: Some(on_durable),
        ..options()
    };
    let log = Log::open(&Env::real(), dir.path(), options.clone())
        .unwrap()
        .log;
    let (acknowledged, results) = all(&log, 16, 200);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(acknowledged.len(), 3200);
    log.sync(log.last_seq()).unwrap();
    assert_eq!(durable.load(SeqCst), 3200);
    let stats = log.stats();
    assert!(
        stats.syncs < 3200 && stats.group_size.sum == 3200,
        "{stats:?}"
    );
    drop(log);
    let options = LogOptions {
        on_durable: None,
        ..options
    };
    let log = Log::open(&Env::real(), dir.path(), options).unwrap().log;
    check(&log, &acknowledged);
}

#[test]
fn a_failing_sync_reaches_everybody_who_waits_and_nothing_is_acknowledged_after_it() {
    for nth in [3, 10, 40, 100] {
        let dir = tempfile::tempdir().unwrap();
        let plan = FaultPlan::new();
        let env = with_fs(&Env::real(), &plan);
        let log = Log::open(&env, dir.path(), options()).unwrap().log;
        plan.fail_from_at(".seg", OpKind::Sync, nth, Fault::Eio);
        let (acknowledged, results) = all(&log, 8, 1000);
        for result in &results {
            assert!(matches!(result, Err(LogError::Poisoned(_))), "{result:?}");
        }
        assert_eq!(plan.fired(), 1, "a sync was tried again");
        let durable = log.durable_seq().get();
        assert!(matches!(log.close(), Err(LogError::Poisoned(_))));
        drop(log);
        let log = Log::open(&Env::real(), dir.path(), options()).unwrap().log;
        assert!(log.last_seq().get() >= durable);
        check(&log, &acknowledged);
    }
}

#[test]
fn a_hook_that_panics_ends_the_log_and_hangs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let on_durable: DurableHook = Arc::new(|seq| assert!(seq < Seq::new(50), "of the hook"));
    let options = LogOptions {
        on_durable: Some(on_durable),
        ..options()
    };
    let log = Log::open(&Env::real(), dir.path(), options).unwrap().log;
    let next = Mutex::new(1);
    std::thread::scope(|scope| {
        let (log, next) = (&log, &next);
        let work = |writer| scope.spawn(move || committer(log, next, writer, 1000).1);
        let threads: Vec<_> = (0..4).map(work).collect();
        let joined: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        assert!(joined.iter().all(|result| !matches!(result, Ok(Ok(())))));
    });
    assert!(log.poisoned().is_some());
}
