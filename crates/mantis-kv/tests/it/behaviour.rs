//! Single operations and batches: conditions, expiry, counters, atomicity.

use mantis_kv::{Batch, BatchOp, Condition, Expiry, KvError, OpDone, Put};
use mantis_types::{Code, Durability, Limits, Seq};

use crate::setup::{ACCESS, CLASS, fixture, with_limits};

#[test]
fn a_put_is_read_back_with_everything_that_was_stored() {
    let f = fixture();
    let put = Put {
        content_type: Some("image/png".to_owned()),
        tags: vec!["a".to_owned(), "b".to_owned()],
        expiry: Expiry::AfterMs(5000),
        ..Put::new(&b"k\0\xFF"[..], &b"\x00\xFF"[..])
    };
    let done = f.kv.put(ACCESS, put, CLASS).unwrap();
    assert!(done.created);
    let entry = f.kv.get(ACCESS, (&b"k\0\xFF"[..]).into()).unwrap().unwrap();
    assert_eq!(entry.version, done.committed.seq);
    assert_eq!(&entry.value[..], b"\x00\xFF");
    assert_eq!(entry.content_type, "image/png");
    assert_eq!(entry.tags, ["a", "b"]);
    assert_eq!(entry.ttl_ms, Some(5000));
    assert_eq!(entry.created_ms, entry.modified_ms);
}

#[test]
fn overwriting_keeps_the_creation_time_and_clears_the_expiry() {
    let f = fixture();
    let put = Put {
        expiry: Expiry::AfterMs(5000),
        ..Put::new("k", "1")
    };
    f.kv.put(ACCESS, put, CLASS).unwrap();
    let first = f.entry("k").unwrap();
    f.env.clock().sleep(std::time::Duration::from_millis(100));
    assert!(!f.put("k", "2"));
    let second = f.entry("k").unwrap();
    assert_eq!(second.created_ms, first.created_ms);
    assert!(second.modified_ms > first.modified_ms);
    assert_eq!(second.ttl_ms, None);
}

#[test]
fn conditions_hold_exactly_or_change_nothing() {
    let f = fixture();
    let put = |condition| {
        f.kv.put(
            ACCESS,
            Put {
                condition,
                ..Put::new("k", "v")
            },
            CLASS,
        )
    };
    let refused = put(Condition::IfPresent).unwrap_err();
    assert!(matches!(refused, KvError::Precondition { current: None }));
    let first = put(Condition::IfAbsent).unwrap().committed.seq;
    let refused = put(Condition::IfAbsent).unwrap_err();
    assert!(matches!(refused, KvError::Precondition { current: Some(seq) } if seq == first));
    let second = put(Condition::IfVersion(first)).unwrap().committed.seq;
    assert!(put(Condition::IfVersion(first)).is_err());
    let delete = |condition| f.kv.delete(ACCESS, "k".into(), condition, CLASS);
    assert_eq!(
        delete(Condition::IfVersion(first)).unwrap_err().code(),
        Code::PreconditionFailed
    );
    assert!(
        delete(Condition::IfVersion(second))
            .unwrap()
            .committed
            .is_some()
    );
    assert!(delete(Condition::Always).unwrap().committed.is_none());
}

#[test]
fn an_expired_key_is_absent_for_every_call_and_swept() {
    let f = fixture();
    let put = Put {
        expiry: Expiry::AfterMs(1000),
        ..Put::new("k", "v")
    };
    f.kv.put(ACCESS, put, CLASS).unwrap();
    f.env.clock().sleep(std::time::Duration::from_millis(999));
    assert_eq!(f.entry("k").unwrap().ttl_ms, Some(1));
    f.env.clock().sleep(std::time::Duration::from_millis(1));
    assert_eq!(f.entry("k"), None);
    assert_eq!(f.kv.count(ACCESS).unwrap(), Some(0));
    assert!(
        f.kv.delete(ACCESS, "k".into(), Condition::Always, CLASS)
            .unwrap()
            .committed
            .is_none()
    );
    assert!(f.store.sweep().unwrap() > 0);
    assert_eq!(f.store.stats().expired, 1);
    assert_eq!(f.store.sweep().unwrap(), 0);
    assert!(f.put("k", "again"));
}

