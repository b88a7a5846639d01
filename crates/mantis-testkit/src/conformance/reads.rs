//! Cases about point reads, visibility and snapshots.

use mantis_engine::Ready;
use mantis_types::Seq;

use super::driver::batch_of;
use super::{Driver, Factory, key, record, text_of};

pub(super) fn only_published_commits_are_seen(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let (a, b) = (key("a"), key("b"));
    db.put(&a, "old");
    let engine = db.engine();
    let before = engine.snapshot();
    let batch = batch_of(&[(&a, Some(&record("new"))), (&b, Some(&record("new")))]);
    let seq = Seq::new(2);
    let placement = engine.place(seq, 100);
    assert_eq!(db.get(&a).as_deref(), Some("old"), "placed");
    engine.apply(&placement, seq, &batch);
    assert_eq!(db.get(&a).as_deref(), Some("old"), "applied");
    assert_eq!(db.get(&b), None, "applied");
    assert_eq!(db.all().len(), 1, "applied");
    let applied = engine.snapshot_applied();
    assert_eq!(
        db.get_at(&applied, &a).as_deref(),
        Some("new"),
        "the latch's holder sees it"
    );
    assert_eq!(
        db.get_at(&applied, &b).as_deref(),
        Some("new"),
        "the latch's holder sees it"
    );
    assert!(engine.horizon().advance(seq.prev()));
    assert!(!engine.horizon().advance(seq.prev()), "an edge moves once");
    assert_eq!(db.get(&a).as_deref(), Some("new"), "published");
    assert_eq!(db.all().len(), 2, "published");
    assert_eq!(
        db.get_at(&before, &a).as_deref(),
        Some("old"),
        "the older snapshot"
    );
    assert_eq!((before.seq(), engine.snapshot().seq()), (Seq::new(1), seq));
}

pub(super) fn a_snapshot_never_changes(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let keys: Vec<_> = (0..300).map(|n| key(format!("key {n:04}"))).collect();
    for (n, key) in keys.iter().enumerate() {
        db.put(key, format!("first {n}"));
    }
    let mut held = vec![(db.engine().snapshot(), db.all())];
    for round in 0..6 {
        for (n, key) in keys.iter().enumerate() {
            match (n + round) % 3 {
                0 => db.delete(key),
                _ => db.put(key, format!("round {round} of {n}")),
            };
        }
        held.push((db.engine().snapshot(), db.all()));
        match round % 3 {
            0 => db.flush(),
            1 => db.engine().compact().expect("a compaction works"),
            _ => {}
        }
        for (snapshot, expected) in &held {
            let range = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
            let now = db.scan_at(snapshot, range, mantis_engine::Direction::Forward);
            assert_eq!(&now, expected, "{snapshot:?} after round {round}");
            let again = snapshot.clone();
            for key in &keys {
                let wanted = expected
                    .iter()
                    .find(|(k, _)| k == key)
                    .map(|(_, v)| v.clone());
                assert_eq!(db.get_at(&again, key), wanted, "{snapshot:?}");
            }
        }
    }
}

pub(super) fn deletes_hide_older_versions(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let k = key("gone");
    db.put(&k, "there");
    db.flush();
    assert_eq!(db.get(&k).as_deref(), Some("there"));
    db.delete(&k);
    assert_eq!(db.get(&k), None, "deleted in memory");
    assert!(db.all().is_empty(), "deleted in memory");
    db.flush();
    assert_eq!(db.get(&k), None, "the delete is flushed");
    assert!(db.all().is_empty(), "the delete is flushed");
    db.engine().compact().expect("a compaction works");
    assert_eq!(db.get(&k), None, "the delete is compacted");
    db.put(&k, "back");
    assert_eq!(db.get(&k).as_deref(), Some("back"));
    db.delete(&key("never there"));
    db.flush();
    assert_eq!(db.all().len(), 1);
}

pub(super) fn records_carry_their_seq(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let keys: Vec<_> = (0..50).map(|n| key(format!("{n:03}"))).collect();
    let seqs: Vec<_> = keys.iter().map(|key| db.put(key, "short")).collect();
    let check = |db: &Driver, when: &str| {
        let snapshot = db.engine().snapshot();
        for (key, seq) in keys.iter().zip(&seqs) {
            let found = db.engine().get(&snapshot, key).expect("a read works");
            assert_eq!(found.map(|record| record.seq()), Some(*seq), "{when}");
        }
    };
    check(db, "in memory");
    db.flush();
    check(db, "in tables");
    check(db, "in the row cache");
    db.engine().compact().expect("a compaction works");
    check(db, "compacted");
}

