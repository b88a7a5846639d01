//! The protocol of fills and writes, step by step.

use mantis_types::{RecordBuilder, Seq, ValueKind, stamp_seq};

use super::*;

const KEY: &[u8] = b"\x01\x02key";

fn record(seq: u64) -> Record {
    let mut bytes = Vec::new();
    RecordBuilder::new(ValueKind::Bytes)
        .write(b"value of the record", &mut bytes)
        .unwrap();
    stamp_seq(&mut bytes, Seq::new(seq));
    Record::copy_from(&bytes).unwrap()
}

fn cache() -> RowCache {
    RowCache::new(4 << 20, 7)
}

#[test]
fn a_filled_row_is_found_by_snapshots_that_see_it() {
    let cache = cache();
    let noted = cache.note(0, KEY).unwrap();
    cache.fill(noted, Seq::new(9), KEY, &record(5));
    assert_eq!(
        cache.get(0, Seq::new(9), KEY).map(|r| r.seq()),
        Some(Seq::new(5))
    );
    assert_eq!(
        cache.get(0, Seq::new(5), KEY).map(|r| r.seq()),
        Some(Seq::new(5))
    );
    assert_eq!(
        cache.get(0, Seq::new(4), KEY),
        None,
        "an older snapshot does not see it"
    );
    assert_eq!(cache.hits.get(), 2);
}

#[test]
fn a_write_between_note_and_fill_keeps_the_row_out() {
    let cache = cache();
    let noted = cache.note(0, KEY).unwrap();
    cache.announce(Seq::new(10), KEY);
    cache.fill(noted, Seq::new(9), KEY, &record(5));
    assert_eq!(cache.get(0, Seq::new(10), KEY), None);
}

#[test]
fn a_write_after_the_fill_removes_the_row() {
    let cache = cache();
    let noted = cache.note(0, KEY).unwrap();
    cache.fill(noted, Seq::new(9), KEY, &record(5));
    cache.announce(Seq::new(10), KEY);
    assert_eq!(cache.get(0, Seq::new(10), KEY), None);
}

#[test]
fn a_snapshot_older_than_the_newest_write_fills_nothing() {
    let cache = cache();
    cache.announce(Seq::new(10), KEY);
    let noted = cache.note(0, KEY).unwrap();
    cache.fill(noted, Seq::new(9), KEY, &record(5));
    assert_eq!(cache.get(0, Seq::new(10), KEY), None);
    let noted = cache.note(0, KEY).unwrap();
    cache.fill(noted, Seq::new(10), KEY, &record(10));
    assert!(cache.get(0, Seq::new(10), KEY).is_some());
}

#[test]
fn a_bulk_load_ends_all_rows_and_all_fills_of_older_views() {
    let cache = cache();
    let noted = cache.note(0, KEY).unwrap();
    cache.fill(noted, Seq::new(9), KEY, &record(5));
    let before = cache.note(0, KEY).unwrap();
    let loads = cache.begin_generation();
    assert_eq!(cache.get(loads, Seq::new(9), KEY), None);
    cache.fill(before, Seq::new(9), KEY, &record(5));
    assert_eq!(
        cache.get(loads, Seq::new(9), KEY),
        None,
        "a view without the load filled it"
    );
    let noted = cache.note(loads, KEY).unwrap();
    cache.fill(noted, Seq::new(9), KEY, &record(9));
    assert!(cache.get(loads, Seq::new(9), KEY).is_some());
    assert_eq!(
        cache.get(0, Seq::new(9), KEY),
        None,
        "an older view does not see the load"
    );
}

#[test]
fn the_cache_stays_within_its_bytes_and_can_be_off() {
    let cache = cache();
    for number in 0..50_000_u32 {
        let key = [KEY, &number.to_be_bytes()].concat();
        let noted = cache.note(0, &key).unwrap();
        cache.fill(noted, Seq::new(9), &key, &record(5));
    }
    assert!(cache.bytes() <= 4 << 20, "{} bytes", cache.bytes());
    assert!(cache.bytes() > 3 << 20, "{} bytes", cache.bytes());
    let off = RowCache::new(0, 7);
    assert!(off.note(0, KEY).is_none());
    off.announce(Seq::new(1), KEY);
    assert_eq!(off.get(0, Seq::MAX, KEY), None);
}