#[test]
fn a_key_whose_expiry_was_taken_back_survives_the_sweep() {
    let f = fixture();
    let put = Put {
        expiry: Expiry::AfterMs(1000),
        ..Put::new("k", "v")
    };
    f.kv.put(ACCESS, put.clone(), CLASS).unwrap();
    f.put("k", "for ever");
    f.kv.put(
        ACCESS,
        Put {
            key: "l".into(),
            ..put.clone()
        },
        CLASS,
    )
    .unwrap();
    f.kv.put(
        ACCESS,
        Put {
            key: "l".into(),
            expiry: Expiry::AfterMs(9000),
            ..put
        },
        CLASS,
    )
    .unwrap();
    f.env.clock().sleep(std::time::Duration::from_millis(2000));
    while f.store.sweep().unwrap() > 0 {}
    assert_eq!(f.value("k").as_deref(), Some("for ever"));
    assert_eq!(f.entry("l").unwrap().ttl_ms, Some(7000));
    assert_eq!(f.store.stats().expired, 0);
}

#[test]
fn increments_of_many_threads_are_all_counted() {
    let f = fixture();
    let increment = || {
        let once = || {
            f.kv.increment(ACCESS, "n".into(), 1, None, Durability::None)
        };
        (0..500).for_each(|_| assert!(once().unwrap().value > 0));
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(increment)));
    });
    assert_eq!(f.value("n").as_deref(), Some("4000"));
}

#[test]
fn increments_take_integers_only_and_keep_the_expiry() {
    let f = fixture();
    let inc = |by, initial| f.kv.increment(ACCESS, "n".into(), by, initial, CLASS);
    assert_eq!(inc(5, Some(10)).unwrap().value, 15);
    assert_eq!(inc(-20, None).unwrap().value, -5);
    let put = Put {
        expiry: Expiry::AfterMs(1000),
        ..Put::new("n", i64::MAX.to_string())
    };
    f.kv.put(ACCESS, put, CLASS).unwrap();
    assert!(matches!(inc(1, None).unwrap_err(), KvError::Overflow));
    assert_eq!(inc(-1, None).unwrap().value, i64::MAX - 1);
    assert_eq!(f.entry("n").unwrap().ttl_ms, Some(1000));
    for no_integer in ["", " 1", "+1", "1.0", "01", "9223372036854775808"] {
        f.put("n", no_integer);
        assert!(
            matches!(inc(1, None).unwrap_err(), KvError::NotAnInteger),
            "{no_integer:?}"
        );
    }
}

#[test]
fn an_atomic_batch_sees_its_own_writes_and_is_one_commit() {
    let f = fixture();
    f.put("old", "1");
    let ops = vec![
        BatchOp::Set(Put::new("a", "1")),
        BatchOp::Get { key: "a".into() },
        BatchOp::Increment {
            key: "a".into(),
            by: 2,
            initial: None,
        },
        BatchOp::Delete {
            key: "old".into(),
            condition: Condition::Always,
        },
        BatchOp::Get { key: "old".into() },
        BatchOp::Delete {
            key: "old".into(),
            condition: Condition::Always,
        },
    ];
    let done =
        f.kv.batch(
            ACCESS,
            &Batch {
                ops,
                atomic: true,
                durability: CLASS,
            },
            None,
        )
        .unwrap();
    let seq = done.committed.unwrap().seq;
    let mut results = done.results.into_iter().map(Result::unwrap);
    assert!(
        matches!(results.next(), Some(OpDone::Set { created: true, version }) if version == seq)
    );
    assert!(
        matches!(results.next(), Some(OpDone::Got(Some(e))) if e.version == seq && e.value == "1")
    );
    assert!(
        matches!(results.next(), Some(OpDone::Incremented { value: 3, version }) if version == seq)
    );
    assert!(matches!(
        results.next(),
        Some(OpDone::Deleted { deleted: true })
    ));
    assert!(matches!(results.next(), Some(OpDone::Got(None))));
    assert!(matches!(
        results.next(),
        Some(OpDone::Deleted { deleted: false })
    ));
    assert_eq!(f.entry("a").unwrap().version, seq);
    assert_eq!(f.value("a").as_deref(), Some("3"));
}

