//! Reads entries from JSON lines and CSV, with the place of each, and names what is wrong with a
//! line.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::entry::{Entry, JSON, OCTETS, TEXT, guessed_type};
use super::place::Place;
use crate::client::bytes_of;
use crate::config::nearest;

/// Longest line that is read.
const LINE_BYTES_MAX: usize = 256 << 20;

/// The columns of CSV.
pub(super) const COLUMNS: [&str; 5] = ["key", "value", "content_type", "ttl_ms", "tags"];

/// One line or row.
#[derive(Debug)]
pub(super) struct Row {
    /// Its number, the first is 1. Of a row over several lines the first one.
    pub(super) line: u64,
    /// Where it begins.
    pub(super) start: Place,
    /// Where the next one begins.
    pub(super) end: Place,
    /// What it says, or what is wrong with it and its text.
    pub(super) entry: Result<Entry, BadLine>,
}

/// A line that cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// What is wrong with it.
    pub(super) why: String,
    /// The line itself.
    pub(super) text: String,
}

/// A file that is read row by row.
pub(super) enum Source<R> {
    /// JSON lines.
    Jsonl(Lines<R>),
    /// CSV.
    Csv(Box<Rows<R>>),
}

impl<R: Read> Source<R> {
    /// JSON lines; `reader` stands at `place`.
    pub(super) fn jsonl(reader: R, place: Place) -> Self {
        Self::Jsonl(Lines {
            reader: BufReader::new(reader),
            place,
        })
    }

    /// CSV after its first line, whose columns are `columns`; `reader` stands at `place`.
    pub(super) fn csv(reader: R, place: Place, columns: Columns) -> Self {
        let reader = csv_reader(reader);
        Self::Csv(Box::new(Rows {
            reader,
            base: place,
            columns,
        }))
    }

    /// The next row; `None` at the end. Lines without content are passed over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        match self {
            Self::Jsonl(lines) => lines.next_row(),
            Self::Csv(rows) => rows.next_row(),
        }
    }
}

/// JSON lines.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    place: Place,
}

impl<R: Read> Lines<R> {
    fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        loop {
            let start = self.place;
            let mut line = Vec::new();
            let mut limited = (&mut self.reader).take(LINE_BYTES_MAX as u64);
            let read = limited
                .read_until(b'\n', &mut line)
                .context("the file cannot be read")?;
            if read == 0 {
                return Ok(None);
            }
            if read == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                bail!(
                    "line {} is longer than {LINE_BYTES_MAX} bytes",
                    start.line + 1
                );
            }
            self.place = Place {
                offset: start.offset + read as u64,
                line: start.line + 1,
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let entry = json_entry(&line).map_err(|why| BadLine {
                why,
                text: String::from_utf8_lossy(&line).trim_end().to_owned(),
            });
            return Ok(Some(Row {
                line: start.line + 1,
                start,
                end: self.place,
                entry,
            }));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine<'a> {
    key: Value,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    ttl_ms: Option<u64>,
    #[serde(default)]
    tags: Vec<String>,
}

fn json_entry(line: &[u8]) -> Result<Entry, String> {
    let line: JsonLine<'_> = serde_json::from_slice(line).map_err(|error| json_error(&error))?;
    let key = bytes_of(&line.key).ok_or("key must be a string or {\"base64\": \"...\"}")?;
    let text = line.value.get();
    let (value, guessed) = match serde_json::from_str::<Value>(text) {
        Ok(Value::String(text)) => (text.into_bytes(), TEXT),
        Ok(value @ Value::Object(_)) if value.get("base64").is_some() => match bytes_of(&value) {
            Some(bytes) => (bytes, OCTETS),
            None if value.as_object().is_some_and(|members| members.len() == 1) => {
                return Err("the base64 of value is not valid".to_owned());
            }
            None => (text.as_bytes().to_vec(), JSON),
        },
        Ok(_) => (text.as_bytes().to_vec(), JSON),
        Err(error) => return Err(format!("value: {}", json_error(&error))),
    };
    let content_type = line.content_type.unwrap_or_else(|| guessed.to_owned());
    checked(Entry {
        key,
        value,
        content_type,
        ttl_ms: line.ttl_ms,
        tags: line.tags,
    })
}

/// The reader's text without its own line number, which is always 1.
fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if error.column() > 0 => format!("{what} at column {}", error.column()),
        _ => text,
    }
}

fn checked(entry: Entry) -> Result<Entry, String> {
    if entry.ttl_ms == Some(0) {
        return Err("ttl_ms must be at least 1".to_owned());
    }
    if entry.content_type == JSON && serde_json::from_slice::<&RawValue>(&entry.value).is_err() {
        return Err("content_type is application/json, but value is no JSON".to_owned());
    }
    Ok(entry)
}

/// Which column stands where.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// For each of [`COLUMNS`] its position.
    positions: [Option<usize>; COLUMNS.len()],
    /// Lines end with two bytes, of which the CSV reader leaves the second to the next record.
    two_byte_ends: bool,
}

