//! Opening, closing, reopening; directories that are used, half made, foreign or damaged.

use bytes::Bytes;
use mantis_session::{Command, Database, Expiry, Principal, Put, Reply, SessionError};
use mantis_types::{Code, Durability, Seq};

use crate::setup::{get, open, options, put};

#[test]
fn everything_acknowledged_is_there_after_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let db = open(dir.path()).unwrap();
        for n in 0..round * 100 {
            assert_eq!(get(&db, &format!("k{n}")).unwrap(), format!("v{n}"));
        }
        for n in round * 100..(round + 1) * 100 {
            put(&db, &format!("k{n}"), format!("v{n}"), Durability::None);
        }
        db.close().unwrap();
    }
}

#[test]
fn a_drop_without_close_loses_nothing_that_was_written_to_the_log() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let db = open(dir.path()).unwrap();
        for n in 0..round * 100 {
            assert_eq!(get(&db, &format!("k{n}")).unwrap(), format!("v{n}"));
        }
        for n in round * 100..(round + 1) * 100 {
            put(&db, &format!("k{n}"), format!("v{n}"), Durability::Interval);
        }
    }
}

/// From the log after a death, from tables after a flush, and not longer than it was asked for.
#[test]
fn an_expiry_is_in_the_log_and_in_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let put_for = |db: &Database, expiry: Expiry| {
        let put = Put {
            expiry,
            tags: vec!["tag".to_owned()],
            ..Put::new("k", "v")
        };
        let durability = Durability::Interval;
        let command = Command::KvPut { put, durability };
        db.session(Principal::Owner).execute(command).unwrap();
    };
    let entry = |db: &Database| {
        let key = Bytes::from_static(b"k");
        match db.session(Principal::Owner).execute(Command::KvGet { key }) {
            Ok(Reply::KvGet(found)) => found.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let db = open(dir.path()).unwrap();
    put_for(&db, Expiry::AfterMs(3_600_000));
    let before = entry(&db);
    assert!(before.expires_ms.is_some());
    drop(db);
    let db = open(dir.path()).unwrap();
    let after = entry(&db);
    assert_eq!(
        (after.expires_ms, &after.tags),
        (before.expires_ms, &before.tags)
    );
    db.flush().unwrap();
    drop(db);
    let db = open(dir.path()).unwrap();
    assert_eq!(entry(&db).expires_ms, before.expires_ms);
    put_for(&db, Expiry::Never);
    drop(db);
    assert_eq!(
        entry(&open(dir.path()).unwrap()).expires_ms,
        None,
        "cleared for good"
    );
}

#[test]
fn data_many_times_the_memtable_is_read_back_and_the_log_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let value = |n: u32| Bytes::from(n.to_le_bytes().repeat(2500));
    let mut buffered_most = 0;
    for n in 0..3000_u32 {
        put(&db, &format!("k{n}"), value(n), Durability::None);
        buffered_most = db.status().log.unwrap().buffered.max(buffered_most);
    }
    assert!(
        buffered_most < (256 + 16) << 10,
        "the log's buffer is a sixteenth of the memtables: {buffered_most}"
    );
    assert!((0..3000).all(|n| get(&db, &format!("k{n}")).unwrap() == value(n)));
    let status = db.status();
    assert!(status.storage.flushes > 0);
    let segments = status.log.unwrap().segments;
    assert!(
        segments <= 10,
        "{segments} segments of 1 MiB for 4 MiB of memtables"
    );
    db.close().unwrap();
    drop(db);
    let db = open(dir.path()).unwrap();
    assert!((0..3000).all(|n| get(&db, &format!("k{n}")).unwrap() == value(n)));
    db.close().unwrap();
}

#[test]
fn a_second_opening_of_the_directory_names_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(
        matches!(refused, SessionError::InUse { process: Some(id) } if id == std::process::id())
    );
    assert_eq!(refused.code(), Code::Starting);
    db.close().unwrap();
    drop(db);
    drop(open(dir.path()).unwrap());
}

#[test]
fn a_half_made_store_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("store.new/log")).unwrap();
    std::fs::write(dir.path().join("store.new/log/half"), b"x").unwrap();
    let db = open(dir.path()).unwrap();
    put(&db, "k", "v", Durability::Sync);
    db.close().unwrap();
    assert!(!dir.path().join("store.new").exists());
}

/// Half a checkpoint should have held something: it is no new, empty store.
#[test]
fn an_interrupted_checkpoint_is_refused_and_can_be_made_again() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open(dir.path()).unwrap();
    put(&db, "k", "v", Durability::Sync);
    let target = copies.path().join("copy");
    let begun = mantis_session::StoreDir::prepare(db.env(), &target).unwrap();
    drop(begun);
    let refused = open(&target).unwrap_err();
    let SessionError::NotAStore { what } = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        what.contains("checkpoint into it was interrupted"),
        "{what}"
    );
    assert!(!target.join("store").exists(), "nothing is made up");
    db.checkpoint(&target).unwrap();
    let copy = open(&target).unwrap();
    assert_eq!(get(&copy, "k").unwrap(), "v");
    // The control: a directory without a half-made checkpoint is a new store.
    assert_eq!(get(&open(&copies.path().join("new")).unwrap(), "k"), None);
}

