//! Lines 1 to 7, 9 and 10. Each check is a function of the options, so that the same check runs on
//! the engine as it is and on one with that line broken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::*;
use crate::{FlushBarrier, LogReach};

/// Runs a check as it must hold, then with the defect, which it must notice.
fn holds_and_notices(defect: Defect, check: impl Fn(LsmOptions) -> bool) {
    assert!(check(by_hand()), "the line does not hold");
    assert!(
        !check(broken(defect)),
        "the check does not notice {defect:?}"
    );
}

#[test]
fn line_1_nothing_is_written_into_the_tree_itself() {
    holds_and_notices(Defect::WriteIntoTree, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        let empty_at_first = db.shared().store.own_memtables_are_empty();
        for n in 0..50 {
            db.put(&format!("{n:03}"), "value");
            if n % 10 == 0 {
                db.flush();
            }
        }
        db.engine.compact().unwrap();
        // Flushes and compactions take none of our numbers.
        assert_eq!(db.engine.horizon().get(), Seq::new(50));
        // The tree flushes its own memtable with the next run: then foreign rows appear.
        empty_at_first && db.shared().store.own_memtables_are_empty() && db.scan().len() == 50
    });
}

#[test]
fn line_2_new_tables_are_newer_than_those_of_earlier_openings() {
    holds_and_notices(Defect::CounterFromStart, |options| {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..5 {
            let mut db = Db::open(dir.path(), options.clone());
            for _ in 0..=(4 - round) {
                db.put("key", &format!("round {round}"));
                db.put(&format!("other {round}"), "value");
                db.flush();
            }
            if !db.scan().contains(&format!("key=round {round}")) {
                return false;
            }
            db.engine.compact().unwrap();
            if db.get("key") != Some(format!("round {round}")) {
                return false;
            }
        }
        true
    });
}

#[test]
fn line_3_reads_do_not_wait_for_the_lock_that_finish_holds() {
    holds_and_notices(Defect::ReadThroughTree, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("key", "value");
        db.flush();
        let db = Arc::new(db);
        let reader = Arc::clone(&db);
        let mut free = false;
        db.shared().store.with_version_lock(|| {
            free = ends_soon(move || {
                assert_eq!(reader.get("key").as_deref(), Some("value"));
                assert_eq!(reader.scan(), ["key=value"]);
            });
        });
        free
    });
}

#[test]
fn line_3_an_old_snapshot_reads_its_own_tables() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    let mut held = Vec::new();
    for round in 0..12 {
        for n in 0..30 {
            db.put(&format!("{n:03}"), &format!("round {round}"));
        }
        db.flush();
        held.push((db.engine.snapshot(), round));
        if round % 4 == 3 {
            db.engine.compact().unwrap();
        }
    }
    for (snapshot, round) in &held {
        for n in 0..30 {
            let found = db.get_at(snapshot, &format!("{n:03}"));
            assert_eq!(found, Some(format!("round {round}")), "{snapshot:?}");
        }
    }
    let files = table_files(dir.path());
    drop(held);
    db.shared().refresh(None).unwrap();
    db.shared().store.maintain().unwrap();
    assert!(
        table_files(dir.path()) < files,
        "tables of old snapshots go with them"
    );
    assert_eq!(table_files(dir.path()), db.engine.status().tables);
}

#[test]
fn line_4_only_visible_commits_are_flushed() {
    holds_and_notices(Defect::FlushInvisible, |options| {
        let dir = tempfile::tempdir().unwrap();
        let options = LsmOptions {
            stall_wait_max: Duration::from_millis(50),
            ..options
        };
        let mut db = Db::open(dir.path(), options);
        db.put("key", "published");
        let snapshot = db.engine.snapshot();
        let seq = db.apply(&[(&key("key"), Some(&record("not published")))]);
        // A defect flushes it; otherwise the flush waits for its publication, and gives up.
        let stalled = matches!(db.engine.flush(), Err(EngineError::Stalled));
        let hidden = db.get("key").as_deref() == Some("published");
        assert_eq!(db.get_at(&snapshot, "key").as_deref(), Some("published"));
        assert!(db.engine.horizon().advance(seq.prev()));
        db.flush();
        assert_eq!(db.get("key").as_deref(), Some("not published"));
        stalled && hidden
    });
}

