//! The number of keys: exact when asked for exactly; for statistics, counted not too often.

use std::time::Duration;

use mantis_kv::KeyCount;

use crate::setup::{ACCESS, CLASS, Fixture, fixture, with_limits};

fn fill(f: &Fixture, keys: std::ops::Range<u32>) {
    let ops =
        keys.map(|n| mantis_kv::BatchOp::Set(mantis_kv::Put::new(n.to_be_bytes().to_vec(), "")));
    let ops: Vec<_> = ops.collect();
    for part in ops.chunks(5_000) {
        let batch = mantis_kv::Batch {
            ops: part.to_vec(),
            atomic: true,
            durability: CLASS,
        };
        f.kv.batch(ACCESS, &batch, None).unwrap();
    }
}

fn recent(f: &Fixture) -> (Option<u64>, bool) {
    let KeyCount { keys, exact } = f.kv.count_recent(ACCESS).unwrap();
    (keys, exact)
}

#[test]
fn few_keys_are_counted_each_time() {
    let f = fixture();
    assert_eq!(recent(&f), (Some(0), true));
    fill(&f, 0..10_000);
    assert_eq!(recent(&f), (Some(10_000), true));
    f.kv.delete(
        ACCESS,
        7_u32.to_be_bytes().to_vec().into(),
        mantis_kv::Condition::Always,
        CLASS,
    )
    .unwrap();
    assert_eq!(recent(&f), (Some(9_999), true));
}

#[test]
fn many_keys_are_remembered_for_a_time_that_grows_with_them() {
    let f = fixture();
    fill(&f, 0..20_000);
    assert_eq!(recent(&f), (Some(20_000), true));
    fill(&f, 20_000..20_001);
    let (clock, pause) = (f.env.clock(), Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(
            recent(&f),
            (Some(20_000), false),
            "two seconds are not over"
        );
        assert_eq!(
            f.kv.count(ACCESS).unwrap(),
            Some(20_001),
            "asked for exactly"
        );
        clock.sleep(pause - Duration::from_millis(1));
    }
    clock.sleep(pause);
    assert_eq!(recent(&f), (Some(20_001), true));
}

#[test]
fn more_than_the_limit_is_unknown_and_remembered_as_well() {
    let f = with_limits(mantis_types::Limits {
        count_scan_max: 15_000,
        ..Default::default()
    });
    fill(&f, 0..15_001);
    assert_eq!(recent(&f), (None, true));
    assert_eq!(recent(&f), (None, false));
    f.env.clock().sleep(Duration::from_secs(2));
    assert_eq!(recent(&f), (None, true));
}
