//! Limits: pinned views, back-pressure, checkpoints, sizes of commits.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;

fn fill(db: &mut Db, round: u32, rows: u32) {
    for n in 0..rows {
        db.put(&format!("{n:05}"), &format!("{round} {}", "v".repeat(200)));
    }
}

#[test]
fn pinned_memory_and_disk_are_counted_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    fill(&mut db, 0, 200);
    let held = db.engine.snapshot();
    assert_eq!(
        db.engine.status().pinned_memory_bytes,
        0,
        "the current view holds it, too"
    );
    db.flush();
    let status = db.engine.status();
    assert!(status.pinned_memory_bytes > 200 * 200, "{status:?}");
    assert_eq!((status.pinned_disk_bytes, status.snapshots), (0, 1));
    assert_eq!(status.oldest_snapshot, Some(Seq::new(200)));
    drop(held);
    assert_eq!(db.engine.status().pinned_memory_bytes, 0);
    let held = db.engine.snapshot();
    fill(&mut db, 1, 200);
    db.flush();
    db.engine.compact().unwrap();
    let status = db.engine.status();
    assert!(status.pinned_disk_bytes > 0, "{status:?}");
    assert_eq!(
        db.get_at(&held, "00001"),
        Some(format!("0 {}", "v".repeat(200)))
    );
    drop(held);
    let status = db.engine.status();
    assert_eq!(
        (
            status.pinned_memory_bytes,
            status.pinned_disk_bytes,
            status.snapshots
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_oldest_snapshots_end_when_they_hold_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let options = LsmOptions {
        pinned_memory_bytes_max: 200 << 10,
        ..by_hand()
    };
    let mut db = Db::open(dir.path(), options);
    let mut held = Vec::new();
    for round in 0..6 {
        fill(&mut db, round, 200);
        held.push(db.engine.snapshot());
        db.flush();
    }
    let status = db.engine.status();
    assert!(status.pinned_memory_bytes <= 200 << 10, "{status:?}");
    assert!((2..6).contains(&status.views_ended), "{status:?}");
    let ended = usize::try_from(status.views_ended).unwrap();
    for (round, snapshot) in held.iter().enumerate() {
        let read = db.engine.get(snapshot, &key("00001"));
        let mut scan = db.engine.scan(snapshot, ALL, Direction::Forward).unwrap();
        if round < ended {
            let error = read.unwrap_err();
            assert_eq!(error.code(), mantis_types::Code::SnapshotTooOld);
            assert!(matches!(
                scan.next(),
                Some(Err(EngineError::SnapshotTooOld))
            ));
            assert!(scan.next().is_none());
        } else {
            assert!(read.unwrap().is_some(), "round {round}");
            assert_eq!(scan.count(), 200);
        }
    }
    assert_eq!(db.scan().len(), 200, "new snapshots are not touched");
}

#[test]
fn writers_are_slowed_down_then_held_back_then_refused() {
    let dir = tempfile::tempdir().unwrap();
    let held = Arc::new(AtomicBool::new(true));
    let hold = Arc::clone(&held);
    let probe: Probe = Arc::new(move |point| {
        while point == Point::FlushBegun && hold.load(SeqCst) {
            std::thread::yield_now();
        }
        Ok(())
    });
    let options = LsmOptions {
        stall_wait_max: Duration::from_millis(100),
        ..small()
    };
    let mut db = Db::open(dir.path(), with_hooks(options, None, Some(probe)));
    let payload = "x".repeat(1000);
    let mut taken = 0;
    let refused = loop {
        if let Err(error) = db.engine.admit(1100) {
            break error;
        }
        db.put(&format!("{taken}"), &payload);
        taken += 1;
    };
    assert!(matches!(refused, EngineError::Stalled), "{refused:?}");
    let status = db.engine.status();
    let max = 4 << 20;
    assert!(status.memtable_bytes < max + (64 << 10), "{status:?}");
    assert!(status.memtable_bytes > max / 2, "{status:?}");
    assert!(
        status.stalls > 10 && status.stall_seconds > 0.1,
        "slowed down first: {status:?}"
    );
    held.store(false, SeqCst);
    db.flush();
    db.engine.admit(1100).unwrap();
    assert_eq!(db.scan().len(), taken);
}

#[test]
fn a_commit_that_fits_no_memtable_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), small());
    let refused = db.engine.admit(4 << 20).unwrap_err();
    assert!(
        matches!(refused, EngineError::CommitTooLarge { max: 3_145_728, .. }),
        "{refused:?}"
    );
    assert_eq!(refused.code(), mantis_types::Code::TooLarge);
    db.engine.admit(3 << 20).unwrap();
}

#[test]
fn sealing_happens_without_waiting_and_memtables_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    fill(&mut db, 0, 9000);
    let status = db.engine.status();
    assert!(status.memtables_sealed >= 2, "{status:?}");
    for memtable in &db.shared().view.load().sealed {
        assert!(memtable.bytes() <= (1 << 20) + 400, "{memtable:?}");
        assert!(memtable.bytes() > 900 << 10, "{memtable:?}");
    }
    assert_eq!(db.scan().len(), 9000);
}

