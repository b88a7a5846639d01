//! Cases about what is refused, hidden and bounded.

use std::ops::Bound;

use mantis_engine::{Direction, EngineError};
use mantis_types::ErrorKind;

use super::driver::batch_of;
use super::{Driver, Factory, key, record};

pub(super) fn the_engines_own_keys_are_hidden(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    db.put(&key("mine"), "1");
    db.flush();
    let engine = db.engine();
    let own = batch_of(&[(b"\x00\x01\x01replay", Some(&record("x")))]);
    let refused = engine.check(&own).expect_err("it belongs to the engine");
    assert!(matches!(refused, EngineError::ReservedKey));
    assert!(engine.recover(db.last().next(), &own).is_err());
    let snapshot = engine.snapshot();
    for from in [
        Bound::Unbounded,
        Bound::Included(&b"\0"[..]),
        Bound::Excluded(b"\0\x01"),
    ] {
        for direction in [Direction::Forward, Direction::Backward] {
            let found = db.scan_at(&snapshot, (from, Bound::Unbounded), direction);
            assert_eq!(found, [(key("mine"), "1".to_owned())], "{direction:?}");
        }
    }
    let below = (Bound::Unbounded, Bound::Excluded(&b"\x01"[..]));
    assert!(db.scan_at(&snapshot, below, Direction::Forward).is_empty());
    assert!(db.scan_at(&snapshot, below, Direction::Backward).is_empty());
}

pub(super) fn wrong_keys_are_refused(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    db.put(&key("a"), "1");
    let engine = db.engine();
    let snapshot = engine.snapshot();
    let empty = engine
        .get(&snapshot, b"")
        .expect_err("there is no empty key");
    assert!(matches!(empty, EngineError::KeyEmpty), "{empty:?}");
    assert_eq!(empty.kind(), ErrorKind::Invalid);
    let long = engine
        .get(&snapshot, &vec![1; 65_536])
        .expect_err("it is too long");
    assert!(
        matches!(
            long,
            EngineError::KeyTooLong {
                len: 65_536,
                max: 65_535
            }
        ),
        "{long:?}"
    );
    let batch = batch_of(&[(b"", Some(&record("x")))]);
    assert!(matches!(engine.check(&batch), Err(EngineError::KeyEmpty)));
    assert!(matches!(
        engine.recover(db.last().next(), &batch),
        Err(EngineError::KeyEmpty)
    ));
    assert_eq!(db.all().len(), 1);
}

pub(super) fn bulk_load_is_whole_or_refused(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let old = db.put(&key("005"), "old");
    db.put(&key("zzz"), "kept");
    db.flush();
    assert_eq!(db.get(&key("005")).as_deref(), Some("old"), "and cached");
    let before = db.engine().snapshot();
    let rows = |range: std::ops::Range<u32>| {
        range.map(|n| (key(format!("{n:03}")), record(format!("loaded {n}"))))
    };
    let seq = db.number_for_load();
    let info = db
        .engine()
        .bulk_load(seq, &mut rows(0..500))
        .expect("a load works");
    assert_eq!(info.rows, 500);
    let found = db.engine().get_latest(&key("005")).expect("a read works");
    assert_eq!(found.map(|r| r.seq()), Some(seq), "not {old}");
    assert_eq!(
        db.get_at(&before, &key("005")).as_deref(),
        Some("old"),
        "an older snapshot"
    );
    assert_eq!(db.get_at(&before, &key("006")), None, "an older snapshot");
    assert_eq!(db.all().len(), 501);
    db.put(&key("005"), "newer");
    assert_eq!(db.get(&key("005")).as_deref(), Some("newer"));
    let all = db.all();
    let seq = db.number_for_load();
    let engine = db.engine();
    let mut unsorted = [(key("x2"), record("1")), (key("x1"), record("1"))].into_iter();
    let mut doubled = [(key("x1"), record("1")), (key("x1"), record("1"))].into_iter();
    let mut reserved = [(b"\0x".to_vec(), record("1"))].into_iter();
    let mut empty = [(Vec::new(), record("1"))].into_iter();
    let mut long = [(key("x1"), record("1")), (vec![2; 65_536], record("1"))].into_iter();
    let mut no_record = [(key("x1"), b"no record".to_vec())].into_iter();
    let wrong: [&mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>; 6] = [
        &mut unsorted,
        &mut doubled,
        &mut reserved,
        &mut empty,
        &mut long,
        &mut no_record,
    ];
    for (n, rows) in wrong.into_iter().enumerate() {
        assert!(engine.bulk_load(seq, rows).is_err(), "rows {n}");
        assert_eq!(db.all(), all, "rows {n}");
    }
    assert_eq!(
        engine
            .bulk_load(seq, &mut std::iter::empty())
            .map(|i| i.rows)
            .ok(),
        Some(0)
    );
}

/// Overwriting the same keys for ever needs no more memory than the keys and what is under way.
pub(super) fn memory_follows_the_live_data(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let keys: Vec<_> = (0..200).map(|n| key(format!("{n:03}"))).collect();
    let value = vec![7; 500];
    for round in 0..100 {
        for key in &keys {
            db.put(key, &value);
        }
        if round % 25 == 24 {
            db.engine().compact().expect("a compaction works");
        }
    }
    db.flush();
    db.engine().compact().expect("a compaction works");
    let status = db.engine().status();
    let live = 200 * 1000;
    assert!(status.memtable_bytes < 2 * live, "{status:?}");
    assert!(status.disk_bytes < 4 * live, "{status:?}");
    assert_eq!(db.all().len(), 200);
}

pub(super) fn a_closed_engine_reads_and_refuses_writes(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    db.put(&key("a"), "1");
    let engine = db.engine();
    engine.close().expect("an engine closes");
    engine.close().expect("closing twice is fine");
    let refused = engine.admit(100).expect_err("it is closed");
    assert_eq!(refused.kind(), ErrorKind::Closed);
    assert_eq!(db.get(&key("a")).as_deref(), Some("1"));
    assert_eq!(db.all().len(), 1);
}
