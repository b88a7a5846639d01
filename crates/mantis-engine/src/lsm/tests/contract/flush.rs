//! Line 4: what a flush writes, and when.

use super::*;
use crate::view::Tables;

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

/// Otherwise the mark would promise what is in no table.
#[test]
fn line_4_the_oldest_memtable_is_flushed_first() {
    holds_and_notices(Defect::FlushNewestFirst, |options| {
        let dir = tempfile::tempdir().unwrap();
        let copies = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        for text in ["first", "second"] {
            db.put(text, "value");
            db.shared().seal_for_flush();
        }
        db.shared().flush_oldest().unwrap();
        let crashed = Db::open(&copy_of(dir.path(), copies.path()), by_hand());
        crashed.scan() == ["first=value"] && crashed.engine.replay_from() == Seq::new(2)
    });
}

#[test]
fn line_4_the_newest_version_of_each_key_is_flushed_deletes_included() {
    let defects = [Defect::FlushWithoutDeletes, Defect::FlushEveryVersion];
    holds_and_notices_each(&defects, |options| {
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
        if db.engine.flush().is_err() {
            return false;
        }
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
    holds_and_notices(Defect::IngestNothing, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.flush();
        db.commit(&[]);
        db.flush();
        let none_at_first = table_files(dir.path()) == 0;
        let kept_by_the_log = db.engine.replay_from();
        assert_eq!(kept_by_the_log, Seq::new(1));
        db.put("key", "value");
        db.flush();
        db.commit(&[]);
        db.flush();
        assert_eq!(db.engine.status().memtables_sealed, 0);
        none_at_first && table_files(dir.path()) == 1
    });
}

/// The control asks the tables themselves: there the mark is.
#[test]
fn line_4_the_mark_is_outside_of_all_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    db.put("key", "value");
    db.flush();
    let tables = db.shared().store.current().unwrap();
    let in_tables = tables
        .rows(ALL.0, ALL.1, Direction::Forward)
        .map(|row| row.unwrap().0);
    assert_eq!(in_tables.count(), 2, "the key and the mark");
    for direction in [Direction::Forward, Direction::Backward] {
        let scan = db.engine.scan(&db.engine.snapshot(), ALL, direction);
        let keys = scan.unwrap().map(|row| row.unwrap().0.as_bytes().to_vec());
        assert_eq!(keys.collect::<Vec<_>>(), [key("key")]);
    }
    let mut batch = WriteBatchBuilder::default();
    batch.delete(tree::MARK_KEY).unwrap();
    let refused = db.engine.check(&batch.finish());
    assert!(refused.is_err(), "nobody else writes it");
}

#[test]
fn line_4_a_flush_waits_until_the_log_has_its_commits() {
    holds_and_notices(Defect::FlushBeforeLog, |options| {
        let dir = tempfile::tempdir().unwrap();
        let options = LsmOptions {
            stall_wait_max: Duration::from_millis(50),
            ..options
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
        let waits = matches!(db.engine.flush(), Err(EngineError::Stalled))
            && (table_files(dir.path()), db.engine.replay_from()) == (0, Seq::new(1));
        durable.store(1, SeqCst);
        db.flush();
        let flushed = (table_files(dir.path()), db.engine.replay_from());
        assert_eq!(flushed, (1, Seq::new(2)));
        waits
    });
}
