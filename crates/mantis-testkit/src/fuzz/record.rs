//! The record codec: no input makes it panic, and whatever parses builds to an equal record.

use mantis_types::{ContentType, RecordBuilder, RecordView, Seq, ValueKind, seq_of, stamp_seq};

use super::Cutter;

const KINDS: [ValueKind; 7] = [
    ValueKind::Bytes,
    ValueKind::Chunked,
    ValueKind::Hash,
    ValueKind::List,
    ValueKind::Set,
    ValueKind::SortedSet,
    ValueKind::Meta,
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let tags = ["a".to_owned(), "another".to_owned()];
    let plain = RecordBuilder::new(ValueKind::Bytes);
    let builders = [
        plain,
        plain.content_type(ContentType::Json),
        plain
            .content_type(ContentType::Named("image/png"))
            .tags(&tags),
        plain
            .expiry_ms(Some(1_700_000_000_000))
            .modified_ms(1_600_000_000_000),
        RecordBuilder::new(ValueKind::Meta),
        RecordBuilder::new(ValueKind::Hash)
            .modified_ms(1)
            .created_ms(Some(2)),
    ];
    builders.map(|builder| build(builder, b"payload")).to_vec()
}

fn build(builder: RecordBuilder<'_>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    builder
        .write(payload, &mut out)
        .expect("short attributes fit");
    out
}

pub(super) fn check(input: &[u8]) {
    assert!(
        seq_of(input).get() == 0 || input.len() >= 12,
        "no Seq in a short record"
    );
    if let Ok(view) = RecordView::parse(input) {
        check_again(&view);
        check_stamp(input);
    }
    check_own(input);
}

/// Everything that a view tells is told by a record built from it.
fn check_again(view: &RecordView<'_>) {
    let tags: Vec<String> = view.tags().map(str::to_owned).collect();
    let mut builder = RecordBuilder::new(view.kind())
        .content_type(view.content_type())
        .expiry_ms(view.expiry_ms())
        .created_ms(view.created_ms())
        .tags(&tags);
    if let Some(at) = view.modified_ms() {
        builder = builder.modified_ms(at);
    }
    let mut again = Vec::new();
    if builder.write(view.payload(), &mut again).is_err() {
        return;
    }
    let second = RecordView::parse(&again).expect("a built record parses");
    assert_same(view, &second);
}

fn assert_same(one: &RecordView<'_>, two: &RecordView<'_>) {
    assert_eq!(one.kind(), two.kind());
    assert_eq!(one.expiry_ms(), two.expiry_ms());
    assert_eq!(one.modified_ms(), two.modified_ms());
    assert_eq!(one.created_ms(), two.created_ms());
    assert_eq!(one.content_type().as_str(), two.content_type().as_str());
    assert_eq!(
        one.tags().collect::<Vec<_>>(),
        two.tags().collect::<Vec<_>>()
    );
    assert_eq!(one.payload(), two.payload());
}

fn check_stamp(input: &[u8]) {
    let mut stamped = input.to_vec();
    let seq = Seq::new(0x0102_0304_0506_0708);
    stamp_seq(&mut stamped, seq);
    let (one, two) = (RecordView::parse(input), RecordView::parse(&stamped));
    let (one, two) = (
        one.expect("parsed before"),
        two.expect("the Seq changes no form"),
    );
    assert_eq!((two.seq(), seq_of(&stamped)), (seq, seq));
    assert_same(&one, &two);
}

fn check_own(input: &[u8]) {
    let mut cutter = Cutter(input);
    let kind = KINDS.get(usize::from(cutter.byte()) % KINDS.len()).copied();
    let named = String::from_utf8_lossy(cutter.piece()).into_owned();
    let content_type = match cutter.byte() % 4 {
        0 => ContentType::Octets,
        1 => ContentType::Text,
        2 => ContentType::Json,
        _ => ContentType::Named(&named),
    };
    let some = |flag: u8, number: u64| (flag & 1 == 1).then_some(number);
    let (flags, expiry, created, modified) = (
        cutter.byte(),
        cutter.number(),
        cutter.number() >> 16,
        cutter.number() >> 16,
    );
    let count = usize::from(cutter.byte() % 4);
    let tags: Vec<String> = (0..count)
        .map(|_| String::from_utf8_lossy(cutter.piece()).into_owned())
        .collect();
    let builder = RecordBuilder::new(kind.unwrap_or(ValueKind::Bytes))
        .content_type(content_type)
        .expiry_ms(some(flags, expiry))
        .created_ms(some(flags >> 1, created))
        .modified_ms(modified)
        .tags(&tags);
    let bytes = build(builder, cutter.0);
    let view = RecordView::parse(&bytes).expect("a built record parses");
    assert_eq!(view.payload(), cutter.0);
    assert_eq!(view.content_type().as_str(), content_type.as_str());
    assert_eq!(view.expiry_ms(), some(flags, expiry));
    assert_eq!(view.modified_ms(), Some(modified));
    assert_eq!(
        view.created_ms(),
        some(flags >> 1, created).or(Some(modified))
    );
    assert_eq!(view.tags().collect::<Vec<_>>(), tags);
}
