//! Random operations against a BTreeMap.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use mantis_kv::{Batch, BatchOp, Condition, Expiry, List, Put};
use mantis_types::Limits;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::setup::{ACCESS, CLASS, Fixture, with_limits};

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u8,
        len: u8,
        ttl: Option<u8>,
        condition: Condition,
    },
    Delete {
        key: u8,
    },
    Increment {
        key: u8,
        by: i8,
    },
    Batch {
        keys: Vec<(u8, Option<u8>)>,
        atomic: bool,
    },
    Wait {
        ms: u8,
    },
    Clear,
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let condition = prop_oneof![
        4 => Just(Condition::Always),
        1 => Just(Condition::IfAbsent),
        1 => Just(Condition::IfPresent)
    ];
    let key = 0..12_u8;
    let step = prop_oneof![
        6 => (key.clone(), any::<u8>(), any::<Option<u8>>(), condition)
            .prop_map(|(key, len, ttl, condition)| Step::Put { key, len, ttl, condition }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        2 => (key.clone(), any::<i8>()).prop_map(|(key, by)| Step::Increment { key, by }),
        2 => (proptest::collection::vec((key, any::<Option<u8>>()), 1..6), any::<bool>())
            .prop_map(|(keys, atomic)| Step::Batch { keys, atomic }),
        2 => any::<u8>().prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Clear),
        2 => Just(Step::Sweep)
    ];
    proptest::collection::vec(step, 1..60)
}

/// Key to (value, expiry).
type Model = BTreeMap<Bytes, (Bytes, Option<u64>)>;

fn name(key: u8) -> Bytes {
    // Some keys are prefixes of others, some hold bytes that need care.
    let keys: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\0\0",
        b"a",
        b"aa",
        b"a\xFF",
        b"a\xFF\xFF",
        b"b",
        b"\xFE",
        b"\xFF",
        b"\xFF\xFF",
        b"\xFF\0",
    ];
    Bytes::from_static(keys[usize::from(key)])
}

fn value(len: u8) -> Bytes {
    (0..len).collect::<Vec<u8>>().into()
}

fn apply(f: &Fixture, model: &mut Model, step: &Step) {
    forget_expired(f, model);
    match step {
        Step::Put { .. } => put(f, model, step),
        Step::Delete { key } => {
            let done = f.kv.delete(ACCESS, name(*key), Condition::Always, CLASS);
            let removed = model.remove(&name(*key)).is_some();
            assert_eq!(done.unwrap().committed.is_some(), removed);
        }
        Step::Increment { key, by } => increment(f, model, *key, i64::from(*by)),
        Step::Batch { keys, atomic } => batch(f, model, keys, *atomic),
        Step::Wait { ms } => f.env.clock().sleep(Duration::from_millis(u64::from(*ms))),
        Step::Clear => {
            f.kv.clear(ACCESS, CLASS).unwrap();
            model.clear();
        }
        Step::Sweep => while f.store.sweep().unwrap() > 0 {},
    }
}

fn forget_expired(f: &Fixture, model: &mut Model) {
    let now = f.env.clock().now_ms();
    model.retain(|_, (_, at)| at.is_none_or(|at| at > now));
}

fn put(f: &Fixture, model: &mut Model, step: &Step) {
    let Step::Put {
        key,
        len,
        ttl,
        condition,
    } = step
    else {
        return;
    };
    let span = ttl.map(|ms| u64::from(ms) + 1);
    let expiry = span.map_or(Expiry::Never, Expiry::AfterMs);
    let put = Put {
        expiry,
        condition: *condition,
        ..Put::new(name(*key), value(*len))
    };
    let present = model.contains_key(&name(*key));
    let allowed = match condition {
        Condition::IfAbsent => !present,
        Condition::IfPresent => present,
        _ => true,
    };
    let done = f.kv.put(ACCESS, put, CLASS);
    assert_eq!(
        done.as_ref().map(|d| d.created).ok(),
        allowed.then_some(!present)
    );
    if allowed {
        let at = span.map(|ms| f.env.clock().now_ms() + ms);
        model.insert(name(*key), (value(*len), at));
    }
}

fn increment(f: &Fixture, model: &mut Model, key: u8, by: i64) {
    let old = model.get(&name(key)).cloned();
    let integer = |v: &[u8]| std::str::from_utf8(v).ok()?.parse::<i64>().ok();
    let base = old.as_ref().map_or(Some(0), |(v, _)| integer(v));
    let done = f.kv.increment(ACCESS, name(key), by, None, CLASS);
    let expected = base.map(|b| b + by);
    assert_eq!(done.map(|d| d.value).ok(), expected);
    if let Some(n) = expected {
        model.insert(
            name(key),
            (n.to_string().into(), old.and_then(|(_, at)| at)),
        );
    }
}

fn batch(f: &Fixture, model: &mut Model, keys: &[(u8, Option<u8>)], atomic: bool) {
    let op = |(key, len): &(u8, Option<u8>)| match len {
        Some(len) => BatchOp::Set(Put::new(name(*key), value(*len))),
        None => BatchOp::Delete {
            key: name(*key),
            condition: Condition::Always,
        },
    };
    let ops = keys.iter().map(op).collect();
    f.kv.batch(
        ACCESS,
        &Batch {
            ops,
            atomic,
            durability: CLASS,
        },
        None,
    )
    .unwrap();
    for (key, len) in keys {
        match len {
            Some(len) => drop(model.insert(name(*key), (value(*len), None))),
            None => drop(model.remove(&name(*key))),
        }
    }
}

fn check(f: &Fixture, model: &mut Model) {
    forget_expired(f, model);
    let list = List {
        limit: 1000,
        values: true,
        total: true,
        ..List::default()
    };
    let page = f.kv.list(ACCESS, &list).unwrap();
    let seen: Vec<_> = page.items.into_iter().filter_map(|i| i.entry).collect();
    let seen: Vec<_> = seen
        .into_iter()
        .map(|e| (e.key, (e.value, e.expires_ms)))
        .collect();
    let expected: Vec<_> = model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(seen, expected);
    assert_eq!(page.total, Some(model.len() as u64));
    for key in 0..12 {
        let entry = f.kv.get(ACCESS, name(key)).unwrap();
        assert_eq!(
            entry.map(|e| (e.value, e.expires_ms)),
            model.get(&name(key)).cloned()
        );
    }
}

proptest! {
    #[test]
    fn random_operations_agree_with_a_map(steps in steps()) {
        let f = with_limits(Limits { chunk_bytes: 40, ..Limits::default() });
        let mut model = Model::new();
        for step in &steps {
            apply(&f, &mut model, step);
            check(&f, &mut model);
        }
    }
}
