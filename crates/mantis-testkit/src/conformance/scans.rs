//! Cases about scans.

use std::collections::BTreeMap;
use std::ops::Bound;

use mantis_engine::Direction;

use super::{Driver, Factory, key};
use crate::dice::Dice;

type Expected = BTreeMap<Vec<u8>, String>;

/// Every kind of bound at every interesting place, both ways.
pub(super) fn ranges_agree_with_a_map(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    let mut map = Expected::new();
    let mut dice = Dice::new(11);
    for round in 0..5 {
        for n in 0..200 {
            let key = key(format!("{:03}", dice.below(400)));
            if dice.percent(25) {
                db.delete(&key);
                map.remove(&key);
            } else {
                let value = format!("{round} {n}");
                db.put(&key, &value);
                map.insert(key, value);
            }
        }
        compare(db, &map);
        if round < 3 {
            db.flush();
            compare(db, &map);
        }
    }
}

fn compare(db: &Driver, map: &Expected) {
    let snapshot = db.engine().snapshot();
    let places: Vec<Vec<u8>> = ["", "0", "000", "037", "038", "1999", "399", "4", "9"]
        .iter()
        .map(key)
        .collect();
    let mut bounds = vec![Bound::Unbounded];
    for place in &places {
        bounds.push(Bound::Included(place.as_slice()));
        bounds.push(Bound::Excluded(place.as_slice()));
    }
    for from in &bounds {
        for to in &bounds {
            let inside = |key: &[u8]| {
                let above = match from {
                    Bound::Included(from) => key >= *from,
                    Bound::Excluded(from) => key > *from,
                    Bound::Unbounded => true,
                };
                let below = match to {
                    Bound::Included(to) => key <= *to,
                    Bound::Excluded(to) => key < *to,
                    Bound::Unbounded => true,
                };
                above && below
            };
            let wanted = map.iter().filter(|(key, _)| inside(key));
            let mut wanted: Vec<_> = wanted.map(|(k, v)| (k.clone(), v.clone())).collect();
            let range = (*from, *to);
            let found = db.scan_at(&snapshot, range, Direction::Forward);
            assert_eq!(found, wanted, "forward {range:?}");
            wanted.reverse();
            let found = db.scan_at(&snapshot, range, Direction::Backward);
            assert_eq!(found, wanted, "backward {range:?}");
        }
    }
}

/// Thousands of versions of one key between others: they cost a seek, not a walk, and no scan shows
/// two of them.
pub(super) fn scans_pass_over_many_versions(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    for name in ["a", "hot", "z"] {
        db.put(&key(name), "first");
    }
    let old = db.engine().snapshot();
    for n in 0..5000 {
        db.put(&key("hot"), format!("{n}"));
    }
    let wanted = |hot: &str| {
        vec![
            (key("a"), "first".into()),
            (key("hot"), hot.into()),
            (key("z"), "first".into()),
        ]
    };
    let everything = (Bound::Unbounded, Bound::Unbounded);
    for (snapshot, hot) in [(db.engine().snapshot(), "4999"), (old, "first")] {
        let mut expected: Vec<(Vec<u8>, String)> = wanted(hot);
        for _ in 0..200 {
            assert_eq!(
                db.scan_at(&snapshot, everything, Direction::Forward),
                expected
            );
        }
        expected.reverse();
        for _ in 0..200 {
            assert_eq!(
                db.scan_at(&snapshot, everything, Direction::Backward),
                expected
            );
        }
    }
}

/// A scan of many batches goes on at its snapshot, whatever is written, flushed or merged meanwhile,
/// on whatever thread, after the snapshot itself was dropped.
pub(super) fn a_scan_keeps_its_snapshot(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    for n in 0..6000 {
        db.put(&key(format!("{n:05}")), format!("old {n}"));
        if n == 3000 {
            db.flush();
        }
    }
    let range = (Bound::Unbounded, Bound::Unbounded);
    for direction in [Direction::Forward, Direction::Backward] {
        let snapshot = db.engine().snapshot();
        let mut expected = db.all();
        if direction == Direction::Backward {
            expected.reverse();
        }
        let mut scan = db
            .engine()
            .scan(&snapshot, range, direction)
            .expect("a scan begins");
        drop(snapshot);
        let mut found = Vec::new();
        for round in 0..8 {
            for row in scan.by_ref().take(500) {
                let (key, record) = row.expect("a scan goes on");
                found.push((key.as_bytes().to_vec(), super::text_of(&record)));
            }
            for n in (0..6000).step_by(7) {
                db.put(&key(format!("{n:05}")), format!("{direction:?} {round}"));
                db.delete(&key(format!("{:05}", n + 1)));
            }
            match round {
                2 => db.flush(),
                4 => db.engine().compact().expect("a compaction works"),
                _ => {}
            }
        }
        let rest = std::thread::scope(|scope| {
            let rest = scope.spawn(|| scan.expecting(100).collect::<Result<Vec<_>, _>>());
            rest.join()
                .expect("the thread ends")
                .expect("a scan goes on")
        });
        let rest = rest
            .iter()
            .map(|(k, r)| (k.as_bytes().to_vec(), super::text_of(r)));
        found.extend(rest);
        assert_eq!(found.len(), expected.len());
        assert_eq!(found, expected, "{direction:?}");
    }
}
