//! What the calls of a log promise while nothing goes wrong.

use std::sync::Arc;
use std::time::Duration;

use mantis_env::Env;
use mantis_log::{Log, LogError, LogOptions, Prepared, RECORD_BYTES_MAX, verify};
use mantis_types::{Code, ErrorKind, Seq};
use parking_lot::Mutex;

use crate::fixture::{append, body, check_all, dir, machine, open, put, save, small};

#[test]
fn records_read_back_across_segments_and_openings() {
    let env = Env::simulated(1);
    let mut last = 0;
    for round in 1..=5 {
        let opened = open(&env, small()).unwrap();
        assert_eq!(opened.recovery.created, round == 1);
        assert_eq!(opened.recovery.records, last);
        assert_eq!(
            (opened.recovery.torn, opened.recovery.findings.len()),
            (None, 0)
        );
        put(&opened.log, last + 1, last + 100);
        last += 100;
        assert_eq!(check_all(&opened.log), last);
        opened.log.close().unwrap();
    }
    let report = verify(&env, dir(), Seq::new(1)).unwrap();
    assert!(report.is_sound() && report.segments.len() > 5, "{report:?}");
    assert_eq!(report.segments.iter().map(|s| s.records).sum::<u64>(), last);
}

#[test]
fn the_same_calls_work_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::real();
    for round in 0..3 {
        let log = Log::open(&env, &dir.path().join("log"), small())
            .unwrap()
            .log;
        put(&log, round * 200 + 1, round * 200 + 200);
        assert_eq!(check_all(&log), round * 200 + 200);
        if round != 1 {
            log.close().unwrap();
        }
    }
}

/// How many records are there after the end of a machine or a process.
fn left_of(class: &str, crashed: bool, seed: u64) -> u64 {
    let env = Env::simulated(seed);
    let log = open(&env, small()).unwrap().log;
    append(&log, 1).unwrap();
    match class {
        "written" => log.write(Seq::new(1)).unwrap(),
        "synced" => log.sync(Seq::new(1)).unwrap(),
        _ => {}
    }
    let simulation = env.simulation().unwrap();
    if crashed {
        simulation.crash()
    } else {
        simulation.kill()
    }
    drop(log);
    open(&env, small()).unwrap().log.last_seq().get()
}

#[test]
fn classes_survive_what_they_promise() {
    // Nothing was asked for: neither kill nor crash keeps it. Written: a kill does. Synced: both.
    for (class, kill, crash) in [("none", 0, 0), ("written", 1, 0), ("synced", 1, 1)] {
        let least = |crashed| {
            (0..20)
                .map(|seed| left_of(class, crashed, seed))
                .min()
                .unwrap()
        };
        assert_eq!((least(false), least(true)), (kill, crash), "{class}");
    }
}

#[test]
fn the_background_writes_and_syncs_what_nobody_asked_for() {
    let env = Env::simulated(1);
    let interval = Duration::from_millis(100);
    let log = open(
        &env,
        LogOptions {
            interval,
            ..small()
        },
    )
    .unwrap()
    .log;
    let simulation = env.simulation().unwrap();
    simulation.run_tasks(1000);
    append(&log, 1).unwrap();
    assert_eq!(
        (log.written_seq(), log.durable_seq()),
        (Seq::ZERO, Seq::ZERO)
    );
    simulation.advance(Duration::from_millis(12), 1000);
    assert_eq!(
        (log.written_seq(), log.durable_seq()),
        (Seq::new(1), Seq::ZERO)
    );
    simulation.advance(interval - Duration::from_millis(12), 1000);
    assert_eq!(log.durable_seq(), Seq::new(1));
    assert_eq!(log.stats().syncs, 1);
    // At rest again, nothing is stepped without need.
    assert_eq!(simulation.advance(Duration::from_secs(10), 1000), 0);
    append(&log, 2).unwrap();
    simulation.advance(interval, 1000);
    assert_eq!(log.durable_seq(), Seq::new(2));
}