#[test]
fn line_4_the_newest_version_of_each_key_is_flushed_deletes_included() {
    holds_and_notices(Defect::FlushWithoutDeletes, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("deleted", "old");
        db.put("kept", "old");
        db.flush();
        db.put("kept", "newer");
        db.put("kept", "newest");
        db.put("made and deleted", "short lived");
        db.delete("made and deleted");
        db.delete("deleted");
        db.flush();
        // kept twice, two deletes, one old value, the mark of each flush.
        let entries = db.engine.status().table_entries;
        db.scan() == ["kept=newest"] && db.get("deleted").is_none() && entries == 7
    });
}

/// A crash at any point of a flush leaves a store in which table and mark agree.
#[test]
fn line_4_tables_and_replay_mark_become_durable_together() {
    holds_and_notices(Defect::MarkAfterwards, |options| {
        let dir = tempfile::tempdir().unwrap();
        let copies = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let (from, to) = (store.clone(), copies.path().to_owned());
        let probe: Probe = Arc::new(move |point| {
            copy_of(&from, &to.join(format!("{point:?}")));
            Ok(())
        });
        let defect = options.hooks.defect;
        let mut db = Db::open(&store, with_hooks(options, defect, Some(probe)));
        for n in 0..20 {
            db.put(&format!("{n:02}"), "value");
        }
        db.flush();
        for point in [Point::FlushBegun, Point::FlushWritten, Point::FlushFinished] {
            let crashed = Db::open(&copies.path().join(format!("{point:?}")), by_hand());
            let has_tables = !crashed.scan().is_empty();
            let marked = crashed.engine.replay_from() == Seq::new(21);
            assert!(marked || crashed.engine.replay_from() == Seq::new(1));
            if has_tables != marked {
                return false;
            }
        }
        true
    });
}

#[test]
fn line_4_no_file_is_left_by_a_flush_without_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    db.flush();
    db.commit(&[]);
    db.flush();
    assert_eq!(table_files(dir.path()), 0);
    assert_eq!(
        db.engine.replay_from(),
        Seq::new(1),
        "the log still has to keep it"
    );
    db.put("key", "value");
    db.flush();
    db.commit(&[]);
    db.flush();
    assert_eq!(table_files(dir.path()), 1);
    assert_eq!(db.engine.status().memtables_sealed, 0);
}

#[test]
fn line_4_a_flush_waits_until_the_log_has_its_commits() {
    let dir = tempfile::tempdir().unwrap();
    let options = LsmOptions {
        stall_wait_max: Duration::from_millis(50),
        ..by_hand()
    };
    let mut db = Db::open(dir.path(), options);
    let durable = Arc::new(AtomicU64::new(0));
    let log = Arc::clone(&durable);
    let barrier: FlushBarrier = Arc::new(move |seq| {
        let on_disk = log.load(SeqCst) >= seq.get();
        if on_disk {
            LogReach::OnDisk
        } else {
            LogReach::NotYet
        }
    });
    db.engine.set_flush_barrier(barrier);
    db.put("key", "value");
    assert!(matches!(db.engine.flush(), Err(EngineError::Stalled)));
    assert_eq!(
        (table_files(dir.path()), db.engine.replay_from()),
        (0, Seq::new(1))
    );
    durable.store(1, SeqCst);
    db.flush();
    assert_eq!(
        (table_files(dir.path()), db.engine.replay_from()),
        (1, Seq::new(2))
    );
}