#[test]
fn a_failing_operation_undoes_an_atomic_batch_and_is_named() {
    let f = fixture();
    f.put("text", "x");
    let ops = vec![
        BatchOp::Set(Put::new("a", "1")),
        BatchOp::Increment {
            key: "text".into(),
            by: 1,
            initial: None,
        },
    ];
    let batch = Batch {
        ops,
        atomic: true,
        durability: CLASS,
    };
    let error = f.kv.batch(ACCESS, &batch, None).unwrap_err();
    assert!(matches!(&error, KvError::Aborted { index: 1, .. }));
    assert_eq!(error.code(), Code::WrongType);
    assert_eq!(f.entry("a"), None);
    let done =
        f.kv.batch(
            ACCESS,
            &Batch {
                atomic: false,
                ..batch
            },
            None,
        )
        .unwrap();
    assert!(done.results[0].is_ok());
    assert!(matches!(done.results[1], Err(KvError::NotAnInteger)));
    assert_eq!(f.value("a").as_deref(), Some("1"));
}

#[test]
fn a_batch_one_by_one_gives_each_operation_its_version() {
    let f = fixture();
    let ops = vec![
        BatchOp::Set(Put::new("a", "1")),
        BatchOp::Set(Put::new("a", "2")),
        BatchOp::Get { key: "a".into() },
    ];
    let done =
        f.kv.batch(
            ACCESS,
            &Batch {
                ops,
                atomic: false,
                durability: CLASS,
            },
            None,
        )
        .unwrap();
    let versions: Vec<Seq> = done
        .results
        .iter()
        .map(|r| match r {
            Ok(OpDone::Set { version, .. }) => *version,
            Ok(OpDone::Got(Some(entry))) => entry.version,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(versions[0] < versions[1]);
    assert_eq!(versions[1], versions[2]);
    assert_eq!(done.committed.unwrap().seq, versions[1]);
}

#[test]
fn limits_are_refused_by_name_and_change_nothing() {
    let limits = Limits {
        key_bytes_max: 8,
        value_bytes_max: 16,
        tags_max: 1,
        ..Limits::default()
    };
    let f = with_limits(Limits {
        batch_ops_max: 2,
        ..limits
    });
    let name = |error: KvError| match error {
        KvError::TooLarge { limit, .. } => limit,
        KvError::InvalidTtl { .. } => "ttl",
        other => panic!("{other}"),
    };
    let refused = |put: Put| name(f.kv.put(ACCESS, put, CLASS).unwrap_err());
    assert_eq!(refused(Put::new("123456789", "")), "limits.key_bytes_max");
    assert_eq!(refused(Put::new("k", vec![0; 17])), "limits.max_value_size");
    let tags = vec![String::new(), String::new()];
    assert_eq!(
        refused(Put {
            tags,
            ..Put::new("k", "")
        }),
        "limits.tags_max"
    );
    let tags = vec!["x".repeat(257)];
    assert_eq!(
        refused(Put {
            tags,
            ..Put::new("k", "")
        }),
        "limits.tag_bytes_max"
    );
    for ms in [0, u64::MAX] {
        assert_eq!(
            refused(Put {
                expiry: Expiry::AfterMs(ms),
                ..Put::new("k", "")
            }),
            "ttl"
        );
    }
    let ops = vec![BatchOp::Set(Put::new("k", "")); 3];
    let batch = Batch {
        ops,
        atomic: false,
        durability: CLASS,
    };
    assert_eq!(
        name(f.kv.batch(ACCESS, &batch, None).unwrap_err()),
        "limits.batch_ops_max"
    );
    assert_eq!(
        name(f.kv.get(ACCESS, "123456789".into()).unwrap_err()),
        "limits.key_bytes_max"
    );
    assert_eq!(f.kv.count(ACCESS).unwrap(), Some(0));
    assert!(
        f.kv.put(ACCESS, Put::new("12345678", vec![0; 16]), CLASS)
            .is_ok()
    );
}

#[test]
fn counters_count_what_happened() {
    let f = fixture();
    f.put("a", "1");
    f.put("a", "2");
    assert!(f.entry("a").is_some());
    assert!(f.entry("b").is_none());
    f.kv.delete(ACCESS, "a".into(), Condition::Always, CLASS)
        .unwrap();
    f.kv.delete(ACCESS, "a".into(), Condition::Always, CLASS)
        .unwrap();
    let stats = f.kv.stats();
    assert_eq!((stats.reads, stats.hits, stats.misses), (2, 1, 1));
    assert_eq!((stats.writes, stats.deletes), (2, 1));
}
