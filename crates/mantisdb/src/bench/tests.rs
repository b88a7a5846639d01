//! The load checks what it reads, and the check itself can fail.

use super::*;

const SMALL: Size = Size {
    keys: 2_000,
    value_bytes: 100,
    synced: 100,
    cache_bytes: 8 << 20,
    buffer_bytes: 64 << 20,
};

#[test]
fn every_phase_runs_and_no_read_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let results = load_and_check(dir.path(), SMALL).unwrap();
    assert_eq!(results.len(), 10);
    for result in &results {
        assert_eq!(result.done.wrong, 0, "{result:?}");
        assert!(result.done.ops > 0, "{result:?}");
    }
    let scanned = results.last().unwrap();
    assert_eq!((scanned.done.ops, scanned.done.checked), (1_800, 2_000));
    let mut out = Vec::new();
    print(Stress::Light, SMALL, &results, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("40 writers") && text.contains(" 0 wrong"),
        "{text}"
    );
}

#[test]
fn a_directory_is_measured_once() {
    let dir = tempfile::tempdir().unwrap();
    load_and_check(dir.path(), SMALL).unwrap();
    let again = load_and_check(dir.path(), SMALL).unwrap_err();
    assert!(again.to_string().contains("earlier measurement"), "{again}");
}

/// The control: a value that was changed, lost or invented is found.
#[test]
fn changes_behind_the_back_of_the_load_are_wrong_reads() {
    let storage = LockFreeStorage::new();
    let load = Arc::new(Load::new(Env::real(), 100, 32));
    load.run(&storage, Work::PutInOrder, 1, 100).unwrap();
    assert_eq!(load.scan(&storage).unwrap().wrong, 0);
    let key = |number: u64| format!("{PREFIX}{number:010x}");
    storage.put(key(3), "other").unwrap();
    storage.delete(key(7)).unwrap();
    storage.put(key(1_000), "too much").unwrap();
    assert_eq!(load.scan(&storage).unwrap().wrong, 3);
    assert_eq!(
        load.run(&storage, Work::GetInOrder, 2, 100).unwrap().wrong,
        2
    );
}