#[test]
fn line_5_the_view_is_swapped_after_a_flush() {
    holds_and_notices(Defect::KeepFlushed, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("key", "value");
        db.shared().seal_for_flush();
        db.shared().flush_oldest().unwrap();
        assert_eq!(db.get("key").as_deref(), Some("value"));
        db.engine.status().memtables_sealed == 0
    });
}

/// What tables hold already does no harm when it is replayed above them.
#[test]
fn line_5_replay_over_tables_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let db = Db::open(&store, by_hand());
    let mut log = Vec::new();
    for n in 0..60_u32 {
        let mut batch = WriteBatchBuilder::default();
        match n % 3 {
            2 => batch.delete(&key(format!("{:02}", n / 2 % 10))).unwrap(),
            _ => batch
                .put(&key(format!("{:02}", n % 10)), &record(format!("{n}")))
                .unwrap(),
        }
        let batch = batch.finish();
        let seq = Seq::new(u64::from(n) + 1);
        db.engine.recover(seq, &batch).unwrap();
        log.push(batch);
        if n % 20 == 10 {
            db.flush();
        }
        if n == 35 {
            db.engine.compact().unwrap();
        }
    }
    let expected = db.scan();
    let crashed = Db::open(&copy_of(&store, copies.path()), by_hand());
    // From the mark on, as opening does, and from further back, as an older mark would.
    for from in [crashed.engine.replay_from().get(), 31] {
        let copies = tempfile::tempdir().unwrap();
        let again = Db::open(&copy_of(&store, copies.path()), by_hand());
        assert_eq!(again.engine.replay_from(), Seq::new(52));
        for seq in from.min(52)..=60 {
            let batch = &log[usize::try_from(seq - 1).unwrap()];
            if seq >= 52 {
                again.engine.recover(Seq::new(seq), batch).unwrap();
            }
        }
        assert_eq!(again.scan(), expected, "replayed from {from}");
    }
}

#[test]
fn line_6_compaction_leaves_one_version_of_each_key() {
    holds_and_notices(Defect::KeepTableVersions, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        let held = db.engine.snapshot();
        for round in 0..6 {
            for n in 0..10 {
                db.put(&format!("{n}"), &format!("round {round}"));
            }
            db.flush();
        }
        db.engine.compact().unwrap();
        // Scans take it for granted that a run holds a key once.
        let once = db.scan().len() == 10;
        assert_eq!(
            db.get_at(&held, "1"),
            None,
            "an old snapshot needs no old version"
        );
        // Ten keys and the mark.
        once && db.engine.status().table_entries == 11
    });
}

#[test]
fn line_6_the_view_is_swapped_after_a_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    for round in 0..3 {
        db.put("key", &format!("round {round}"));
        db.flush();
    }
    let before = db.shared().view.load().tables.as_ref().unwrap().files();
    db.engine.compact().unwrap();
    let after = db.shared().view.load().tables.as_ref().unwrap().files();
    assert_eq!((before.len(), after.len()), (3, 1));
    assert_eq!(table_files(dir.path()), 1, "nobody holds the old ones");
}

#[test]
fn line_6_old_versions_do_not_pile_up() {
    holds_and_notices(Defect::NoMaintenance, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        for n in 0..12 {
            db.put(&format!("{n}"), "value");
            db.flush();
        }
        let history = db.shared().store.history_len();
        history == 0 && manifests(dir.path()) == 1
    });
}

