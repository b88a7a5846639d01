//! Line 5: the view after a flush; what is replayed, and what the log must have kept for it.

use mantis_types::WriteBatch;

use super::*;

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

/// Commit `n` of a history that puts, overwrites and deletes ten keys.
fn batch_of(n: u64) -> WriteBatch {
    let mut batch = WriteBatchBuilder::default();
    match n % 3 {
        2 => batch.delete(&key(format!("{:02}", n / 2 % 10))).unwrap(),
        _ => batch
            .put(&key(format!("{:02}", n % 10)), &record(format!("{n}")))
            .unwrap(),
    }
    batch.finish()
}

/// The commits of that history.
const HISTORY: std::ops::RangeInclusive<u64> = 1..=60;
/// After which commits a flush comes.
const FLUSHES: [u64; 3] = [11, 31, 51];

/// Replays commits `seqs` as a log that has them would.
fn replay(db: &Db, seqs: std::ops::RangeInclusive<u64>) {
    for n in seqs {
        db.engine.recover(Seq::new(n), &batch_of(n)).unwrap();
    }
}

/// All rows with the Seqs of their records, by scan and by point reads.
fn rows(db: &Db) -> Vec<(Vec<u8>, Seq, Vec<u8>)> {
    let snapshot = db.engine.snapshot();
    let scan = db.engine.scan(&snapshot, ALL, Direction::Forward).unwrap();
    let mut rows = Vec::new();
    for row in scan {
        let (key, record) = row.unwrap();
        let again = db.engine.get(&snapshot, key.as_bytes()).unwrap();
        assert_eq!(again.as_ref(), Some(&record));
        let payload = record.view().payload().to_vec();
        rows.push((key.as_bytes().to_vec(), record.seq(), payload));
    }
    rows
}

/// What the whole history leaves behind, never flushed, never replayed.
fn expected() -> Vec<(Vec<u8>, Seq, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), by_hand());
    replay(&db, HISTORY);
    rows(&db)
}

/// The history with its flushes and a compaction, as a crash after its last commit leaves it.
fn crashed_store(to: &Path) -> PathBuf {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), by_hand());
    for n in HISTORY {
        replay(&db, n..=n);
        if FLUSHES.contains(&n) {
            db.flush();
        }
        if n == 35 {
            db.engine.compact().unwrap();
        }
    }
    copy_of(dir.path(), to)
}

/// The same, but it crashed in the last flush between the tables and their mark, which a defect
/// writes apart: the tables hold 51 commits, the mark says 31.
fn crashed_before_the_mark(to: &Path) -> PathBuf {
    let dir = tempfile::tempdir().unwrap();
    let (from, target) = (dir.path().to_owned(), to.to_owned());
    let db = Db::open(dir.path(), by_hand());
    replay(&db, 1..=FLUSHES[1]);
    db.flush();
    drop(db);
    let probe: Probe = Arc::new(move |point| {
        if point == Point::FlushFinished {
            copy_of(&from, &target);
        }
        Ok(())
    });
    let options = with_hooks(by_hand(), Some(Defect::MarkAfterwards), Some(probe));
    let db = Db::open(dir.path(), options);
    replay(&db, FLUSHES[1] + 1..=FLUSHES[2]);
    db.flush();
    to.to_owned()
}

/// Opens the store and replays from where it asks, out of a log that begins at `log_first`; false
/// when the log does not reach back so far, or the rows are not those of the history.
fn replays_to_the_history(store: &Path, options: LsmOptions, log_first: u64) -> bool {
    let db = Db::open(store, options);
    let from = db.engine.replay_from().get();
    if from < log_first {
        return false;
    }
    replay(&db, from..=*HISTORY.end());
    db.engine.horizon().get() == Seq::new(*HISTORY.end()) && rows(&db) == expected()
}

#[test]
fn line_5_replay_begins_at_the_mark_and_keeps_the_seqs() {
    holds_and_notices_each(&[Defect::ForgetMark, Defect::ReplayAtNewSeqs], |options| {
        let dir = tempfile::tempdir().unwrap();
        let store = crashed_store(&dir.path().join("store"));
        replays_to_the_history(&store, options, FLUSHES[2] + 1)
    });
}

/// What tables hold already does no harm when it is replayed above them, at its old Seqs.
#[test]
fn line_5_replay_over_tables_that_hold_more_does_no_harm() {
    holds_and_notices(Defect::ReplayAtNewSeqs, |options| {
        let dir = tempfile::tempdir().unwrap();
        let store = crashed_before_the_mark(&dir.path().join("store"));
        let db = Db::open(&store, by_hand());
        assert_eq!(db.engine.replay_from(), Seq::new(FLUSHES[1] + 1));
        let newest = rows(&db).into_iter().map(|(_, seq, _)| seq).max();
        assert_eq!(newest, Some(Seq::new(FLUSHES[2])), "they do hold more");
        // A crash in the middle of the replay, which a flush has gone on with.
        let again = dir.path().join("again");
        replay(&db, FLUSHES[1] + 1..=40);
        // The control: without the rest, what is replayed hides what the tables had.
        assert_ne!(rows(&db), expected());
        db.flush();
        db.engine.compact().unwrap();
        assert_eq!(db.engine.replay_from(), Seq::new(41));
        drop(db);
        let again = copy_of(&store, &again);
        replays_to_the_history(&again, options, 41)
    });
    let dir = tempfile::tempdir().unwrap();
    let store = crashed_before_the_mark(&dir.path().join("store"));
    assert!(replays_to_the_history(&store, by_hand(), FLUSHES[1] + 1));
}

#[test]
fn line_5_the_log_is_cut_below_the_mark_only() {
    holds_and_notices(Defect::ReleaseUnflushed, |options| {
        let dir = tempfile::tempdir().unwrap();
        let copies = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), options);
        replay(&db, 1..=30);
        db.shared().seal_for_flush();
        replay(&db, 31..=60);
        db.shared().flush_oldest().unwrap();
        // The log is cut below what a running engine says.
        let log_first = db.engine.replay_from().get();
        assert!(log_first > 1, "and it is cut");
        let store = copy_of(dir.path(), copies.path());
        replays_to_the_history(&store, by_hand(), log_first)
    });
}
