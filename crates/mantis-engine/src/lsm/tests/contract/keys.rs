//! Line 7: what would panic in the tree never reaches it.

use lsm_tree::Slice;

use super::*;

/// Keys that the tree takes for a bug of its caller: the last of each row is the bad one.
fn bad_keys() -> [(&'static str, Vec<Vec<u8>>); 4] {
    [
        ("empty", vec![Vec::new()]),
        ("too long", vec![vec![1; 65_536]]),
        ("doubled", vec![b"b".to_vec(), b"b".to_vec()]),
        ("unsorted", vec![b"b".to_vec(), b"a".to_vec()]),
    ]
}

/// Writes the keys as a flush would, the last one as a value or as a delete.
fn ingest(options: LsmOptions, keys: &[Vec<u8>], delete: bool) -> Result<(), EngineError> {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options);
    let mut ingest = db.shared().store.ingest()?;
    let (last, before) = keys.split_last().unwrap();
    for key in before {
        ingest.put(&Slice::from(key.as_slice()), &Slice::from("value"))?;
    }
    let last = Slice::from(last.as_slice());
    if delete {
        ingest.delete(&last)?;
    } else {
        ingest.put(&last, &Slice::from("value"))?;
    }
    ingest.finish()
}

#[test]
fn line_7_keys_that_would_panic_in_the_tree_are_typed_errors() {
    for (what, keys) in bad_keys() {
        for delete in [false, true] {
            let refused = ingest(by_hand(), &keys, delete).unwrap_err();
            let typed = match what {
                "empty" => matches!(refused, EngineError::KeyEmpty),
                "too long" => matches!(refused, EngineError::KeyTooLong { .. }),
                _ => matches!(refused, EngineError::Internal(_)),
            };
            assert!(typed, "{what}: {refused:?}");
        }
    }
    let longest = vec![1; 65_535];
    ingest(by_hand(), &[b"\0".to_vec(), longest], false).unwrap();
}

/// The control: the same keys, given to the tree without our check.
#[test]
fn line_7_the_tree_itself_panics_on_each_of_them() {
    for (what, keys) in bad_keys() {
        for delete in [false, true] {
            let keys = keys.clone();
            let unchecked = move || ingest(broken(Defect::UncheckedKeys), &keys, delete);
            let thread = std::thread::Builder::new().spawn(unchecked).unwrap();
            let panicked = thread.join().is_err();
            assert!(panicked, "{what}: then our check is not needed any more");
        }
    }
}

#[test]
fn a_run_of_tables_without_an_entry_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), by_hand());
    let empty = db.shared().store.ingest().unwrap();
    assert!(matches!(empty.finish(), Err(EngineError::Internal(_))));
}