#[test]
fn a_store_of_another_format_or_with_missing_parts_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    let file = dir.path().join("store/STORE");
    let good = std::fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        open(dir.path()).unwrap_err()
    };
    let later = refused(b"mantisdb store\nformat 2\n");
    assert!(matches!(
        later,
        SessionError::LaterFormat { found: 2, known: 1 }
    ));
    for damaged in [
        &b""[..],
        b"mantisdb store\nformat 0\n",
        b"mantisdb store\nformat 1",
        b"x",
    ] {
        assert!(
            matches!(refused(damaged), SessionError::NotAStore { .. }),
            "{damaged:?}"
        );
    }
    std::fs::write(&file, good).unwrap();
    let fs = mantis_env::Env::real();
    let (log, aside) = (dir.path().join("store/log"), dir.path().join("log"));
    fs.fs().rename_durable(&log, &aside).unwrap();
    assert!(matches!(
        open(dir.path()).unwrap_err(),
        SessionError::NotAStore { .. }
    ));
    assert!(!dir.path().join("store/log").exists(), "nothing is made up");
}

#[test]
fn impossible_options_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut bad = options(dir.path());
    bad.limits.value_bytes_max = bad.buffer_bytes;
    let refused = Database::open(bad).unwrap_err();
    assert!(matches!(
        refused,
        SessionError::BadOption {
            option: "limits.max_value_size",
            ..
        }
    ));
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    put(&db, "in tables", "1", Durability::Sync);
    db.flush().unwrap();
    put(&db, "in the log", "2", Durability::Sync);
    let made = db.checkpoint(&copy.path().join("copy")).unwrap();
    put(&db, "later", "3", Durability::Sync);
    assert_eq!(made.seq, Seq::new(2));
    let again = db.checkpoint(&copy.path().join("copy")).unwrap_err();
    assert!(matches!(again, SessionError::NotAStore { .. }));
    let second = open(&copy.path().join("copy")).unwrap();
    assert_eq!(get(&second, "in tables").unwrap(), "1");
    assert_eq!(get(&second, "in the log").unwrap(), "2");
    assert_eq!(get(&second, "later"), None);
    put(&second, "only here", "4", Durability::Sync);
    assert_eq!(get(&db, "only here"), None);
    second.close().unwrap();
    db.close().unwrap();
}

#[test]
fn a_value_of_exactly_the_limit_is_stored_with_the_default_options() {
    let dir = tempfile::tempdir().unwrap();
    let options = mantis_session::DatabaseOptions::new(mantis_env::Env::real(), dir.path());
    let len = usize::try_from(options.limits.value_bytes_max).unwrap();
    let db = Database::open(options).unwrap();
    put(&db, "k", vec![7; len], Durability::None);
    assert_eq!(get(&db, "k").unwrap().len(), len);
    db.flush().unwrap();
    assert_eq!(get(&db, "k").unwrap().len(), len);
    db.close().unwrap();
}

#[test]
fn a_small_buffer_shrinks_the_limits_with_it_when_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let options = mantis_session::DatabaseOptions::new(mantis_env::Env::real(), dir.path());
    let db = Database::open(options.sized(16 << 20, 4 << 20)).unwrap();
    assert_eq!(db.limits().value_bytes_max, 8 << 20);
    put(&db, "k", vec![7; 8 << 20], Durability::None);
    assert_eq!(get(&db, "k").unwrap().len(), 8 << 20);
    db.close().unwrap();
}

#[test]
fn a_store_whose_log_was_emptied_is_refused_and_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    put(&db, "k", "v", Durability::Sync);
    db.close().unwrap();
    drop(db);
    for file in std::fs::read_dir(dir.path().join("store/log")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let refused = open(dir.path()).unwrap_err();
    assert!(
        matches!(
            refused,
            SessionError::NotAStore {
                what: "its log is missing"
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn after_a_failed_sync_a_flush_answers_at_once_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let plan = mantis_env::FaultPlan::new();
    let mut options = options(dir.path());
    let fs = std::sync::Arc::clone(options.env.fs());
    let faulty = mantis_env::FaultyFs::new(fs, plan.clone());
    options.env = options.env.with_fs(std::sync::Arc::new(faulty));
    let db = Database::open(options).unwrap();
    put(&db, "k", "v", Durability::Sync);
    put(&db, "l", "v", Durability::None);
    plan.fail_from(mantis_env::OpKind::Sync, 1, mantis_env::Fault::Eio);
    let refused = db.flush().unwrap_err();
    assert_eq!(refused.code(), Code::SyncFailed, "{refused:?}");
    assert!(db.status().read_only.is_some());
    assert_eq!(get(&db, "k").unwrap(), "v");
    assert!(db.close().is_err());
}

/// The commit that failed with the log stands in a memtable and never becomes visible.
#[test]
fn after_a_failed_commit_a_flush_answers_at_once_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let plan = mantis_env::FaultPlan::new();
    let mut options = options(dir.path());
    let fs = std::sync::Arc::clone(options.env.fs());
    let faulty = mantis_env::FaultyFs::new(fs, plan.clone());
    options.env = options.env.with_fs(std::sync::Arc::new(faulty));
    let db = Database::open(options).unwrap();
    put(&db, "k", "v", Durability::Sync);
    plan.fail_from(mantis_env::OpKind::Write, 1, mantis_env::Fault::Enospc);
    let session = db.session(Principal::Owner);
    let put = Put::new("k".to_owned(), "w");
    let durability = Durability::Sync;
    let failed = session.execute(Command::KvPut { put, durability });
    assert_eq!(failed.unwrap_err().code(), Code::SyncFailed);
    let refused = db.flush().unwrap_err();
    assert_eq!(refused.code(), Code::SyncFailed, "{refused:?}");
    assert_eq!(get(&db, "k").unwrap(), "v");
    assert!(db.close().is_err());
}

#[test]
fn a_dropped_database_can_be_opened_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let db = open(dir.path()).unwrap();
        put(&db, "k", "v", Durability::None);
    }
}
