//! `mantisdb export`: pages of keys and values from a server into a file.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mantis_env::Env;
use serde_json::{Value, json};
use ureq::http::Method;

use super::entry::{Entry, OCTETS};
use super::meter::{Meter, per_second};
use super::place::{ExportProgress, ProgressFile};
use super::{beside, format_of, is_pipe, write};
use crate::cli::{ExportArgs, OutputFormat, TransferFormat};
use crate::client::{Ask, Connection, bytes_of, query_value};
use crate::exit::{Outcome, say};
use crate::table::thousands;

/// Keys on the first page, and most on any.
const PAGE_KEYS_FIRST: usize = 64;
const PAGE_KEYS_MAX: usize = 1000;

/// A page of less than this grows the next one, a page of more than four times this shrinks it.
const PAGE_BYTES: usize = 2 << 20;

/// `mantisdb export FILE`.
pub(crate) fn export(arguments: &ExportArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let format = format_of(arguments.format, &arguments.file);
    let mut pages = Pages::new(&connection, arguments);
    if is_pipe(&arguments.file) {
        out.write_all(&write::head(format))?;
        while let Some(entries) = pages.next_page()? {
            out.write_all(&text_of(format, &entries)?)?;
        }
        return Ok(out.flush()?);
    }
    let mut target = Target::open(arguments, format, &connection)?;
    target.go_on(&mut pages)?;
    let mut meter = Meter::new("entries written", pages.total()?, target.written);
    while let Some(entries) = pages.next_page()? {
        target.append(&text_of(format, &entries)?, entries.len() as u64)?;
        meter.show(target.written, target.written);
        if let Some(cursor) = &pages.cursor {
            target.save(cursor, &connection, arguments)?;
        }
    }
    let written = target.written;
    target.finish()?;
    let seconds = meter.end().as_secs_f64();
    match arguments.server.output {
        OutputFormat::Json => {
            writeln!(out, "{}", json!({ "written": written, "seconds": seconds }))?;
        }
        OutputFormat::Table => {
            let rate = per_second(written, seconds);
            let name = arguments.file.display();
            writeln!(
                out,
                "{} entries written to {name} in {seconds:.1} s ({rate}/s)",
                thousands(written)
            )?;
        }
    }
    Ok(())
}

fn text_of(format: TransferFormat, entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        write::entry(format, entry, &mut text)?;
    }
    Ok(text)
}

/// Pages of a list, one after the other.
struct Pages<'a> {
    connection: &'a Connection,
    prefix: &'a str,
    limit: usize,
    cursor: Option<String>,
    done: bool,
}

impl<'a> Pages<'a> {
    fn new(connection: &'a Connection, arguments: &'a ExportArgs) -> Self {
        let prefix = arguments.prefix.as_str();
        Self {
            connection,
            prefix,
            limit: PAGE_KEYS_FIRST,
            cursor: None,
            done: false,
        }
    }

    /// How many keys there are, when the server counts that far.
    fn total(&self) -> anyhow::Result<Option<u64>> {
        let path = format!(
            "/api/v1/kv?limit=1&prefix={}",
            query_value(self.prefix.as_bytes())
        );
        let answer = self.connection.ask(Ask::new(Method::GET, &path))?.json()?;
        Ok(answer["meta"]["total"].as_u64())
    }

    fn next_page(&mut self) -> anyhow::Result<Option<Vec<Entry>>> {
        if self.done {
            return Ok(None);
        }
        let mut path = format!(
            "/api/v1/kv?total=false&values=true&format=base64&limit={}&prefix={}",
            self.limit,
            query_value(self.prefix.as_bytes())
        );
        if let Some(cursor) = &self.cursor {
            path.push_str(&format!("&cursor={}", query_value(cursor.as_bytes())));
        }
        let answer = self.connection.ask(Ask::new(Method::GET, &path))?;
        let bytes = answer.body.len();
        let answer = answer.json()?;
        let items = answer["data"]
            .as_array()
            .context("the server's answer holds no list")?;
        let entries = items
            .iter()
            .map(entry_of)
            .collect::<anyhow::Result<Vec<_>>>()?;
        self.cursor = answer["meta"]["next_cursor"].as_str().map(str::to_owned);
        self.done = self.cursor.is_none();
        self.limit = next_limit(self.limit, bytes);
        Ok(Some(entries))
    }
}

/// Pages follow the size of values, so that neither side holds a huge one.
fn next_limit(limit: usize, page_bytes: usize) -> usize {
    if page_bytes < PAGE_BYTES {
        (limit * 2).min(PAGE_KEYS_MAX)
    } else if page_bytes > 4 * PAGE_BYTES {
        (limit / 2).max(1)
    } else {
        limit
    }
}