pub(super) fn applies_may_come_out_of_order(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let engine = db.engine();
    let (k, other) = (key("k"), key("other"));
    let first = engine.place(Seq::new(1), 50);
    let second = engine.place(Seq::new(2), 50);
    engine.apply(
        &second,
        Seq::new(2),
        &batch_of(&[(&k, Some(&record("second")))]),
    );
    assert_eq!(db.get(&k), None);
    let batch = batch_of(&[
        (&k, Some(&record("first"))),
        (&other, Some(&record("first"))),
    ]);
    engine.apply(&first, Seq::new(1), &batch);
    assert!(engine.horizon().advance(Seq::ZERO));
    assert_eq!(db.get(&k).as_deref(), Some("first"));
    assert!(engine.horizon().advance(Seq::new(1)));
    assert_eq!(db.get(&k).as_deref(), Some("second"));
    db.flush();
    assert_eq!(db.get(&k).as_deref(), Some("second"));
    assert_eq!(db.get(&other).as_deref(), Some("first"));
}

pub(super) fn ready_reads_agree_with_blocking_ones(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    for n in 0..100 {
        db.put(&key(format!("{n:03}")), format!("value {n}"));
    }
    db.delete(&key("007"));
    let check = |db: &Driver| {
        let snapshot = db.engine().snapshot();
        for n in 0..110 {
            let key = key(format!("{n:03}"));
            let slow = db.engine().get(&snapshot, &key).expect("a read works");
            let latest = db.engine().get_latest(&key).expect("a read works");
            assert_eq!(slow, latest);
            let allowed = [Ready::NeedsIo, slow.map_or(Ready::Absent, Ready::Found)];
            assert!(allowed.contains(&db.engine().get_ready(&snapshot, &key)));
            assert!(allowed.contains(&db.engine().get_latest_ready(&key)));
        }
    };
    let snapshot = db.engine().snapshot();
    for n in 0..110 {
        let ready = db.engine().get_ready(&snapshot, &key(format!("{n:03}")));
        assert_ne!(ready, Ready::NeedsIo, "everything is in memory");
    }
    check(db);
    db.flush();
    check(db);
    check(db);
}

pub(super) fn several_keys_are_read_in_their_order(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    db.put(&key("a"), "1");
    db.flush();
    db.put(&key("b"), "2");
    let keys = [key("b"), key("none"), key("a"), key("b")];
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let found = db
        .engine()
        .multi_get(&db.engine().snapshot(), &keys)
        .expect("reads work");
    let found: Vec<_> = found.iter().map(|r| r.as_ref().map(text_of)).collect();
    assert_eq!(
        found,
        [Some("2".into()), None, Some("1".into()), Some("2".into())]
    );
}

pub(super) fn keys_with_common_beginnings_differ(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let mut keys = Vec::new();
    for len in [1, 2, 16, 17, 20, 21, 22, 23, 24, 25, 40, 65_000] {
        for end in [&b""[..], b"\0", b"\0\0", b"a", b"\xFF"] {
            keys.push(key([&vec![0; len][..], end].concat()));
            keys.push(key([&vec![b'x'; len][..], end].concat()));
        }
    }
    keys.push(vec![b'k'; 65_535]);
    keys.sort();
    keys.dedup();
    for (n, key) in keys.iter().enumerate() {
        db.put(key, format!("{n}"));
    }
    let check = |db: &Driver| {
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(
                db.get(key),
                Some(format!("{n}")),
                "key {n} of {} bytes",
                key.len()
            );
        }
        let all: Vec<_> = db.all().into_iter().map(|(key, _)| key).collect();
        assert_eq!(all, keys);
    };
    check(db);
    db.flush();
    check(db);
}

pub(super) fn large_records_come_back(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let large: String = ('a'..='w').cycle().take(700_000).collect();
    db.put(&key("large"), &large);
    db.put(&key("empty"), "");
    assert_eq!(db.get(&key("large")).as_ref(), Some(&large));
    db.flush();
    assert_eq!(db.get(&key("large")).as_ref(), Some(&large));
    assert_eq!(db.get(&key("empty")).as_deref(), Some(""));
    let found = db.engine().get_latest(&key("large")).expect("a read works");
    let bytes = found.expect("it is there").payload_bytes();
    assert_eq!(bytes, large.as_bytes());
}

pub(super) fn repeated_reads_follow_overwrites(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let k = key("hot");
    let mut last = None;
    for round in 0..40 {
        let old = db.engine().snapshot();
        let before = last.clone();
        let now = format!("round {round}");
        db.put(&k, &now);
        if round % 2 == 0 {
            db.flush();
        }
        for _ in 0..3 {
            assert_eq!(db.get(&k).as_ref(), Some(&now), "round {round}");
            assert_eq!(db.get_at(&old, &k), before, "round {round}, older snapshot");
        }
        last = Some(now);
    }
    db.delete(&k);
    assert_eq!(db.get(&k), None);
}
