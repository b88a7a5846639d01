//! The task that writes out what gathers, so that those who wait for nothing do not.

use std::time::Duration;

use mantis_env::{Env, Fault, FaultPlan, OpKind};
use mantis_log::{Log, LogError};
use mantis_types::Seq;

use crate::fixture::{append, check_all, open, small, with_fs};

/// A quarter of the bound of a small log's buffer.
const MUCH: u64 = 1024;

fn add(log: &Log, seq: u64) {
    log.admit(64).unwrap();
    append(log, seq).unwrap();
}

/// Adds until the task has something to do, and asks for it; answers the last Seq.
fn fill(log: &Log, mut last: u64) -> u64 {
    while log.stats().buffered < MUCH {
        last += 1;
        add(log, last);
    }
    log.admit(64).unwrap();
    last
}

#[test]
fn a_buffer_that_fills_up_is_written_in_the_background() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    let simulation = env.simulation().unwrap();
    simulation.run_tasks(1000);
    // Little: neither by the one who appends, nor by a task, until time passes.
    add(&log, 1);
    simulation.run_tasks(1000);
    assert_eq!(log.written_seq(), Seq::ZERO);
    // A quarter of the bound: by a task, and at once.
    let last = fill(&log, 1);
    assert_eq!(log.written_seq(), Seq::ZERO, "not by the one who appends");
    simulation.run_tasks(1000);
    assert_eq!(log.written_seq(), Seq::new(last));
    assert_eq!((log.stats().writes, log.stats().syncs), (1, 0));
    // And again: one wake-up is not the only one.
    let last = fill(&log, last);
    simulation.run_tasks(1000);
    assert_eq!(log.written_seq(), Seq::new(last));
    assert_eq!(check_all(&log), last);
}

#[test]
fn the_end_of_a_segment_is_synced_in_the_background_too() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    let simulation = env.simulation().unwrap();
    simulation.run_tasks(1000);
    let mut last = 0;
    while log.stats().segments < 4 {
        let (segments, written) = (log.stats().segments, log.written_seq());
        last = fill(&log, last);
        assert_eq!(
            (log.stats().segments, log.written_seq()),
            (segments, written)
        );
        simulation.run_tasks(1000);
        assert_eq!(log.written_seq(), Seq::new(last));
    }
    simulation.crash();
    drop(log);
    let log = open(&env, small()).unwrap().log;
    assert!(
        check_all(&log) > last / 2,
        "segments that ended are on disk"
    );
}

#[test]
fn a_write_that_fails_in_the_background_is_told_to_the_next_who_asks() {
    let env = Env::simulated(1);
    let plan = FaultPlan::new();
    let log = open(&with_fs(&env, &plan), small()).unwrap().log;
    let simulation = env.simulation().unwrap();
    simulation.run_tasks(1000);
    plan.fail_from_at(".seg", OpKind::Write, 1, Fault::Eio);
    let last = fill(&log, 0);
    assert!(log.poisoned().is_none(), "nothing has been tried yet");
    simulation.run_tasks(1000);
    assert!(log.poisoned().is_some());
    assert_eq!(log.stats().background_failures, 1);
    assert!(matches!(log.admit(64), Err(LogError::Poisoned(_))));
    assert!(matches!(
        log.write(Seq::new(last)),
        Err(LogError::Poisoned(_))
    ));
    // It is not tried again either.
    simulation.advance(Duration::from_secs(1), 1000);
    assert_eq!((log.stats().writes, log.written_seq()), (0, Seq::ZERO));
}
