//! Seeded runs with crashes and kills at any moment: what was acknowledged is there afterwards.

use std::time::Duration;

use mantis_env::{Env, SeededRng};
use mantis_log::{Log, LogOptions, Prepared};
use mantis_types::Seq;

use crate::fixture::{open, small};

/// What a run believes about the log.
struct Model {
    /// The body appended last for each Seq, from 1 on.
    bodies: Vec<Vec<u8>>,
    /// Acknowledged as synced.
    synced: u64,
    /// Acknowledged as written.
    written: u64,
    lives: u64,
    released: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Lost {
    last: u64,
    acknowledged: u64,
}

/// One run; `written_counts` is the control: it takes a written record for a durable one.
fn run(seed: u64, written_counts: bool) -> Result<u64, Lost> {
    let env = Env::simulated(seed);
    let draw = SeededRng::new(seed ^ 0x5eed);
    let segment_bytes = 8192 << draw.below(3);
    let options = || LogOptions {
        segment_bytes,
        ..small()
    };
    let mut log = open(&env, options()).unwrap().log;
    let (bodies, synced, written) = (Vec::new(), 0, 0);
    let mut model = Model {
        bodies,
        synced,
        written,
        lives: 0,
        released: 1,
    };
    for _ in 0..120 {
        match draw.below(24) {
            0 => {
                let crash = draw.one_in(2);
                let simulation = env.simulation().unwrap();
                if crash {
                    simulation.crash()
                } else {
                    simulation.kill()
                }
                drop(log);
                let options = LogOptions {
                    first_seq: Seq::new(model.released),
                    ..options()
                };
                let opened = open(&env, options);
                log = opened
                    .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
                    .log;
                let keeps_written = written_counts || !crash;
                check(seed, &log, &mut model, keeps_written)?;
            }
            1 => log.rotate().unwrap(),
            2..=4 => drop(env.simulation().unwrap().run_tasks(50)),
            5 => drop(
                env.simulation()
                    .unwrap()
                    .advance(Duration::from_millis(draw.below(99)), 50),
            ),
            6 => {
                model.released = draw.below(log.durable_seq().get()).max(model.released);
                log.release(Seq::new(model.released));
            }
            choice => step(&log, &draw, &mut model, choice),
        }
    }
    Ok(env.simulation().unwrap().trace_hash())
}

fn step(log: &Log, draw: &SeededRng, model: &mut Model, choice: u64) {
    for _ in 0..=draw.below(8) {
        let seq = model.bodies.len() as u64 + 1;
        let mut body = format!("{seq} in life {}", model.lives).into_bytes();
        body.resize(body.len() + usize::try_from(draw.below(900)).unwrap(), 9);
        log.admit(body.len() as u64).unwrap();
        log.append(Seq::new(seq), &Prepared::new(&body)).unwrap();
        model.bodies.push(body);
    }
    let last = model.bodies.len() as u64;
    match choice {
        7..=13 => {
            log.sync(Seq::new(last)).unwrap();
            (model.synced, model.written) = (last, last);
        }
        14..=18 => {
            log.write(Seq::new(last)).unwrap();
            model.written = last;
        }
        _ => {}
    }
}

fn check(seed: u64, log: &Log, model: &mut Model, keeps_written: bool) -> Result<(), Lost> {
    let last = log.last_seq().get();
    let acknowledged = if keeps_written {
        model.written
    } else {
        model.synced
    };
    if last < acknowledged {
        return Err(Lost { last, acknowledged });
    }
    let from = log.oldest_seq().max(Seq::new(1));
    let mut seen = from.get() - 1;
    for record in log.read(from).unwrap() {
        let record = record.unwrap();
        seen += 1;
        let expected = &model.bodies[usize::try_from(seen).unwrap() - 1];
        assert!(
            record.body == *expected,
            "seed {seed}: record {seen} is not what was appended"
        );
    }
    assert_eq!(seen, last, "seed {seed}");
    assert!(
        from.get() <= model.released.max(1),
        "seed {seed}: more is gone than was released"
    );
    model.bodies.truncate(usize::try_from(last).unwrap());
    // What is there after an opening is durable.
    (model.synced, model.written) = (last, last);
    model.lives += 1;
    Ok(())
}

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("MANTIS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => 0..300,
    }
}

#[test]
fn acknowledged_records_survive_every_crash_and_kill() {
    for seed in seeds() {
        if let Err(lost) = run(seed, false) {
            panic!("seed {seed}: {lost:?}; repeat it with MANTIS_SEED={seed}");
        }
    }
}

#[test]
fn control_a_written_record_taken_for_durable_is_caught() {
    let caught = (0..40).filter(|seed| run(*seed, true).is_err()).count();
    assert!(caught > 5, "{caught}");
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in 0..10 {
        assert_eq!(run(seed, false), run(seed, false));
    }
    assert_ne!(run(1, false), run(2, false));
}

#[test]
fn what_an_opening_has_shown_stays_even_after_a_sync_that_forgot_it() {
    for seed in 0..20 {
        let env = Env::simulated(seed);
        let simulation = env.simulation().unwrap();
        let log = open(&env, small()).unwrap().log;
        crate::fixture::put(&log, 1, 30);
        simulation.fail_syncs(1);
        (31..=35).for_each(|seq| crate::fixture::append(&log, seq).unwrap());
        assert!(log.sync(Seq::new(35)).is_err());
        simulation.kill();
        drop(log);
        let log = open(&env, small()).unwrap().log;
        assert_eq!(
            (log.last_seq(), log.durable_seq()),
            (Seq::new(35), Seq::new(35))
        );
        simulation.crash();
        drop(log);
        assert_eq!(
            open(&env, small()).unwrap().log.last_seq(),
            Seq::new(35),
            "seed {seed}"
        );
    }
}
