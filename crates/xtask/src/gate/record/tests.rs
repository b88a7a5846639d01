//! Tests of records: sums add up, failures stay, a part is taken by one process only.

use super::*;

fn figures(name: &str, figure: u64) -> Figures {
    BTreeMap::from([(
        "store".to_owned(),
        BTreeMap::from([(name.to_owned(), figure)]),
    )])
}

fn slice(outcome: Outcome, name: &str, figure: u64) -> Slice {
    Slice {
        outcome,
        figures: figures(name, figure),
        ..Slice::default()
    }
}

#[test]
fn slices_add_up_and_peaks_are_maxima() {
    let mut record = Record {
        size: 20,
        ..Record::default()
    };
    for (count, peak) in [(3, 9), (4, 7)] {
        record.add(10, slice(Outcome::Passed, "lost", count), 1.5);
        merge(&mut record.figures, &figures("peak MiB", peak));
    }
    assert_eq!(record.figures["store"]["lost"], 7);
    assert_eq!(record.figures["store"]["peak MiB"], 9);
    assert!(record.is_whole() && !record.is_decided());
    assert_eq!((record.slices, record.seconds), (2, 3.0));
}

#[test]
fn a_failure_stays_whatever_follows() {
    let mut record = Record::default();
    record.add(1, slice(Outcome::Failed, "lost", 1), 0.0);
    record.add(1, slice(Outcome::Passed, "lost", 0), 0.0);
    assert!(record.is_decided());
    assert_eq!(record.outcome, Outcome::Failed);
}

#[test]
fn a_record_comes_back_as_it_was_stored() {
    let dir = crate::tree::root()
        .unwrap()
        .join("target/xtask/control-gate");
    let store = Store::open(&dir).unwrap();
    let mut record = Record::default();
    record.add(5, slice(Outcome::Failed, "lost", 2), 2.0);
    store.save("control", &record).unwrap();
    let back = store.load("control").unwrap().unwrap();
    assert_eq!(format!("{back:?}"), format!("{record:?}"));
    assert!(store.load("never-run").unwrap().is_none());
}

#[test]
fn a_part_is_taken_once() {
    let dir = crate::tree::root()
        .unwrap()
        .join("target/xtask/control-gate");
    let store = Store::open(&dir).unwrap();
    let held = store.lock("taken").unwrap();
    assert!(held.is_some());
    assert!(store.lock("taken").unwrap().is_none());
    drop(held);
    assert!(store.lock("taken").unwrap().is_some());
}
