//! Segments are kept as long as somebody needs them, and then used again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mantis_env::Env;
use mantis_log::{Archive, FinishedSegment, Log, LogError, LogOptions, LogRecord};
use mantis_types::Seq;
use parking_lot::Mutex;

use crate::fixture::{append, body, check_all, open, put, small};

fn run(env: &Env) {
    env.simulation()
        .unwrap()
        .advance(Duration::from_secs(1), 10_000);
}

fn filled() -> (Env, Log) {
    let env = Env::simulated(1);
    let log = open(&env, small()).unwrap().log;
    for start in (0..400).step_by(40) {
        put(&log, start + 1, start + 40);
        run(&env);
    }
    (env, log)
}

#[test]
fn released_segments_are_recycled_and_their_records_gone() {
    let (env, log) = filled();
    let before = log.stats();
    assert_eq!(log.oldest_seq(), Seq::new(1));
    log.release(Seq::new(200));
    run(&env);
    let oldest = log.oldest_seq();
    assert!(
        oldest > Seq::new(100) && oldest <= Seq::new(200),
        "{oldest}"
    );
    let gone = log.read(oldest.prev()).unwrap_err();
    assert!(matches!(gone, LogError::SeqGone { oldest: o } if o == oldest));
    let stats = log.stats();
    assert!(stats.segments < before.segments);
    assert!(
        stats.segments_recycled >= 1 && stats.segments_removed >= 1,
        "{stats:?}"
    );
    assert_eq!(check_all(&log), 400);
    // Recycled files hold old records under an old salt: nobody sees them.
    for start in (400..2000).step_by(40) {
        put(&log, start + 1, start + 40);
        log.release(Seq::new(start));
        run(&env);
    }
    assert!(log.stats().segments_recycled > 10);
    let oldest = log.oldest_seq();
    env.simulation().unwrap().crash();
    drop(log);
    let log = open(
        &env,
        LogOptions {
            first_seq: oldest,
            ..small()
        },
    )
    .unwrap()
    .log;
    assert_eq!(check_all(&log), 2000);
}

#[test]
fn old_records_in_a_recycled_file_are_not_taken_for_a_torn_write() {
    let (env, mut log) = filled();
    let mut recycled = 0;
    for start in (400..1600).step_by(30) {
        put(&log, start + 1, start + 30);
        log.release(Seq::new(start));
        run(&env);
        recycled += log.stats().segments_recycled;
        let first_seq = log.oldest_seq();
        env.simulation().unwrap().kill();
        drop(log);
        let opened = open(
            &env,
            LogOptions {
                first_seq,
                ..small()
            },
        )
        .unwrap();
        assert_eq!(opened.recovery.torn, None, "after {start}");
        log = opened.log;
        assert_eq!(check_all(&log), start + 30);
    }
    assert!(recycled > 10, "{recycled}");
}

#[test]
fn a_file_gets_a_new_salt_with_each_life() {
    let (env, log) = filled();
    let mut salts = std::collections::BTreeMap::new();
    for start in (400..1200).step_by(40) {
        put(&log, start + 1, start + 40);
        log.release(Seq::new(start));
        run(&env);
        let files = crate::fixture::save(&env);
        for index in crate::fixture::segments(&files) {
            let block = &files[index].1;
            let (number, salt) = (block[16..24].to_vec(), block[24..32].to_vec());
            let before = salts.insert(salt, number.clone());
            assert!(
                before.is_none_or(|before| before == number),
                "a salt came twice"
            );
        }
    }
    assert!(salts.len() > 10 && log.stats().segments_recycled > 2);
}

#[test]
fn releasing_beyond_the_end_keeps_the_last_segment() {
    let (env, log) = filled();
    log.release(Seq::MAX);
    run(&env);
    assert_eq!(log.stats().segments, 1);
    put(&log, 401, 410);
    assert_eq!(check_all(&log), 410);
}

#[test]
fn a_hold_keeps_what_was_released_until_it_moves_or_goes() {
    let (env, log) = filled();
    let hold = log.hold(Seq::new(50));
    log.release(Seq::new(400));
    run(&env);
    assert!(log.oldest_seq() <= Seq::new(50));
    hold.advance(Seq::new(150));
    run(&env);
    let moved = log.oldest_seq();
    assert!(moved > Seq::new(50) && moved <= Seq::new(150));
    drop(hold);
    run(&env);
    assert!(log.oldest_seq() > Seq::new(300));
}

