//! Line 6: what a compaction leaves, and beside what it runs.

use super::*;

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
    holds_and_notices(Defect::KeepMerged, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        for round in 0..3 {
            db.put("key", &format!("round {round}"));
            db.flush();
        }
        let shown = |db: &Db| {
            db.shared()
                .view
                .load()
                .tables
                .as_ref()
                .unwrap()
                .files()
                .len()
        };
        assert_eq!(shown(&db), 3);
        db.engine.compact().unwrap();
        // Nobody holds the old ones.
        shown(&db) == 1 && table_files(dir.path()) == 1
    });
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

/// Where a task stands until it is let go.
#[derive(Default)]
struct Gate {
    arrived: AtomicU64,
    open: AtomicBool,
}

impl Gate {
    fn at(point: Point) -> (Arc<Self>, Probe) {
        let gate = Arc::new(Self::default());
        let held = Arc::clone(&gate);
        let probe: Probe = Arc::new(move |reached| {
            if reached == point {
                held.pass();
            }
            Ok(())
        });
        (gate, probe)
    }

    fn pass(&self) {
        self.arrived.fetch_add(1, SeqCst);
        while !self.open.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}

/// A long compaction does not keep memtables waiting. On one thread it would.
#[test]
fn line_6_flushes_go_on_while_a_compaction_runs() {
    holds_and_notices(Defect::OneThread, |options| {
        let dir = tempfile::tempdir().unwrap();
        let patience = patience(&options);
        let (compaction, probe) = Gate::at(Point::CompactBegun);
        let options = with_hooks(small(), options.hooks.defect, Some(probe));
        let mut db = Db::open(dir.path(), options);
        db.put("key", "value");
        db.shared().seal_for_flush();
        let begun = || compaction.arrived.load(SeqCst) > 0;
        assert!(comes_true(PATIENCE, begun));
        let large = "x".repeat(100_000);
        // Fills three memtables and not the room for them, so that nobody has to wait.
        for _ in 0..32 {
            db.put("key", &large);
        }
        let goes_on = comes_true(patience, || db.engine.status().flushes >= 3);
        compaction.open.store(true, SeqCst);
        goes_on
    });
}

#[test]
fn line_6_one_flush_runs_at_a_time() {
    holds_and_notices(Defect::ManyFlushers, |options| {
        let dir = tempfile::tempdir().unwrap();
        let (flush, probe) = Gate::at(Point::FlushBegun);
        let defect = options.hooks.defect;
        let mut db = Db::open(dir.path(), with_hooks(options, defect, Some(probe)));
        db.put("key", "value");
        db.shared().seal_for_flush();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                // With the defect both flush the same memtable; what becomes of it is not asked.
                scope.spawn(|| drop(db.shared().flush_oldest()));
            }
            let arrived = || flush.arrived.load(SeqCst);
            assert!(comes_true(PATIENCE, || arrived() > 0));
            let alone = !comes_true(SHORT, || arrived() > 1);
            flush.open.store(true, SeqCst);
            alone
        })
    });
}
