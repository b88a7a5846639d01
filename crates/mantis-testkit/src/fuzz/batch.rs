//! The write batch: what is taken from a log is canonical, what is built equals an ordered map.

use std::collections::BTreeMap;

use mantis_types::{KEY_BYTES_MAX, WriteBatch, WriteBatchBuilder};

use super::Cutter;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut one = WriteBatchBuilder::default();
    one.put(b"key", b"record").expect("short keys fit");
    let mut more = WriteBatchBuilder::default();
    for key in [&b"b"[..], b"a", b"", b"longer key"] {
        more.put(key, key).expect("short keys fit");
    }
    more.delete(b"a").expect("short keys fit");
    let empty = WriteBatchBuilder::default();
    [one, more, empty]
        .map(|builder| builder.finish().as_bytes().to_vec())
        .to_vec()
}

pub(super) fn check(input: &[u8]) {
    if let Ok(batch) = WriteBatch::from_log(input.to_vec()) {
        assert_eq!(batch.as_bytes(), input);
        let mut builder = WriteBatchBuilder::default();
        let mut last: Option<&[u8]> = None;
        for (key, record) in batch.ops() {
            assert!(key.len() <= KEY_BYTES_MAX && last.is_none_or(|last| last < key));
            last = Some(key);
            match record {
                Some(record) => builder.put(key, record).expect("the key fitted before"),
                None => builder.delete(key).expect("the key fitted before"),
            }
        }
        let count = batch.ops().count();
        assert_eq!(
            u32::try_from(count),
            Ok(batch.count()),
            "the count is the operations'"
        );
        let mut again = builder.finish();
        if let Some(head) = batch.head() {
            again.set_time(head.time_ms);
            again.set_origin(head.origin);
            assert_eq!(again, batch, "a batch has one form");
        }
        assert!(again.ops().eq(batch.ops()), "old logs have no heads");
    }
    check_own(input);
}

fn check_own(input: &[u8]) {
    let mut cutter = Cutter(input);
    let mut model: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    let mut builder = WriteBatchBuilder::default();
    while !cutter.is_empty() {
        let key = cutter.piece();
        if cutter.byte() % 3 == 0 {
            builder.delete(key).expect("short keys fit");
            model.insert(key, None);
        } else {
            let record = cutter.piece();
            builder.put(key, record).expect("short keys fit");
            model.insert(key, Some(record));
        }
    }
    let batch = builder.finish();
    assert_eq!(
        batch.ops().collect::<Vec<_>>(),
        model.into_iter().collect::<Vec<_>>()
    );
    assert_eq!(
        WriteBatch::from_log(batch.as_bytes().to_vec()).as_ref(),
        Ok(&batch)
    );
}