#[test]
fn a_checkpoint_is_a_store_of_its_own_and_costs_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut db = Db::open(&store, by_hand());
    fill(&mut db, 0, 300);
    db.flush();
    fill(&mut db, 1, 100);
    db.flush();
    db.put("00000", "in memory only");
    let target = dir.path().join("checkpoint");
    let info = db.engine.checkpoint(&target).unwrap();
    assert_eq!((info.replay_from, info.tables), (Seq::new(401), 2));
    let again = db.engine.checkpoint(&target).unwrap_err();
    assert!(
        matches!(again, EngineError::Io { .. }),
        "an existing directory is not touched"
    );
    // The store goes on and drops its tables; the checkpoint keeps them.
    fill(&mut db, 2, 300);
    db.flush();
    db.engine.compact().unwrap();
    let copy = Db::open(&target, by_hand());
    assert_eq!(copy.engine.replay_from(), Seq::new(401));
    assert_eq!(copy.scan().len(), 300);
    assert_eq!(copy.get("00000"), Some(format!("1 {}", "v".repeat(200))));
    assert_eq!(copy.get("00200"), Some(format!("0 {}", "v".repeat(200))));
    assert!(verify(&target).unwrap().damages.is_empty());
    assert_eq!(db.get("00000"), Some(format!("2 {}", "v".repeat(200))));
}

#[test]
fn checkpoints_are_whole_while_writers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(&dir.path().join("store"), small());
    fill(&mut db, 0, 300);
    db.flush();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let engine = &db.engine;
        scope.spawn(|| {
            for n in 0..15 {
                let target = dir.path().join(format!("checkpoint {n}"));
                let info = engine.checkpoint(&target).unwrap();
                let copy = Db::open(&target, by_hand());
                assert_eq!(copy.engine.replay_from(), info.replay_from);
                assert_eq!(copy.scan().len(), 300);
            }
            done.store(true, SeqCst);
        });
        let mut batches = 0;
        let mut last = engine.horizon().get();
        while !done.load(SeqCst) {
            let mut batch = WriteBatchBuilder::default();
            batch
                .put(
                    &key(format!("{:05}", batches % 300)),
                    &record("v".repeat(500)),
                )
                .unwrap();
            let batch = batch.finish();
            last = last.next();
            engine.apply(&engine.place(last, 500), last, &batch);
            assert!(engine.horizon().advance(last.prev()));
            batches += 1;
            if batches % 50 == 0 {
                engine.flush().unwrap();
            }
        }
    });
}

#[test]
fn a_bulk_load_over_keys_in_memtables_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    db.put("m", "in memory");
    let seq = db.commit(&[]);
    let rows = |names: [&'static str; 2]| names.map(|n| (key(n), record("loaded"))).into_iter();
    let refused = db.engine.bulk_load(seq, &mut rows(["a", "z"])).unwrap_err();
    assert!(
        matches!(refused, EngineError::BulkRefused { .. }),
        "{refused:?}"
    );
    assert_eq!(
        db.engine
            .bulk_load(seq, &mut rows(["n", "z"]))
            .unwrap()
            .rows,
        2
    );
    db.flush();
    let seq = db.commit(&[]);
    db.engine.bulk_load(seq, &mut rows(["a", "m"])).unwrap();
    assert_eq!(db.scan(), ["a=loaded", "m=loaded", "n=loaded", "z=loaded"]);
    db.flush();
    assert_eq!(
        table_files(dir.path()),
        db.engine.status().tables,
        "the refused file is gone"
    );
}

#[test]
fn a_clean_close_leaves_nothing_to_replay() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), small());
    fill(&mut db, 0, 100);
    db.engine.close().unwrap();
    drop(db);
    let db = Db::open(dir.path(), small());
    assert_eq!(db.engine.replay_from(), Seq::new(101));
    assert_eq!(db.engine.horizon().get(), Seq::new(100));
    assert_eq!(db.scan().len(), 100);
}

#[test]
fn a_young_snapshot_is_not_ended_for_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let options = LsmOptions {
        pinned_memory_bytes_max: 1,
        snapshot_grace: Duration::from_millis(200),
        ..by_hand()
    };
    let mut db = Db::open(dir.path(), options);
    fill(&mut db, 0, 100);
    let held = db.engine.snapshot();
    let env = Env::real();
    let started = env.clock().monotonic();
    db.flush();
    while db.engine.status().views_ended == 0 {
        assert!(
            env.clock().monotonic() - started < PATIENCE,
            "it is never ended"
        );
    }
    assert!(env.clock().monotonic() - started >= Duration::from_millis(200));
    assert!(matches!(
        db.engine.get(&held, &key("00001")),
        Err(EngineError::SnapshotTooOld)
    ));
}