/// A long compaction does not keep memtables waiting. On one thread it would.
#[test]
fn line_6_flushes_go_on_while_a_compaction_runs() {
    let dir = tempfile::tempdir().unwrap();
    let held = Arc::new(AtomicBool::new(true));
    let begun = Arc::new(AtomicBool::new(false));
    let (hold, tell) = (Arc::clone(&held), Arc::clone(&begun));
    let probe: Probe = Arc::new(move |point| {
        if point == Point::CompactBegun {
            tell.store(true, SeqCst);
            while hold.load(SeqCst) {
                std::thread::yield_now();
            }
        }
        Ok(())
    });
    let mut db = Db::open(dir.path(), with_hooks(small(), None, Some(probe)));
    db.put("key", "value");
    db.flush();
    while !begun.load(SeqCst) {
        std::thread::yield_now();
    }
    let before = db.engine.status().flushes;
    let large = "x".repeat(100_000);
    let clock = Env::real();
    let started = clock.clock().monotonic();
    while db.engine.status().flushes < before + 3 {
        db.put("key", &large);
        assert!(
            clock.clock().monotonic() - started < PATIENCE,
            "no flush happens"
        );
    }
    held.store(false, SeqCst);
}

#[test]
fn line_7_what_would_panic_in_the_tree_is_a_typed_error() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), by_hand());
    let slice = |bytes: &[u8]| lsm_tree::Slice::from(bytes);
    let value = slice(b"value");
    let mut ingest = db.shared().store.ingest().unwrap();
    assert!(matches!(
        ingest.put(&slice(b""), &value),
        Err(EngineError::KeyEmpty)
    ));
    let long = ingest.delete(&slice(&vec![1; 65_536]));
    assert!(matches!(long, Err(EngineError::KeyTooLong { .. })));
    ingest.put(&slice(b"b"), &value).unwrap();
    assert!(matches!(
        ingest.put(&slice(b"b"), &value),
        Err(EngineError::Internal(_))
    ));
    assert!(matches!(
        ingest.put(&slice(b"a"), &value),
        Err(EngineError::Internal(_))
    ));
    ingest.finish().unwrap();
    let empty = db.shared().store.ingest().unwrap();
    assert!(matches!(empty.finish(), Err(EngineError::Internal(_))));
}

/// The control of line 7: the same input given to the tree itself.
#[test]
fn line_7_the_tree_itself_panics_on_doubled_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let doubled = move || {
        let counters = (Default::default(), Default::default());
        let tree = lsm_tree::Config::new(path, counters.0, counters.1)
            .open()
            .unwrap();
        let mut ingest = tree.ingestion().unwrap();
        ingest.write("b", "1").unwrap();
        ingest.write("b", "2").unwrap();
    };
    let thread = std::thread::Builder::new().spawn(doubled).unwrap();
    assert!(
        thread.join().is_err(),
        "then our own check is not needed any more"
    );
}

#[test]
fn line_9_records_in_tables_carry_their_own_seq() {
    holds_and_notices(Defect::RecordsWithoutSeq, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        let seqs: Vec<_> = (0..9).map(|n| db.put(&format!("{n}"), "value")).collect();
        db.flush();
        db.engine.compact().unwrap();
        let found = (0..9).map(|n| {
            let found = db.engine.get_latest(&key(format!("{n}"))).unwrap();
            found.unwrap().seq()
        });
        found.collect::<Vec<_>>() == seqs
    });
}

#[test]
fn line_10_values_stay_with_their_keys() {
    holds_and_notices(Defect::KeyValueSeparation, |options| {
        let dir = tempfile::tempdir().unwrap();
        let Ok(mut db) = Db::try_open(dir.path(), options) else {
            return false;
        };
        let large = "large".repeat(100_000);
        db.put("key", &large);
        db.flush();
        let tables = db.shared().store.current().unwrap();
        let held = crate::view::Tables::get(&tables, &key("key"))
            .unwrap()
            .unwrap();
        held.len() > large.len() && !dir.path().join("blobs").exists()
    });
}

#[test]
fn the_row_cache_hears_of_every_write() {
    holds_and_notices(Defect::DeafRowCache, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("key", "old");
        db.flush();
        assert_eq!(db.get("key").as_deref(), Some("old"));
        assert_eq!(db.get("key").as_deref(), Some("old"));
        assert_eq!(db.engine.status().row_cache_hits, 1);
        db.put("key", "new");
        db.get("key").as_deref() == Some("new")
    });
}
