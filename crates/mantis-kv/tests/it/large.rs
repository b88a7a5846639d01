//! Values in chunks, and emptying a keyspace: O(1) at commit, reclaimed in the background.

use bytes::Bytes;
use mantis_kv::{Condition, Expiry, Put};
use mantis_types::Limits;

use crate::setup::{ACCESS, CLASS, Fixture, with_limits};

fn small_chunks() -> Fixture {
    with_limits(Limits {
        chunk_bytes: 10,
        ..Limits::default()
    })
}

fn reclaim(f: &Fixture) -> u64 {
    let before = f.store.stats().reclaimed;
    while f.store.sweep().unwrap() > 0 {}
    f.store.stats().reclaimed - before
}

fn large(len: u8) -> Bytes {
    (0..len).collect::<Vec<u8>>().into()
}

#[test]
fn a_value_over_the_chunk_limit_comes_back_whole() {
    let f = small_chunks();
    for len in [10, 11, 20, 21, 255] {
        f.kv.put(ACCESS, Put::new("k", large(len)), CLASS).unwrap();
        let entry = f.kv.get(ACCESS, "k".into()).unwrap().unwrap();
        assert_eq!(entry.value, large(len));
    }
}

#[test]
fn chunks_of_a_replaced_deleted_or_expired_value_are_reclaimed() {
    let f = small_chunks();
    f.kv.put(ACCESS, Put::new("k", large(100)), CLASS).unwrap();
    assert_eq!(reclaim(&f), 0);
    f.kv.put(ACCESS, Put::new("k", large(50)), CLASS).unwrap();
    assert_eq!(reclaim(&f), 10);
    f.kv.delete(ACCESS, "k".into(), Condition::Always, CLASS)
        .unwrap();
    assert_eq!(reclaim(&f), 5);
    let put = Put {
        expiry: Expiry::AfterMs(10),
        ..Put::new("k", large(30))
    };
    f.kv.put(ACCESS, put, CLASS).unwrap();
    f.env.clock().sleep(std::time::Duration::from_millis(10));
    assert_eq!(reclaim(&f), 3);
}

#[test]
fn clearing_a_keyspace_is_one_commit_and_reclaims_keys_and_chunks() {
    let f = small_chunks();
    for n in 0..1500_u32 {
        f.put(&format!("key {n}"), "v");
    }
    f.kv.put(ACCESS, Put::new("large", large(100)), CLASS)
        .unwrap();
    let before = f.store.visible_seq();
    let done = f.kv.clear(ACCESS, CLASS).unwrap();
    assert!(
        done.seq.get() <= before.get() + 2,
        "at most an id reservation beside it"
    );
    assert_eq!(f.kv.count(ACCESS).unwrap(), Some(0));
    f.put("after", "v");
    assert_eq!(reclaim(&f), 1500 + 1 + 10);
    assert_eq!(f.kv.count(ACCESS).unwrap(), Some(1));
    let again = mantis_kv::Kv::open(f.store, 0).unwrap();
    assert_eq!(again.count(ACCESS).unwrap(), Some(1));
}

#[test]
fn clearing_while_others_write_loses_no_later_write() {
    let f = small_chunks();
    let put = |key: String| {
        let put = Put::new(key.clone(), "v");
        (f.kv.put(ACCESS, put, CLASS).unwrap().committed.seq, key)
    };
    let write = |t: u32| {
        (0..300)
            .map(|n| put(format!("{t}/{n}")))
            .collect::<Vec<_>>()
    };
    let write = &write;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4).map(|t| scope.spawn(move || write(t))).collect();
        let mut cleared = f.kv.clear(ACCESS, CLASS).unwrap().seq;
        for _ in 0..5 {
            cleared = f.kv.clear(ACCESS, CLASS).unwrap().seq;
        }
        for (seq, key) in writers.into_iter().flat_map(|w| w.join().unwrap()) {
            assert_eq!(
                f.entry(&key).is_some(),
                seq > cleared,
                "{key} at {seq}, clear at {cleared}"
            );
        }
    });
}