/// The first line of a CSV file.
#[derive(Debug)]
pub(super) struct Head {
    /// What it says.
    pub(super) columns: Columns,
    /// Where the rows begin.
    pub(super) place: Place,
    /// What was read to see it: the reader reads ahead.
    pub(super) seen: Vec<u8>,
}

/// Reads, and keeps what it has read.
struct Seen<R> {
    reader: R,
    bytes: Vec<u8>,
}

impl<R: Read> Read for Seen<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Columns {
    /// Reads the first line of a CSV file.
    ///
    /// # Errors
    /// When a column is unknown, given twice, or `key` or `value` is missing.
    pub(super) fn read(reader: impl Read) -> anyhow::Result<Head> {
        let mut reader = csv_reader(Seen {
            reader,
            bytes: Vec::new(),
        });
        let mut head = csv::ByteRecord::new();
        if !reader.read_byte_record(&mut head).context("line 1")? {
            bail!("the file is empty: line 1 must name the columns, such as key,value");
        }
        let mut positions = [None; COLUMNS.len()];
        for (at, name) in head.iter().enumerate() {
            let name = String::from_utf8_lossy(name)
                .trim_start_matches('\u{feff}')
                .trim()
                .to_owned();
            let Some(known) = COLUMNS.iter().position(|known| *known == name) else {
                let near = nearest(&name, COLUMNS);
                let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                bail!(
                    "line 1: unknown column {name:?}{hint} (known: {})",
                    COLUMNS.join(", ")
                );
            };
            if positions[known].replace(at).is_some() {
                bail!("line 1: the column {name} stands twice");
            }
        }
        for (needed, position) in COLUMNS.iter().zip(positions).take(2) {
            if position.is_none() {
                bail!("line 1: the column {needed} is missing");
            }
        }
        let place = Place {
            offset: reader.position().byte(),
            line: reader.position().line() - 1,
        };
        let seen = reader.into_inner().bytes;
        let end = usize::try_from(place.offset)
            .ok()
            .and_then(|end| end.checked_sub(1));
        let two_byte_ends = end.and_then(|end| seen.get(end)) == Some(&b'\r');
        Ok(Head {
            columns: Self {
                positions,
                two_byte_ends,
            },
            place,
            seen,
        })
    }

    fn field<'a>(&self, record: &'a csv::ByteRecord, column: usize) -> &'a [u8] {
        self.positions[column]
            .and_then(|at| record.get(at))
            .unwrap_or_default()
    }

    fn entry(&self, record: &csv::ByteRecord) -> Result<Entry, String> {
        let text = |column: usize| {
            std::str::from_utf8(self.field(record, column))
                .map_err(|_| format!("{} is no text", COLUMNS[column]))
        };
        let value = bytes_of_field(self.field(record, 1));
        let content_type = match text(2)? {
            "" => guessed_type(&value).to_owned(),
            said => said.to_owned(),
        };
        let ttl_ms = match text(3)? {
            "" => None,
            said => Some(
                said.parse()
                    .map_err(|_| "ttl_ms must be a whole number".to_owned())?,
            ),
        };
        let tags = match text(4)? {
            "" => Vec::new(),
            said => serde_json::from_str(said)
                .map_err(|_| "tags must be a JSON list of strings".to_owned())?,
        };
        checked(Entry {
            key: bytes_of_field(self.field(record, 0)),
            value,
            content_type,
            ttl_ms,
            tags,
        })
    }
}

/// A field is its bytes, or what stands in base64 in it.
fn bytes_of_field(field: &[u8]) -> Vec<u8> {
    let wrapped = if looks_wrapped(field) {
        serde_json::from_slice(field).ok()
    } else {
        None
    };
    wrapped
        .and_then(|value: Value| bytes_of(&value))
        .unwrap_or_else(|| field.to_vec())
}

/// Whether a field could be taken for bytes in base64, so that plain text must not look like it.
pub(super) fn looks_wrapped(field: &[u8]) -> bool {
    field.starts_with(b"{")
}

/// CSV after its first line.
pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    /// Where the reader began.
    base: Place,
    columns: Columns,
}

impl<R: Read> Rows<R> {
    fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        let start = self.place();
        let mut record = csv::ByteRecord::new();
        let entry = match self.reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(None),
            Ok(true) => self.columns.entry(&record),
            Err(error) if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) => {
                Err("it has not as many fields as line 1".to_owned())
            }
            Err(error) => return Err(error).context("the file cannot be read"),
        };
        let begun = u64::from(self.columns.two_byte_ends);
        let line = self.base.line + begun + record.position().map_or(1, csv::Position::line);
        let entry = entry.map_err(|why| BadLine {
            why,
            text: csv_text(&record),
        });
        Ok(Some(Row {
            line,
            start,
            end: self.place(),
            entry,
        }))
    }

    fn place(&self) -> Place {
        let at = self.reader.position();
        Place {
            offset: self.base.offset + at.byte(),
            line: self.base.line + at.line() - 1,
        }
    }
}

fn csv_reader<R: Read>(reader: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(reader)
}

fn csv_text(record: &csv::ByteRecord) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_byte_record(record).is_ok();
    let bytes = writer.into_inner().unwrap_or_default();
    if written {
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests;
