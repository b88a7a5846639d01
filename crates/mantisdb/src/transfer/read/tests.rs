//! Good and bad lines, and their places.

use super::*;

fn jsonl(text: &str) -> Vec<Row> {
    rows(Source::jsonl(text.as_bytes(), Place::default()))
}

fn csv(text: &str) -> anyhow::Result<Vec<Row>> {
    let Head { columns, place, .. } = Columns::read(text.as_bytes())?;
    let rest = &text.as_bytes()[usize::try_from(place.offset).unwrap()..];
    Ok(rows(Source::csv(rest, place, columns)))
}

fn rows(mut source: Source<&[u8]>) -> Vec<Row> {
    std::iter::from_fn(|| source.next_row().unwrap()).collect()
}

#[track_caller]
fn good(row: &Row) -> (&[u8], &[u8], &str) {
    let entry = row.entry.as_ref().unwrap();
    (&entry.key, &entry.value, &entry.content_type)
}

#[test]
fn json_values_keep_their_bytes() {
    for (line, key, value, content_type) in [
        (
            r#"{"key":"a","value":"té"}"#,
            &b"a"[..],
            "té".as_bytes(),
            TEXT,
        ),
        (
            r#"{"key":{"base64":"/w=="},"value":{"base64":"AP8="}}"#,
            b"\xff",
            b"\x00\xff",
            OCTETS,
        ),
        (
            r#"{"key":"","value":{"a": 1.50}}"#,
            b"",
            br#"{"a": 1.50}"#,
            JSON,
        ),
        (r#"{"key":"a","value":[1,2]}"#, b"a", b"[1,2]", JSON),
        (r#"{"key":"a","value":null}"#, b"a", b"null", JSON),
        (
            r#"{"key":"a","value":{"base64":1,"x":2}}"#,
            b"a",
            br#"{"base64":1,"x":2}"#,
            JSON,
        ),
        (
            r#"{"key":"a","value":"\"s\"","content_type":"application/json"}"#,
            b"a",
            b"\"s\"",
            JSON,
        ),
        (
            r#"{"key":"a","value":"x","content_type":"image/x"}"#,
            b"a",
            b"x",
            "image/x",
        ),
    ] {
        assert_eq!(good(&jsonl(line)[0]), (key, value, content_type), "{line}");
    }
    let all = jsonl(r#"{"key":"a","value":"x","ttl_ms":5,"tags":["t"]}"#);
    let entry = all[0].entry.as_ref().unwrap();
    assert_eq!(
        (entry.ttl_ms, entry.tags.as_slice()),
        (Some(5), &["t".to_owned()][..])
    );
}

#[test]
fn bad_json_lines_say_what_is_wrong_and_where() {
    let text = "{\"key\":\"a\",\"value\":1}\n\n{\"key\":\"b\"\n{\"key\":\"c\",\"value\":2}";
    let all = jsonl(text);
    assert_eq!(
        all.iter().map(|row| row.line).collect::<Vec<_>>(),
        [1, 3, 4]
    );
    assert_eq!((all[1].start.offset, all[1].end.offset), (23, 34));
    assert_eq!(all[1].entry.as_ref().unwrap_err().text, "{\"key\":\"b\"");
    for (line, part) in [
        ("{\"key\":\"a\"}", "missing field `value`"),
        ("{\"key\":\"a\",\"vlaue\":1}", "unknown field `vlaue`"),
        ("{\"key\":1,\"value\":1}", "key must be"),
        (
            "{\"key\":\"a\",\"value\":{\"base64\":\"!\"}}",
            "base64 of value",
        ),
        ("{\"key\":\"a\",\"value\":\"\\ud800\"}", "value: "),
        ("{\"key\":\"a\",\"value\":1,\"ttl_ms\":0}", "ttl_ms"),
        (
            "{\"key\":\"a\",\"value\":\"{\",\"content_type\":\"application/json\"}",
            "no JSON",
        ),
        ("not json", "at column"),
        ("\u{0}", "at column"),
    ] {
        let all = jsonl(line);
        let why = &all[0].entry.as_ref().unwrap_err().why;
        assert!(why.contains(part), "{line}: {why}");
    }
}

#[test]
fn csv_rows_keep_their_bytes_and_places() {
    let text = "value,key,tags\n1,a,\n\"two\nlines\",b,\"[\"\"t\"\"]\"\n\"{\"\"base64\"\":\"\"/w==\"\"}\",c,\n";
    let two_byte_ends = text.replace('\n', "\r\n");
    let lines = |rows: &[Row]| rows.iter().map(|row| row.line).collect::<Vec<_>>();
    assert_eq!(lines(&csv(&two_byte_ends).unwrap()), [2, 3, 5]);
    let all = csv(text).unwrap();
    assert_eq!(good(&all[0]), (&b"a"[..], &b"1"[..], TEXT));
    assert_eq!(good(&all[1]), (&b"b"[..], &b"two\nlines"[..], TEXT));
    assert_eq!(good(&all[2]), (&b"c"[..], &b"\xff"[..], OCTETS));
    assert_eq!(lines(&all), [2, 3, 5]);
    assert_eq!(all[2].end.offset, text.len() as u64);
    for row in &all {
        assert!(row.start.offset < row.end.offset, "{row:?}");
    }
}

#[test]
fn a_row_can_be_read_from_its_place() {
    let text = "key,value\na,\"1\n1\"\nb,2\nc,3\n";
    let columns = Columns::read(text.as_bytes()).unwrap().columns;
    for row in csv(text).unwrap() {
        let rest = &text.as_bytes()[usize::try_from(row.start.offset).unwrap()..];
        let again = rows(Source::csv(rest, row.start, columns.clone()));
        assert_eq!(good(&again[0]), good(&row));
        assert_eq!((again[0].line, again[0].end), (row.line, row.end));
    }
}

#[test]
fn bad_csv_says_what_is_wrong_and_where() {
    for (text, part) in [
        ("", "empty"),
        ("key,valeu\n", "did you mean value?"),
        ("key,key\n", "twice"),
        ("key,ttl_ms\n", "value is missing"),
    ] {
        let error = csv(text).unwrap_err();
        assert!(format!("{error:#}").contains(part), "{text}: {error:#}");
    }
    let all = csv("key,value,ttl_ms\na,1,\nb,2\nc,3,x\nd,4,\n").unwrap();
    let whys: Vec<_> = all
        .iter()
        .map(|row| row.entry.as_ref().map_err(|bad| bad.why.as_str()))
        .collect();
    assert!(whys[0].is_ok() && whys[3].is_ok());
    assert!(
        whys[1].as_ref().unwrap_err().contains("as many fields"),
        "{whys:?}"
    );
    assert!(whys[2].as_ref().unwrap_err().contains("ttl_ms"), "{whys:?}");
    assert_eq!(all[2].line, 4);
}
