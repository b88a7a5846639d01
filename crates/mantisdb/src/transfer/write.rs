//! Writes entries as JSON lines and CSV, such that reading them gives the same bytes.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::entry::{Entry, JSON, OCTETS, TEXT, guessed_type, wrapped};
use super::read::{COLUMNS, looks_wrapped};
use crate::cli::TransferFormat;
use crate::client::text_or_base64;

/// The first line of the format, if it has one.
pub(super) fn head(format: TransferFormat) -> Vec<u8> {
    match format {
        TransferFormat::Jsonl => Vec::new(),
        TransferFormat::Csv => format!("{}\n", COLUMNS.join(",")).into_bytes(),
    }
}

/// Appends one entry.
///
/// # Errors
/// None are expected: it goes into memory.
pub(super) fn entry(format: TransferFormat, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        TransferFormat::Jsonl => json_line(entry, out),
        TransferFormat::Csv => csv_row(entry, out),
    }
}

fn json_line(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let (value, implied) = json_value(entry);
    write!(
        out,
        "{{\"key\":{},\"value\":{value}",
        text_or_base64(&entry.key)
    )?;
    if entry.content_type != implied {
        write!(out, ",\"content_type\":{}", json!(entry.content_type))?;
    }
    if let Some(ttl_ms) = entry.ttl_ms {
        write!(out, ",\"ttl_ms\":{ttl_ms}")?;
    }
    if !entry.tags.is_empty() {
        write!(out, ",\"tags\":{}", json!(entry.tags))?;
    }
    out.write_all(b"}\n")
}

/// The value as it stands in a line, and the media type that a reader takes it for.
fn json_value(entry: &Entry) -> (String, &'static str) {
    if entry.content_type == JSON
        && let Some(json) = entry.as_json()
        && stands_for_itself(json.get())
    {
        return (json.get().to_owned(), JSON);
    }
    match std::str::from_utf8(&entry.value) {
        Ok(text) => (json!(text).to_string(), TEXT),
        Err(_) => (wrapped(&entry.value).to_string(), OCTETS),
    }
}

/// Whether JSON can stand in a line as it is: on one line, and not taken for text or for bytes.
fn stands_for_itself(json: &str) -> bool {
    let wrapped =
        || serde_json::from_str::<Value>(json).is_ok_and(|value| value.get("base64").is_some());
    let is_text = json.starts_with('"');
    let is_wrapped = json.starts_with('{') && wrapped();
    !is_text && !is_wrapped && !json.contains(['\n', '\r'])
}

fn csv_row(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let field = |bytes: &[u8]| {
        let plain = std::str::from_utf8(bytes).is_ok() && !is_taken_for_wrapped(bytes);
        if plain {
            bytes.to_vec()
        } else {
            wrapped(bytes).to_string().into_bytes()
        }
    };
    let implied = entry.content_type == guessed_type(&entry.value);
    let content_type = if implied {
        ""
    } else {
        entry.content_type.as_str()
    };
    let tags = if entry.tags.is_empty() {
        String::new()
    } else {
        json!(entry.tags).to_string()
    };
    let ttl_ms = entry
        .ttl_ms
        .map_or_else(String::new, |ttl_ms| ttl_ms.to_string());
    let mut writer = csv::Writer::from_writer(out);
    let fields: [&[u8]; COLUMNS.len()] = [
        &field(&entry.key),
        &field(&entry.value),
        content_type.as_bytes(),
        ttl_ms.as_bytes(),
        tags.as_bytes(),
    ];
    writer.write_record(fields).map_err(io::Error::from)?;
    writer.flush()
}

fn is_taken_for_wrapped(bytes: &[u8]) -> bool {
    let value = || serde_json::from_slice::<Value>(bytes);
    looks_wrapped(bytes) && value().is_ok_and(|value| crate::client::bytes_of(&value).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::super::read::{Columns, Head, Source};
    use super::*;

    fn read(format: TransferFormat, text: &[u8]) -> Vec<Entry> {
        let mut source = match format {
            TransferFormat::Jsonl => Source::jsonl(text, Place::default()),
            TransferFormat::Csv => {
                let Head { columns, place, .. } = Columns::read(text).unwrap();
                Source::csv(
                    &text[usize::try_from(place.offset).unwrap()..],
                    place,
                    columns,
                )
            }
        };
        let rows = std::iter::from_fn(|| source.next_row().unwrap());
        rows.map(|row| row.entry.unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_read_back_byte_by_byte() {
        let values: &[(&[u8], &str)] = &[
            (b"", TEXT),
            (b"a,\"b\"\nc\r\n", TEXT),
            ("é\u{2028}\u{0}".as_bytes(), TEXT),
            (b"{\"base64\":\"/w==\"}", TEXT),
            (b"{\"base64\":\"/w==\"}", JSON),
            (b"{\"base64\":1,\"b\": 1.10}", JSON),
            (b"{\n \"a\": 1}", JSON),
            (b" [1]", JSON),
            (b"\"text\"", JSON),
            (b"[1,2,  3]", JSON),
            (b"plain", OCTETS),
            (b"\xff\x00\x0a", OCTETS),
            (b"\x89PNG", "image/png"),
        ];
        let keys: &[&[u8]] = &[b"", b"k", b"\xff\xfe", b"{\"base64\":\"/w==\"}", b"a\nb,c"];
        let mut entries = Vec::new();
        for key in keys {
            entries.extend(values.iter().map(|(value, content_type)| Entry {
                key: key.to_vec(),
                value: value.to_vec(),
                content_type: (*content_type).to_owned(),
                ttl_ms: (value.len() % 2 == 0).then_some(17),
                tags: if value.len() % 3 == 0 {
                    vec!["a b".into(), "c,".into()]
                } else {
                    vec![]
                },
            }));
        }
        for format in [TransferFormat::Jsonl, TransferFormat::Csv] {
            let mut text = head(format);
            entries
                .iter()
                .for_each(|one| entry(format, one, &mut text).unwrap());
            assert_eq!(read(format, &text), entries, "{format:?}");
        }
    }
}