#[test]
fn a_reader_in_a_removed_segment_reads_it_to_its_end() {
    let (env, log) = filled();
    let mut begun = log.read(Seq::new(1)).unwrap();
    assert_eq!(begun.next().unwrap().unwrap().seq, Seq::new(1));
    // Has looked at nothing yet: what it reads comes from the file, later.
    let fresh = log.read(Seq::new(2)).unwrap();
    log.release(Seq::new(400));
    run(&env);
    for start in (400..1200).step_by(40) {
        put(&log, start + 1, start + 40);
        log.release(Seq::new(start));
        run(&env);
    }
    assert!(log.stats().segments_recycled > 2);
    for mut reader in [begun, fresh] {
        let mut expected = 2;
        let error = loop {
            match reader.next().unwrap() {
                Ok(record) => assert_eq!(
                    record,
                    LogRecord {
                        seq: Seq::new(expected),
                        body: body(expected)
                    }
                ),
                Err(error) => break error,
            }
            expected += 1;
        };
        assert!(
            matches!(error, LogError::SeqGone { .. }) && expected > 30,
            "{error} {expected}"
        );
        assert!(reader.next().is_none());
    }
}

#[derive(Debug, Default)]
struct Shelf {
    kept: Mutex<Vec<FinishedSegment>>,
    refusals: Mutex<u32>,
}

impl Archive for Shelf {
    fn keep(&self, segment: &FinishedSegment) -> io::Result<()> {
        let mut refusals = self.refusals.lock();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.kept.lock().push(segment.clone());
        Ok(())
    }
}

#[test]
fn the_archive_gets_every_segment_in_order_before_it_is_recycled() {
    let env = Env::simulated(1);
    let shelf = Arc::new(Shelf {
        refusals: Mutex::new(4),
        ..Shelf::default()
    });
    let archive: Arc<dyn Archive> = Arc::<Shelf>::clone(&shelf);
    let options = || LogOptions {
        archive: Some(Arc::clone(&archive)),
        ..small()
    };
    let log = open(&env, options()).unwrap().log;
    put(&log, 1, 200);
    log.release(Seq::new(200));
    env.simulation().unwrap().run_tasks(100);
    assert_eq!(
        (log.oldest_seq(), log.stats().archive_failures),
        (Seq::new(1), 1)
    );
    run(&env);
    assert_eq!(
        (log.oldest_seq(), log.stats().archive_failures),
        (Seq::new(1), 4)
    );
    run(&env);
    assert!(log.oldest_seq() > Seq::new(100));
    log.rotate().unwrap();
    run(&env);
    let kept = shelf.kept.lock().clone();
    assert_eq!(log.stats().segments_archived, kept.len() as u64);
    let mut next = Seq::new(1);
    for segment in &kept {
        assert_eq!(segment.first_seq, next);
        next = segment.last_seq.next();
    }
    assert_eq!(next, Seq::new(201));
    // After a restart what is still there is handed over again.
    append(&log, 201).unwrap();
    log.rotate().unwrap();
    log.close().unwrap();
    drop(log);
    let oldest = kept.last().unwrap().first_seq;
    let log = open(
        &env,
        LogOptions {
            first_seq: oldest,
            ..options()
        },
    )
    .unwrap()
    .log;
    run(&env);
    assert_eq!(shelf.kept.lock().last().unwrap().last_seq, Seq::new(201));
    drop(log);
}

#[test]
fn released_segments_are_kept_for_late_readers_up_to_a_size_and_an_age() {
    let env = Env::simulated(1);
    let segment = small().segment_bytes;
    let day = Duration::from_secs(86_400);
    let options = LogOptions {
        retain_bytes: 3 * segment,
        retain_age: day,
        ..small()
    };
    let log = open(&env, options).unwrap().log;
    for start in (0..2000).step_by(40) {
        put(&log, start + 1, start + 40);
        log.release(Seq::new(start));
        run(&env);
    }
    let stats = log.stats();
    assert!(stats.segments >= 4, "{stats:?}");
    assert!(stats.segments_bytes <= 6 * segment, "{stats:?}");
    let oldest = log.oldest_seq();
    assert!(oldest > Seq::new(1) && oldest < Seq::new(1900), "{oldest}");
    let first = log.read(oldest).unwrap().next().unwrap().unwrap();
    assert_eq!(first.seq, oldest);
    env.simulation().unwrap().advance(day * 2, 10_000);
    put(&log, 2001, 2001);
    log.release(Seq::new(2001));
    run(&env);
    assert!(log.oldest_seq() > Seq::new(1900), "age ends it");
}