#[test]
fn one_commit_with_nothing_else_costs_one_write_and_one_sync() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    env.simulation().unwrap().run_tasks(1000);
    let plan = mantis_env::FaultPlan::new();
    drop(log);
    let faulty = crate::fixture::with_fs(&env, &plan);
    let log = open(&faulty, small()).unwrap().log;
    env.simulation().unwrap().run_tasks(1000);
    let syncs = plan.seen(mantis_env::OpKind::Sync);
    put(&log, 1, 1);
    env.simulation()
        .unwrap()
        .advance(Duration::from_secs(60), 10_000);
    assert_eq!(plan.seen(mantis_env::OpKind::Sync) - syncs, 1);
    assert_eq!((log.stats().writes, log.stats().syncs), (1, 1));
}

#[test]
fn one_sync_makes_everything_before_durable_and_the_hook_says_so_first() {
    let env = Env::simulated(1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let on_durable: mantis_log::DurableHook = Arc::new(move |seq| ear.lock().push(seq.get()));
    let log = open(
        &env,
        LogOptions {
            on_durable: Some(on_durable),
            ..small()
        },
    )
    .unwrap()
    .log;
    (1..=10).for_each(|seq| append(&log, seq).unwrap());
    log.sync(Seq::new(3)).unwrap();
    assert_eq!(log.durable_seq(), Seq::new(10));
    log.sync(Seq::new(10)).unwrap();
    put(&log, 11, 12);
    assert_eq!(*heard.lock(), [10, 11, 12]);
    let stats = log.stats();
    assert_eq!(
        (stats.syncs, stats.group_size.sum, stats.group_size.count()),
        (3, 12, 3)
    );
}

#[test]
fn wrong_calls_are_refused_and_change_nothing() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 3);
    for wrong in [0, 3, 5] {
        let error = append(&log, wrong).unwrap_err();
        assert!(matches!(error, LogError::OutOfOrder { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    assert!(matches!(
        log.sync(Seq::new(4)).unwrap_err(),
        LogError::OutOfOrder { .. }
    ));
    let large = vec![0; usize::try_from(RECORD_BYTES_MAX).unwrap() + 1];
    let error = log.append(Seq::new(4), &Prepared::new(&large)).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    put(&log, 4, 4);
    assert_eq!(check_all(&log), 4);
    for bad in [
        LogOptions {
            segment_bytes: 4096,
            ..small()
        },
        LogOptions {
            interval: Duration::ZERO,
            ..small()
        },
        LogOptions {
            first_seq: Seq::ZERO,
            ..small()
        },
    ] {
        assert_eq!(open(&env, bad).unwrap_err().code(), Code::InvalidValue);
    }
}

#[test]
fn a_closed_log_takes_nothing_and_reads_on() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 3);
    append(&log, 4).unwrap();
    log.close().unwrap();
    log.close().unwrap();
    assert_eq!(log.durable_seq(), Seq::new(4));
    assert_eq!(append(&log, 5).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(log.admit(1).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(check_all(&log), 4);
    env.simulation().unwrap().crash();
    assert_eq!(open(&env, small()).unwrap().log.last_seq(), Seq::new(4));
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 3);
    let large: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    log.append(Seq::new(4), &Prepared::new(&large)).unwrap();
    append(&log, 5).unwrap();
    log.sync(Seq::new(5)).unwrap();
    env.simulation().unwrap().crash();
    drop(log);
    let log = open(&env, small()).unwrap().log;
    let bodies: Vec<_> = log
        .read(Seq::new(3))
        .unwrap()
        .map(|r| r.unwrap().body)
        .collect();
    assert_eq!(bodies, [body(3), large, body(5)]);
}

#[test]
fn an_empty_body_is_a_record() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    log.append(Seq::new(1), &Prepared::new(&[])).unwrap();
    log.sync(Seq::new(1)).unwrap();
    assert_eq!(
        log.read(Seq::new(1)).unwrap().next().unwrap().unwrap().body,
        b""
    );
}

#[test]
fn a_log_can_begin_anywhere_and_is_not_made_unasked() {
    let env = Env::simulated(1);
    let never = LogOptions {
        create: false,
        ..small()
    };
    assert!(matches!(open(&env, never).unwrap_err(), LogError::Absent));
    let from = LogOptions {
        first_seq: Seq::new(500),
        ..small()
    };
    let log = open(&env, from.clone()).unwrap().log;
    put(&log, 500, 520);
    log.close().unwrap();
    let opened = open(
        &env,
        LogOptions {
            create: false,
            ..from
        },
    )
    .unwrap();
    assert_eq!(opened.recovery.oldest_seq, Seq::new(500));
    assert_eq!(check_all(&opened.log), 520);
}

#[test]
fn what_stands_before_the_first_needed_record_is_not_read_at_open() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 400);
    log.close().unwrap();
    let mut files = save(&env);
    let first = crate::fixture::segments(&files)[0];
    files[first].1[4096 + 50] ^= 1;
    let env = machine(&files);
    let needed = LogOptions {
        first_seq: Seq::new(300),
        ..small()
    };
    let opened = open(&env, needed).unwrap();
    assert_eq!(opened.log.last_seq(), Seq::new(400));
    assert!(opened.recovery.records < 400);
    let read = opened
        .log
        .read(Seq::new(1))
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    assert_eq!(read.kind(), ErrorKind::Corrupt);
    drop(opened);
    assert_eq!(open(&env, small()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn rotation_begins_a_segment_unless_the_last_is_empty() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    log.rotate().unwrap();
    assert_eq!(log.stats().segments, 1);
    put(&log, 1, 2);
    log.rotate().unwrap();
    log.rotate().unwrap();
    assert_eq!(log.stats().segments, 2);
    env.simulation().unwrap().crash();
    drop(log);
    let log = open(&env, small()).unwrap().log;
    assert_eq!(log.stats().segments, 2);
    put(&log, 3, 4);
    assert_eq!(check_all(&log), 4);
}

#[test]
fn segments_are_written_ahead_once_half_of_one_is_used() {
    let env = Env::simulated(1);
    let segment_bytes = 65536;
    let log = open(
        &env,
        LogOptions {
            segment_bytes,
            ..small()
        },
    )
    .unwrap()
    .log;
    let simulation = env.simulation().unwrap();
    simulation.run_tasks(1000);
    put(&log, 1, 300);
    simulation.run_tasks(1000);
    assert_eq!(log.stats().spares, 0, "less than half is used");
    let mut last = 300;
    while log.stats().segments < 10 {
        put(&log, last + 1, last + 200);
        simulation.advance(Duration::from_millis(200), 1000);
        last += 200;
    }
    let stats = log.stats();
    assert_eq!(
        (stats.segments_begun, stats.segments_small),
        (9, 0),
        "{stats:?}"
    );
    assert_eq!(check_all(&log), last);
    // Without the background there is a way, too.
    put(&log, last + 1, last + 2000);
    assert!(log.stats().segments_small > 0);
    assert_eq!(check_all(&log), last + 2000);
}

#[test]
fn the_buffer_is_bounded_by_those_who_ask_for_admission() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    let mut most = 0;
    for seq in 1..=500 {
        log.admit(64).unwrap();
        append(&log, seq).unwrap();
        most = most.max(log.stats().buffered);
    }
    assert!(most > 2000 && most < 4096 + 200, "{most}");
    log.close().unwrap();
    assert_eq!(check_all(&log), 500);
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let run = || {
        let env = Env::simulated(4);
        let log = open(&env, small()).unwrap().log;
        put(&log, 1, 200);
        env.simulation().unwrap().run_tasks(1000);
        log.close().unwrap();
        (env.simulation().unwrap().trace_hash(), save(&env))
    };
    assert_eq!(run(), run());
}
