//! Readers that follow the log while it is written.

use std::time::Duration;

use mantis_env::Env;
use mantis_log::{Log, LogReader};
use mantis_types::Seq;

use crate::fixture::{append, body, open, put, small};

fn drain(reader: &mut LogReader) -> Vec<u64> {
    reader
        .map(|record| record.unwrap())
        .inspect(|r| assert_eq!(r.body, body(r.seq.get())))
        .map(|r| r.seq.get())
        .collect()
}

#[test]
fn a_reader_sees_what_is_written_as_it_is_written() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    let mut reader = log.read(Seq::new(1)).unwrap();
    assert_eq!(drain(&mut reader), []);
    append(&log, 1).unwrap();
    assert_eq!(drain(&mut reader), [], "appended only");
    log.write(Seq::new(1)).unwrap();
    assert_eq!(drain(&mut reader), [1], "written, not synced");
    put(&log, 2, 300);
    assert_eq!(drain(&mut reader), (2..=300).collect::<Vec<_>>());
    log.rotate().unwrap();
    assert_eq!(drain(&mut reader), []);
    put(&log, 301, 302);
    assert_eq!(drain(&mut reader), [301, 302]);
    assert_eq!(reader.next_seq(), Seq::new(303));
}

#[test]
fn a_reader_can_begin_anywhere_also_before_the_record_is_there() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    put(&log, 1, 200);
    for from in [1, 2, 57, 100, 199, 200, 201] {
        let mut reader = log.read(Seq::new(from)).unwrap();
        assert_eq!(drain(&mut reader), (from..=200).collect::<Vec<_>>());
    }
    let mut ahead = log.read(Seq::new(250)).unwrap();
    put(&log, 201, 240);
    assert_eq!(drain(&mut ahead), []);
    put(&log, 241, 260);
    assert_eq!(drain(&mut ahead), (250..=260).collect::<Vec<_>>());
}

#[test]
fn waiting_ends_with_the_timeout_a_record_or_the_log() {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    let mut reader = log.read(Seq::new(1)).unwrap();
    let before = env.clock().monotonic();
    assert!(!reader.wait(Duration::from_millis(30)));
    assert_eq!(env.clock().monotonic() - before, Duration::from_millis(30));
    put(&log, 1, 1);
    assert!(reader.wait(Duration::ZERO));
    assert_eq!(drain(&mut reader), [1]);
    log.close().unwrap();
    assert!(!reader.wait(Duration::MAX));
}

fn follow(log: &Log, from: u64, to: u64) {
    let mut reader = log.read(Seq::new(from)).unwrap();
    let mut next = from;
    while next <= to {
        assert!(reader.wait(Duration::from_secs(60)), "nothing after {next}");
        for seq in drain(&mut reader) {
            assert_eq!(seq, next);
            next += 1;
        }
    }
}

#[test]
fn many_readers_follow_a_writer_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&Env::real(), dir.path(), small()).unwrap().log;
    std::thread::scope(|scope| {
        for from in [1, 1, 500, 900] {
            let log = &log;
            scope.spawn(move || follow(log, from, 1500));
        }
        put(&log, 1, 1500);
    });
    log.close().unwrap();
}

#[test]
fn a_waiting_reader_is_woken_when_the_log_closes() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&Env::real(), dir.path(), small()).unwrap().log;
    std::thread::scope(|scope| {
        let mut reader = log.read(Seq::new(1)).unwrap();
        let waiting = scope.spawn(move || reader.wait(Duration::from_secs(60)));
        log.close().unwrap();
        assert!(!waiting.join().unwrap());
    });
}
