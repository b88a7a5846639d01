//! Ranges: bounds, joining, finding writes in them, and what is dropped.

use std::ops::Bound::{Excluded, Included, Unbounded};

use super::*;

fn holds_each(spans: &Spans, keys: &[&[u8]]) -> Vec<bool> {
    keys.iter()
        .map(|key| holds(spans.as_slice(), key))
        .collect()
}

#[test]
fn every_kind_of_bound_keeps_its_meaning() {
    let check = |from, to, expected: [bool; 5]| {
        let mut spans = Spans::default();
        spans.push(Span::new(from, to));
        spans.tidy();
        let keys: [&[u8]; 5] = [b"a", b"b", b"b\0", b"c", b"d"];
        assert_eq!(holds_each(&spans, &keys), expected);
    };
    check(
        Included(b"b"),
        Excluded(b"c"),
        [false, true, true, false, false],
    );
    check(
        Excluded(b"b"),
        Included(b"c"),
        [false, false, true, true, false],
    );
    check(Unbounded, Included(b"b"), [true, true, false, false, false]);
    check(
        Excluded(b"c"),
        Unbounded,
        [false, false, false, false, true],
    );
    check(Included(b"c"), Excluded(b"b"), [false; 5]);
}

#[test]
fn ranges_that_touch_become_one_and_others_stay_apart() {
    let mut spans = Spans::default();
    let ranges: [(&[u8], &[u8]); 5] = [
        (b"m", b"n"),
        (b"a", b"c"),
        (b"c", b"d"),
        (b"b", b"bb"),
        (b"x", b"z"),
    ];
    for (from, to) in ranges {
        spans.push(Span::new(Included(from), Excluded(to)));
    }
    spans.tidy();
    assert_eq!(spans.len(), 3);
    let keys: [&[u8]; 6] = [b"a", b"cz", b"d", b"m", b"n", b"y"];
    assert_eq!(
        holds_each(&spans, &keys),
        [true, true, false, true, false, true]
    );
    spans.push(Span::new(Included(b"y"), Unbounded));
    spans.coarsen();
    assert_eq!(spans.len(), 1);
    assert_eq!(
        holds_each(&spans, &[b"`", b"e", b"zz"]),
        [false, true, true]
    );
}

#[test]
fn a_write_is_found_in_every_list_that_still_counts() {
    let ranges = Ranges::new(1 << 20);
    let writes = LIST as u64 * 5 + 7;
    for n in 1..=writes {
        ranges.push(Seq::new(n), &n.to_be_bytes(), Seq::ZERO);
    }
    for n in [1, LIST as u64, LIST as u64 + 1, writes - 7, writes] {
        let key = n.to_be_bytes();
        let mut spans = Spans::default();
        spans.push(Span::new(Included(&key), Included(&key)));
        spans.tidy();
        let (seq, before) = (Seq::new(n), Seq::new(n - 1));
        assert_eq!(ranges.first_hit(spans.as_slice(), before), Some(seq));
        assert_eq!(ranges.newest_hit(spans.as_slice(), before), Some(seq));
        assert_eq!(ranges.first_hit(spans.as_slice(), seq), None);
        assert_eq!(ranges.newest_hit(spans.as_slice(), seq), None);
    }
}

#[test]
fn lists_that_nobody_asks_about_are_dropped_and_too_many_raise_the_floor() {
    let ranges = Ranges::new(LIST * 4);
    let mut spans = Spans::default();
    spans.push(Span::new(Unbounded, Unbounded));
    spans.tidy();
    for n in 1..=LIST as u64 * 10 {
        ranges.push(Seq::new(n), b"k", Seq::new(n));
    }
    assert!(ranges.lists.lock().full.len() <= 1);
    assert_eq!(ranges.floor_for(spans.as_slice()), Seq::ZERO);
    for n in 1..=LIST as u64 * 10 {
        let seq = LIST as u64 * 10 + n;
        ranges.push(Seq::new(seq), b"k", Seq::ZERO);
    }
    assert_eq!(ranges.lists.lock().full.len(), 4);
    assert!(ranges.floor_for(spans.as_slice()) > Seq::ZERO);
    assert_eq!(
        ranges.floor_for(&[]),
        Seq::ZERO,
        "who reads no range is not hurt"
    );
}
