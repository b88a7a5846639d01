//! Line 8, and full disks: nothing is lost, partial files go when that is safe, writes go on when
//! space returns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use mantis_env::OpenMode;

use super::*;

#[test]
fn line_8_a_failed_flush_keeps_its_memtable() {
    for defect in [None, Some(Defect::DropUnflushed)] {
        for point in [Point::FlushBegun, Point::FlushWritten, Point::FlushFinished] {
            let dir = tempfile::tempdir().unwrap();
            let fails = Arc::new(AtomicBool::new(true));
            let failing = Arc::clone(&fails);
            let probe = failing_at(point, move || failing.load(SeqCst));
            let mut db = Db::open(dir.path(), with_hooks(by_hand(), defect, Some(probe)));
            db.put("key", "value");
            assert!(
                matches!(db.engine.flush(), Err(EngineError::DiskFull)),
                "{point:?}"
            );
            assert_eq!(db.engine.status().flush_failures, 1);
            let refused = db.engine.admit(10);
            assert!(
                matches!(refused, Err(EngineError::DiskFull)),
                "writes stop: {refused:?}"
            );
            let kept = db.get("key").as_deref() == Some("value")
                && db.engine.status().memtables_sealed == 1;
            assert_eq!(kept, defect.is_none(), "{point:?}, {defect:?}");
            if defect.is_some() {
                continue;
            }
            fails.store(false, SeqCst);
            db.flush();
            db.engine.admit(10).unwrap();
            assert_eq!(db.scan(), ["key=value"]);
            assert_eq!(db.engine.status().memtables_sealed, 0);
        }
    }
}

#[test]
fn line_8_partial_files_go_after_the_next_good_flush() {
    for defect in [None, Some(Defect::KeepPartialFiles)] {
        let dir = tempfile::tempdir().unwrap();
        let fails = Arc::new(AtomicBool::new(true));
        let failing = Arc::clone(&fails);
        let probe = failing_at(Point::FlushWritten, move || failing.load(SeqCst));
        let mut db = Db::open(dir.path(), with_hooks(by_hand(), defect, Some(probe)));
        db.put("key", "value");
        for _ in 0..3 {
            db.engine.flush().unwrap_err();
        }
        assert!(table_files(dir.path()) >= 3, "the tree leaves them");
        fails.store(false, SeqCst);
        db.flush();
        assert_eq!(table_files(dir.path()) == 1, defect.is_none(), "{defect:?}");
        assert_eq!(db.scan(), ["key=value"]);
        drop(db);
        let db = Db::open(dir.path(), by_hand());
        assert_eq!(table_files(dir.path()), 1, "opening removes what is left");
        assert_eq!(db.scan(), ["key=value"]);
    }
}

/// `finish` may fail after the manifest on disk has been switched. Then the files of that try are
/// named by the disk's manifest, and a crash before the next manifest must find them.
#[test]
fn line_8_files_that_the_disks_manifest_may_name_stay() {
    for defect in [None, Some(Defect::RemovePartialAtOnce)] {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let fails = Arc::new(AtomicBool::new(true));
        let failing = Arc::clone(&fails);
        let probe = failing_at(Point::FlushWritten, move || failing.load(SeqCst));
        let mut db = Db::open(&store, with_hooks(by_hand(), defect, Some(probe)));
        db.put("key", "value");
        db.engine.flush().unwrap_err();
        // The file is not part of the tree in memory, as after a `finish` that failed late.
        let stays = table_files(&store) == 1;
        assert_eq!(stays, defect.is_none(), "{defect:?}");
    }
}

#[test]
fn line_8_partial_files_stay_while_a_compaction_runs() {
    holds_and_notices(Defect::RemovePartialWhileWriting, |options| {
        let dir = tempfile::tempdir().unwrap();
        let probe = failing_at(Point::FlushWritten, once());
        let defect = options.hooks.defect;
        let mut db = Db::open(dir.path(), with_hooks(options, defect, Some(probe)));
        db.put("key", "value");
        db.engine.flush().unwrap_err();
        let compaction = db.shared().writers.read();
        db.flush();
        // Somebody writes tables: nothing is removed.
        let stay = table_files(dir.path()) == 2;
        drop(compaction);
        db.engine.compact().unwrap();
        assert_eq!(table_files(dir.path()), 1);
        stay
    });
}