fn entry_of(item: &Value) -> anyhow::Result<Entry> {
    if item["error"] == json!("wrong_type") {
        bail!(
            "the store holds a collection, which is no plain value: export a --prefix without it"
        );
    }
    let key = bytes_of(&item["key"]).context("the server's answer holds no key")?;
    let value = item["value"]
        .as_str()
        .and_then(|text| BASE64.decode(text).ok());
    let value = value.context("the server's answer holds no value in base64")?;
    let seconds = item["ttl"]
        .as_u64()
        .map(|seconds| seconds.saturating_mul(1000));
    let tags = item["tags"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(Entry {
        key,
        value,
        content_type: item["content_type"].as_str().unwrap_or(OCTETS).to_owned(),
        ttl_ms: item["ttl_ms"].as_u64().or(seconds),
        tags: tags
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    })
}

/// The unfinished file, and how far it is.
struct Target {
    env: Env,
    path: PathBuf,
    part: PathBuf,
    file: File,
    offset: u64,
    written: u64,
    progress: ProgressFile,
    format: TransferFormat,
    earlier: Option<ExportProgress>,
}

impl Target {
    /// Opens the unfinished file, where an earlier export left it or anew.
    fn open(
        arguments: &ExportArgs,
        format: TransferFormat,
        connection: &Connection,
    ) -> anyhow::Result<Self> {
        let path = arguments.file.clone();
        let name = path.display();
        let progress = ProgressFile::new(beside(&path, ".mantis-export"));
        if arguments.restart {
            progress.remove()?;
        }
        let earlier: Option<ExportProgress> = progress.read()?;
        if earlier.is_none() && !arguments.force && path.exists() {
            bail!("{name} is there already: --force replaces it");
        }
        if let Some(earlier) = &earlier {
            let same = earlier.server == connection.base()
                && earlier.prefix == arguments.prefix
                && earlier.format == format!("{format:?}");
            if !same {
                bail!("another export to {name} was interrupted: finish it, or say --restart");
            }
        }
        let part = beside(&path, ".mantis-part");
        let options = File::options()
            .write(true)
            .create(true)
            .truncate(earlier.is_none())
            .open(&part);
        let file = options.with_context(|| format!("cannot write {}", part.display()))?;
        let env = Env::real();
        Ok(Self {
            env,
            path,
            part,
            file,
            offset: 0,
            written: 0,
            progress,
            format,
            earlier,
        })
    }

    /// Goes on where an earlier export stopped, or writes the head.
    fn go_on(&mut self, pages: &mut Pages<'_>) -> anyhow::Result<()> {
        let Some(earlier) = self.earlier.take() else {
            return self.append(&write::head(self.format), 0);
        };
        if self.file.metadata()?.len() < earlier.offset {
            bail!(
                "{} is shorter than it was: --restart begins anew",
                self.part.display()
            );
        }
        say(&format!(
            "going on after {} entries",
            thousands(earlier.written)
        ));
        self.file.set_len(earlier.offset)?;
        self.file.seek(SeekFrom::Start(earlier.offset))?;
        self.offset = earlier.offset;
        self.written = earlier.written;
        pages.cursor = Some(earlier.cursor);
        Ok(())
    }

    fn append(&mut self, text: &[u8], entries: u64) -> anyhow::Result<()> {
        self.file
            .write_all(text)
            .with_context(|| format!("cannot write {}", self.part.display()))?;
        self.offset += text.len() as u64;
        self.written += entries;
        Ok(())
    }

    fn save(
        &self,
        cursor: &str,
        connection: &Connection,
        arguments: &ExportArgs,
    ) -> anyhow::Result<()> {
        // The text must be there whenever the progress says so.
        self.file.sync_data().context("the file cannot be synced")?;
        self.progress.write(&ExportProgress {
            cursor: cursor.to_owned(),
            offset: self.offset,
            written: self.written,
            server: connection.base().to_owned(),
            prefix: arguments.prefix.clone(),
            format: format!("{:?}", self.format),
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        drop(self.file);
        let renamed = self.env.fs().rename_durable(&self.part, &self.path);
        renamed.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.progress.remove()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_values() {
        assert_eq!(next_limit(64, 10), 128);
        assert_eq!(next_limit(1000, 10), 1000);
        assert_eq!(next_limit(64, 3 * PAGE_BYTES), 64);
        assert_eq!(next_limit(64, 9 * PAGE_BYTES), 32);
        assert_eq!(next_limit(1, 100 * PAGE_BYTES), 1);
    }

    #[test]
    fn items_become_entries() {
        let item = json!({"key": {"base64": "/w=="}, "value": "AP8=", "content_type": "image/x", "ttl": 2});
        let entry = entry_of(&item).unwrap();
        assert_eq!(
            (entry.key, entry.value, entry.ttl_ms),
            (vec![255], vec![0, 255], Some(2000))
        );
        assert!(entry_of(&json!({"key": "a"})).is_err());
    }
}
