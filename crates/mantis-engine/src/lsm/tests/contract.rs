//! The ten lines of the contract with lsm-tree, each half of a line with a check and a control. A
//! check is a function of the options: it must hold for the engine as it is, and must notice the
//! [`Defect`] that breaks that line.
//!
//! | line | what it asks for | test | control |
//! |---|---|---|---|
//! | 1 | no insert or remove in the tree | `line_1_nothing_is_written_…` | `WriteIntoTree` |
//! | | its counter has nothing to do with our Seqs | `line_1_flushes_and_…` | `FlushTakesSeq` |
//! | 2 | the counter goes on after opening | `line_2_…` | `CounterFromStart` |
//! | 3 | reads take no lock that a flush holds | `line_3_reads_do_not_wait_…` | `ReadThroughTree` |
//! | | an old snapshot has its own tables | `line_3_an_old_snapshot_…` | `ReadThroughTree` |
//! | | tables are read whole, not at a number of the tree | `line_3_tables_are_read_whole` | `ReadAtTreeNumber` |
//! | 4 | only what is visible, the oldest first | `line_4_only_visible_…`, `line_4_the_oldest_…` | `FlushInvisible`, `FlushNewestFirst` |
//! | | the newest version of each key, deletes too | `line_4_the_newest_version_…` | `FlushWithoutDeletes`, `FlushEveryVersion` |
//! | | ascending | `line_7_…`: the tree panics otherwise | `UncheckedKeys` |
//! | | no ingestion without data | `line_4_no_file_…` | `IngestNothing` |
//! | | tables and mark are durable together | `line_4_tables_and_replay_mark_…` | `MarkAfterwards` |
//! | | the mark is outside of all ranges | `line_4_the_mark_…` | the same range, asked of the tables |
//! | | the log has what is flushed | `line_4_a_flush_waits_until_…` | `FlushBeforeLog` |
//! | 5 | the view is swapped after a flush | `line_5_the_view_…` | `KeepFlushed` |
//! | | replay from the mark on, at the old Seqs | `line_5_replay_begins_…` | `ForgetMark`, `ReplayAtNewSeqs` |
//! | | over tables that hold more it does no harm | `line_5_replay_over_…` | `ReplayAtNewSeqs`; a replay that ends early |
//! | | the log is cut below the mark only | `line_5_the_log_…` | `ReleaseUnflushed` |
//! | 6 | one version of each key is left | `line_6_compaction_…` | `KeepTableVersions` |
//! | | the view is swapped after a compaction | `line_6_the_view_…` | `KeepMerged` |
//! | | the tree's old versions are let go | `line_6_old_versions_…` | `NoMaintenance` |
//! | | flush and compaction on threads of their own | `line_6_flushes_go_on_…` | `OneThread` |
//! | | one flusher only | `line_6_one_flush_…` | `ManyFlushers` |
//! | 7 | empty, long, unsorted, doubled keys are errors | `line_7_…` | `UncheckedKeys`: the tree panics on each |
//! | 8 | a failed flush keeps its memtable | `line_8_a_failed_flush_…` | `DropUnflushed` |
//! | | what failed is tried again, flush and compaction | `line_8_what_failed_…` | `NeverTryAgain` |
//! | | partial files of both go | `line_8_partial_files_go_…`, `…_of_a_compaction_go_…` | `KeepPartialFiles` |
//! | | after the next manifest only | `line_8_files_that_…` | `RemovePartialAtOnce` |
//! | | with nobody writing tables only | `line_8_partial_files_stay_…` | `RemovePartialWhileWriting` |
//! | 9 | records in tables have their own Seq | `line_9_…` | `RecordsWithoutSeq` |
//! | 10 | no separation of keys and values | `line_10_…` | `KeyValueSeparation` |
//!
//! Line 8 stands in `disk.rs`. The second half of line 9 (reads that are registered while they live)
//! belongs to the conflict index, and that of line 10 (a large value is a collection of chunks) to
//! mantis-kv, which has its tests. That only `tree.rs` names the tree's hidden items is a check of
//! `cargo xtask tidy`; that lsm-tree is pinned stands in the workspace's manifest.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::*;
use crate::{FlushBarrier, LogReach};

mod compaction;
mod flush;
mod keys;
mod replay;

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
        // The tree flushes its own memtable with the next run: then foreign rows appear.
        empty_at_first && db.shared().store.own_memtables_are_empty() && db.scan().len() == 50
    });
}

#[test]
fn line_1_flushes_and_compactions_take_none_of_our_seqs() {
    holds_and_notices(Defect::FlushTakesSeq, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("key", "value");
        db.flush();
        db.engine.compact().unwrap();
        db.engine.horizon().get() == Seq::new(1) && db.engine.snapshot().seq() == Seq::new(1)
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

/// Twelve rounds of puts into the same keys; the snapshot and the number of each.
fn snapshots_of_rounds(db: &mut Db) -> Vec<(Snapshot, u32)> {
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
    held
}

#[test]
fn line_3_an_old_snapshot_reads_its_own_tables() {
    holds_and_notices(Defect::ReadThroughTree, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        let held = snapshots_of_rounds(&mut db);
        held.iter().all(|(snapshot, round)| {
            let expected = Some(format!("round {round}"));
            (0..30).all(|n| db.get_at(snapshot, &format!("{n:03}")) == expected)
        })
    });
}

#[test]
fn line_3_tables_are_read_whole() {
    holds_and_notices(Defect::ReadAtTreeNumber, |options| {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), options);
        db.put("key", "old");
        db.flush();
        db.put("key", "new");
        db.flush();
        db.get("key").as_deref() == Some("new") && db.scan() == ["key=new"]
    });
}

#[test]
fn line_3_tables_of_old_snapshots_go_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    let held = snapshots_of_rounds(&mut db);
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
