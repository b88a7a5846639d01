//! The examples of docs/format.md are the bytes that the code writes and reads.

use mantis_types::{
    ContentType, DatabaseId, EncodedKey, Origin, OwnerId, RecordBuilder, RecordView, Seq, Space,
    ValueKind, WriteBatch, WriteBatchBuilder, split_key, stamp_seq,
};

const PAGE: &str = include_str!("../../../../docs/format.md");

/// The bytes of the page's block "```example NAME".
fn example(name: &str) -> Vec<u8> {
    let fence = format!("```example {name}\n");
    let (_, rest) = PAGE
        .split_once(&fence)
        .unwrap_or_else(|| panic!("no example {name}"));
    let (block, _) = rest.split_once("```").unwrap();
    block
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn key(user_key: &[u8]) -> EncodedKey {
    EncodedKey::new(DatabaseId::DEFAULT, Space::Kv, OwnerId::new(1), user_key).unwrap()
}

#[test]
fn the_key_of_the_page_is_what_the_code_writes_and_reads() {
    let bytes = example("key");
    assert_eq!(key(b"user:1").as_bytes(), bytes);
    let expected = (
        DatabaseId::DEFAULT,
        Space::Kv,
        OwnerId::new(1),
        &b"user:1"[..],
    );
    assert_eq!(split_key(&bytes).unwrap(), expected);
}

#[test]
fn the_records_of_the_page_are_what_the_code_writes_and_reads() {
    let written = |builder: RecordBuilder<'_>| {
        let mut bytes = Vec::new();
        builder.write(b"hi", &mut bytes).unwrap();
        stamp_seq(&mut bytes, Seq::new(7));
        bytes
    };
    let plain = RecordBuilder::new(ValueKind::Bytes).content_type(ContentType::Text);
    assert_eq!(written(plain), example("record"));

    let tags = ["a".to_owned()];
    let full = RecordBuilder::new(ValueKind::Bytes)
        .content_type(ContentType::Named("text/html"))
        .expiry_ms(Some(2000))
        .modified_ms(1000)
        .created_ms(Some(500))
        .tags(&tags);
    let bytes = example("full record");
    assert_eq!(written(full), bytes);
    let view = RecordView::parse(&bytes).unwrap();
    assert_eq!((view.seq(), view.payload()), (Seq::new(7), &b"hi"[..]));
    assert_eq!(
        (view.expiry_ms(), view.modified_ms()),
        (Some(2000), Some(1000))
    );
    assert_eq!(
        (view.created_ms(), view.content_type().as_str()),
        (Some(500), "text/html")
    );
    assert!(view.tags().eq(["a"]));
}

#[test]
fn the_batch_of_the_page_is_what_the_code_writes_and_reads() {
    let mut builder = WriteBatchBuilder::default();
    let record = RecordBuilder::new(ValueKind::Bytes).content_type(ContentType::Text);
    builder
        .put_with(key(b"user:1").as_bytes(), |out| record.write(b"hi", out))
        .unwrap();
    builder.delete(key(b"user:2").as_bytes()).unwrap();
    let mut batch = builder.finish();
    batch.set_time(2000);
    batch.set_origin(Origin::Http);
    assert_eq!(batch.as_bytes(), example("batch"));
    assert_eq!(WriteBatch::from_log(example("batch")).unwrap(), batch);
}
