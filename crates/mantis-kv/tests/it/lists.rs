//! Lists: order, bounds, direction, pages and totals.

use bytes::Bytes;
use mantis_kv::{Batch, BatchOp, Expiry, KvError, List, Put};
use mantis_types::Limits;

use crate::setup::{ACCESS, CLASS, Fixture, fixture, with_limits};

fn names(f: &Fixture, list: &List) -> Vec<String> {
    let page = f.kv.list(ACCESS, list).unwrap();
    page.items
        .iter()
        .map(|i| String::from_utf8_lossy(&i.key).into_owned())
        .collect()
}

fn filled(names: &[&str]) -> Fixture {
    let f = fixture();
    names.iter().for_each(|name| assert!(f.put(name, "v")));
    f
}

fn list(prefix: &'static str) -> List {
    List {
        prefix: prefix.into(),
        limit: 100,
        ..List::default()
    }
}

#[test]
fn prefix_start_end_and_direction_select_as_they_say() {
    let f = filled(&["a", "b", "b\u{10FFFF}", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(names(&f, &list("b/")), ["b/1", "b/2", "b/3"]);
    assert_eq!(
        names(&f, &list("")),
        ["a", "b", "b/1", "b/2", "b/3", "b\u{10FFFF}", "c"]
    );
    let part = List {
        start: Some("b/2".into()),
        end: Some("c".into()),
        ..list("b")
    };
    assert_eq!(names(&f, &part), ["b/2", "b/3", "b\u{10FFFF}"]);
    let back = List {
        reverse: true,
        ..part
    };
    assert_eq!(names(&f, &back), ["b\u{10FFFF}", "b/3", "b/2"]);
    let empty = List {
        start: Some("z".into()),
        ..list("b")
    };
    assert_eq!(names(&f, &empty), [""; 0]);
    let crossed = List {
        start: Some("c".into()),
        end: Some("a".into()),
        ..list("")
    };
    assert_eq!(names(&f, &crossed), [""; 0]);
}

#[test]
fn pages_by_cursor_cover_every_key_once_in_both_directions() {
    let f = fixture();
    let all: Vec<String> = (0..57).map(|n| format!("k{n:03}")).collect();
    all.iter().for_each(|name| assert!(f.put(name, "v")));
    for reverse in [false, true] {
        let mut seen = Vec::new();
        let mut cursor: Option<Bytes> = None;
        loop {
            let request = List {
                reverse,
                limit: 10,
                cursor: cursor.take(),
                ..list("k")
            };
            let page = f.kv.list(ACCESS, &request).unwrap();
            seen.extend(
                page.items
                    .iter()
                    .map(|i| String::from_utf8(i.key.to_vec()).unwrap()),
            );
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let mut expected = all.clone();
        if reverse {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn totals_leave_out_expired_keys_and_know_their_limit() {
    let f = with_limits(Limits {
        count_scan_max: 5,
        list_limit_max: 3,
        ..Limits::default()
    });
    for n in 0..5 {
        f.put(&format!("{n}"), "v");
    }
    let brief = Put {
        expiry: Expiry::AfterMs(10),
        ..Put::new("brief", "v")
    };
    f.kv.put(ACCESS, brief, CLASS).unwrap();
    let request = List {
        total: true,
        offset: 1,
        ..list("")
    };
    assert_eq!(f.kv.list(ACCESS, &request).unwrap().total, None);
    f.env.clock().sleep(std::time::Duration::from_millis(10));
    let page = f.kv.list(ACCESS, &request).unwrap();
    assert_eq!(page.total, Some(5));
    assert_eq!(page.items.len(), 3, "the largest page");
    assert_eq!(page.items[0].key, "1");
}

#[test]
fn values_come_along_when_asked_for() {
    let f = filled(&["a"]);
    let item = |values| {
        let page = f.kv.list(ACCESS, &List { values, ..list("") }).unwrap();
        page.items.into_iter().next().unwrap()
    };
    assert_eq!(item(false).entry, None);
    assert_eq!(item(true).entry, f.entry("a"));
    assert_eq!(item(false).version, f.entry("a").unwrap().version);
}

#[test]
fn a_scan_is_longer_than_a_page_and_of_one_moment() {
    let f = fixture();
    for number in 0..2500 {
        f.put(&format!("k{number:04}"), "v");
    }
    let gone = Put {
        expiry: Expiry::AfterMs(10),
        ..Put::new("k-gone", "v")
    };
    f.kv.put(ACCESS, gone, CLASS).unwrap();
    f.put("other", "v");
    f.env.clock().sleep(std::time::Duration::from_millis(20));
    let mut scan = f.kv.scan(ACCESS, &Bytes::from("k")).unwrap();
    let first = scan.next().unwrap().unwrap();
    assert_eq!(&first.key[..], b"k0000", "what has expired is left out");
    f.kv.clear(ACCESS, CLASS).unwrap();
    f.put("k9999", "new");
    let rest: Vec<_> = scan.map(|entry| entry.unwrap().key).collect();
    assert_eq!((rest.len(), rest.is_sorted()), (2499, true));
    assert_eq!(f.kv.scan(ACCESS, &Bytes::new()).unwrap().count(), 1);
    assert!(f.kv.scan(ACCESS, &Bytes::from(vec![0; 40_000])).is_err());
}

#[test]
fn a_page_of_values_ends_at_the_answers_limit_and_goes_on() {
    let limits = Limits {
        answer_bytes_max: 25,
        ..Limits::default()
    };
    let f = with_limits(limits);
    for n in 0..10 {
        f.put(&format!("{n}"), "ten bytes.");
    }
    let request = List {
        values: true,
        ..list("")
    };
    let page = f.kv.list(ACCESS, &request).unwrap();
    assert_eq!(page.items.len(), 3);
    let next = List {
        cursor: page.next_cursor,
        ..request
    };
    assert_eq!(f.kv.list(ACCESS, &next).unwrap().items[0].key, "3");
    assert_eq!(f.kv.list(ACCESS, &list("")).unwrap().items.len(), 10);
    let ops: Vec<_> = (0..3_u8)
        .map(|n| BatchOp::Get {
            key: n.to_string().into(),
        })
        .collect();
    let batch = Batch {
        ops,
        atomic: false,
        durability: CLASS,
    };
    let done = f.kv.batch(ACCESS, &batch, None).unwrap();
    assert!(done.results[1].is_ok());
    assert!(matches!(
        done.results[2],
        Err(KvError::TooLarge {
            limit: "limits.answer_bytes_max",
            ..
        })
    ));
}