/// True the first time it is asked.
fn once() -> impl Fn() -> bool + Send + Sync + 'static {
    let left = AtomicU64::new(1);
    move || {
        left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1))
            .is_ok()
    }
}

/// The background tasks try again by themselves, without a new reason to.
#[test]
fn line_8_what_failed_in_the_background_is_tried_again() {
    for point in [Point::FlushWritten, Point::CompactBegun] {
        holds_and_notices(Defect::NeverTryAgain, |options| {
            let dir = tempfile::tempdir().unwrap();
            let again = patience(&options);
            let options = LsmOptions {
                retry_pause: Duration::from_millis(10),
                background: true,
                ..options
            };
            let tries = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&tries);
            let first = move || count.fetch_add(1, SeqCst) == 0;
            let hooks = (options.hooks.defect, Some(failing_at(point, first)));
            let mut db = Db::open(dir.path(), with_hooks(options, hooks.0, hooks.1));
            db.put("key", "value");
            db.shared().seal_for_flush();
            assert!(comes_true(PATIENCE, || tries.load(SeqCst) > 0), "{point:?}");
            comes_true(again, || tries.load(SeqCst) > 1)
        });
    }
}

/// A compaction that fails half way leaves files as a flush does: here it meets a damaged table.
#[test]
fn line_8_partial_files_of_a_compaction_go_after_the_next_good_flush() {
    for defect in [None, Some(Defect::KeepPartialFiles)] {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Db::open(dir.path(), with_hooks(by_hand(), defect, None));
        for round in 0..2 {
            for n in 0..2000_u32 {
                db.put(&format!("{n:05}"), &format!("{round} {}", "v".repeat(100)));
            }
            db.flush();
        }
        spoil_the_middle(&newest_table(dir.path()));
        db.engine.compact().unwrap_err();
        assert_eq!(table_files(dir.path()), 3, "the tree leaves its own");
        db.put("key", "value");
        db.flush();
        let left = if defect.is_none() { 3 } else { 4 };
        assert_eq!(table_files(dir.path()), left, "{defect:?}");
    }
}

fn newest_table(dir: &Path) -> PathBuf {
    let names = std::fs::read_dir(dir.join("tables"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u64>().ok();
    names.max_by_key(number).unwrap()
}

fn spoil_the_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn line_8_a_failed_compaction_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let probe = failing_at(Point::CompactBegun, move || failing.load(SeqCst));
    let mut db = Db::open(dir.path(), with_hooks(by_hand(), None, Some(probe)));
    for n in 0..3 {
        db.put("key", &format!("{n}"));
        db.flush();
    }
    assert!(matches!(db.engine.compact(), Err(EngineError::DiskFull)));
    assert_eq!(db.engine.status().compaction_failures, 1);
    assert_eq!(db.scan(), ["key=2"]);
    fails.store(false, SeqCst);
    db.engine.compact().unwrap();
    assert_eq!(
        (db.engine.status().tables, db.scan()),
        (1, vec!["key=2".to_owned()])
    );
}

#[test]
fn writes_stop_below_the_low_water_mark_and_go_on_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let full = LsmOptions {
        free_bytes_min: u64::MAX / 2,
        ..by_hand()
    };
    let db = Db::open(dir.path(), full);
    let refused = db.engine.admit(10).unwrap_err();
    assert_eq!(refused.code(), mantis_types::Code::DiskFull);
    assert!(db.engine.status().disk_full);
    assert!(db.engine.status().free_bytes.is_some_and(|free| free > 0));
    drop(db);
    let db = Db::open(
        dir.path(),
        LsmOptions {
            free_bytes_min: 1,
            ..by_hand()
        },
    );
    db.engine.admit(10).unwrap();
    assert!(!db.engine.status().disk_full);
}

/// A file system of a few megabytes, if we may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|done| done.status.success())
            .then_some(Self(dir))
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        let mut mount = std::process::Command::new("mount");
        let done = mount.args(["-o", &size]).arg(self.0.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount")
            .arg(self.0.path())
            .status();
        assert!(done.is_ok());
    }
}

/// A disk that really is full: writes are refused, reads go on, and when space returns everything
/// that was taken is there, without partial files.
#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let Some(disk) = SmallDisk::mount(12 << 20) else {
        println!("SKIP a_full_disk_refuses_writes_serves_reads_and_recovers: cannot mount tmpfs");
        return;
    };
    let store = disk.0.path().join("store");
    let options = LsmOptions {
        retry_pause: Duration::from_millis(10),
        free_space_pause: Duration::from_millis(10),
        ..small()
    };
    let mut db = Db::open(&store, options.clone());
    let mut taken = 0_u32;
    let payload = |n: u32| {
        // Does not compress.
        let words = (0..250_u32).map(|i| (n * 251 + i).wrapping_mul(2_654_435_761).to_string());
        words.collect::<String>()
    };
    let refused = loop {
        if let Err(error) = db.engine.admit(3000) {
            break error;
        }
        db.put(&format!("{taken:06}"), &payload(taken));
        taken += 1;
        assert!(taken < 100_000, "the disk is never full");
    };
    assert!(matches!(refused, EngineError::DiskFull), "{refused:?}");
    assert!(taken > 1000, "{taken} commits were taken");
    for n in (0..taken).step_by(97) {
        assert_eq!(
            db.get(&format!("{n:06}")),
            Some(payload(n)),
            "commit {n} of {taken}"
        );
    }
    assert_eq!(db.scan().len(), taken as usize);
    disk.resize(200 << 20);
    let clock = Env::real();
    let started = clock.clock().monotonic();
    while db.engine.admit(3000).is_err() {
        assert!(
            clock.clock().monotonic() - started < PATIENCE,
            "it does not recover"
        );
        std::thread::yield_now();
    }
    db.put("after", "space returned");
    db.flush();
    db.engine.compact().unwrap();
    assert_eq!(db.scan().len(), taken as usize + 1);
    // The compactor may be writing just now.
    while table_files(&store) != db.engine.status().tables {
        assert!(
            clock.clock().monotonic() - started < PATIENCE,
            "partial files stay"
        );
        std::thread::yield_now();
    }
    drop(db);
    let db = Db::open(&store, options);
    assert_eq!(db.scan().len(), taken as usize + 1);
    assert_eq!(db.get("after").as_deref(), Some("space returned"));
}

#[test]
fn a_store_on_a_full_disk_still_opens_and_replays() {
    let dir = tempfile::tempdir().unwrap();
    let full = LsmOptions {
        free_bytes_min: u64::MAX / 2,
        ..small()
    };
    let db = Db::open(dir.path(), full);
    let payload = record("x".repeat(10_000));
    for n in 1..=2000_u64 {
        let mut batch = WriteBatchBuilder::default();
        batch.put(&key(format!("{n:06}")), &payload).unwrap();
        db.engine.recover(Seq::new(n), &batch.finish()).unwrap();
    }
    assert!(db.engine.admit(10).is_err());
    db.flush();
    assert_eq!(db.scan().len(), 2000);
}

#[test]
fn opening_removes_files_that_no_manifest_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), by_hand());
    db.put("key", "value");
    db.flush();
    drop(db);
    let env = Env::real();
    for name in ["tables/4711", "v4711", ".tmpAbCdEf"] {
        env.fs()
            .open(&dir.path().join(name), OpenMode::CreateNew)
            .unwrap();
    }
    let db = Db::open(dir.path(), by_hand());
    assert_eq!(db.scan(), ["key=value"]);
    assert_eq!((table_files(dir.path()), manifests(dir.path())), (1, 1));
    assert!(!env.fs().exists(&dir.path().join(".tmpAbCdEf")).unwrap());
}
