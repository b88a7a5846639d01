//! Single keys and lists of them: `get`, `put`, `delete`, `list`, `inspect`.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use ureq::http::{Method, StatusCode};

use super::connection::{Answer, Ask, Connection, Refusal, path_of_key, query_value};
use super::{argument_bytes, bytes_of, printable, text_or_base64};
use crate::cli::{
    DeleteArgs, GetArgs, InspectArgs, KeyArg, ListArgs, OutputFormat, PutArgs, ValueType,
};
use crate::config::Setting;
use crate::exit::{Failure, Outcome};
use crate::table::{self, write_rows};

/// Most keys that are asked for at once.
const PAGE_KEYS: u64 = 1000;

/// How much of a value a table shows.
const PREVIEW_CHARS: usize = 60;

/// Largest value that is read from standard input or a file: what a server can be set to take.
const VALUE_BYTES_MAX: u64 = 1 << 30;

const TEXT: &str = "text/plain; charset=utf-8";
const OCTETS: &str = "application/octet-stream";

impl KeyArg {
    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let given = argument_bytes(&self.key);
        if !self.base64 {
            return Ok(given);
        }
        BASE64
            .decode(given)
            .map_err(|_| Failure::usage("KEY is not base64"))
    }
}

/// `mantisdb get kv KEY`: the value as it is stored.
pub(crate) fn get(arguments: &GetArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let key = arguments.key.bytes()?;
    if arguments.server.output == OutputFormat::Json {
        let (data, value) = whole(&connection, &key)?;
        writeln!(out, "{:#}", shown(data, &value))?;
        return Ok(());
    }
    let path = path_of_key(&key);
    let ask = Ask::new(Method::GET, &path).header("accept", OCTETS);
    let value = present(connection.ask(ask))?.body;
    out.write_all(&value)?;
    if std::io::stdout().is_terminal() && !value.ends_with(b"\n") {
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// `mantisdb inspect kv KEY`: everything that is known about a key.
pub(crate) fn inspect(arguments: &InspectArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let key = arguments.key.bytes()?;
    let (data, value) = listed(&connection, &key)?;
    if arguments.server.output == OutputFormat::Json {
        let mut whole = shown(data, &value);
        whole["size_bytes"] = json!(value.len());
        writeln!(out, "{whole:#}")?;
        return Ok(());
    }
    let text = |name: &str| match &data[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let left = data["ttl"]
        .as_u64()
        .map_or_else(|| "for ever".to_owned(), |s| format!("{s} s more"));
    let rows = [
        ["key".to_owned(), printable(&key)],
        [
            "size".to_owned(),
            format!("{} bytes", table::thousands(value.len() as u64)),
        ],
        ["content type".to_owned(), text("content_type")],
        ["version".to_owned(), text("version")],
        ["lives".to_owned(), left],
        ["tags".to_owned(), tags_of(&data)],
        ["value".to_owned(), preview(&value)],
    ];
    Ok(write_rows(out, None, &rows)?)
}

/// The key as a list with values shows it, which says more than the value's own answer; and the
/// value in it.
fn listed(connection: &Connection, key: &[u8]) -> anyhow::Result<(Value, Vec<u8>)> {
    let wanted = query_value(key);
    let path = format!("/api/v1/kv?prefix={wanted}&limit=1&total=false&values=true&format=base64");
    let page = connection.ask(Ask::new(Method::GET, &path))?.data()?;
    // The shortest key with this prefix comes first.
    let found = page
        .get(0)
        .filter(|item| bytes_of(&item["key"]).as_deref() == Some(key));
    let item = found.cloned().context("there is no such key")?;
    let value = value_in(&item)?;
    Ok((item, value))
}

fn tags_of(data: &Value) -> String {
    let tags = data["tags"].as_array().into_iter().flatten();
    let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
    if tags.is_empty() {
        "-".to_owned()
    } else {
        printable(tags.join(", ").as_bytes())
    }
}

/// The envelope's data, and the value in it.
fn whole(connection: &Connection, key: &[u8]) -> anyhow::Result<(Value, Vec<u8>)> {
    let path = format!("{}?format=base64", path_of_key(key));
    let data = present(connection.ask(Ask::new(Method::GET, &path)))?.data()?;
    let value = value_in(&data)?;
    Ok((data, value))
}

fn value_in(data: &Value) -> anyhow::Result<Vec<u8>> {
    let value = data["value"]
        .as_str()
        .and_then(|text| BASE64.decode(text).ok());
    value.context("the server's answer holds no value in base64")
}

/// The data with key and value as every output of ours shows bytes.
fn shown(mut data: Value, value: &[u8]) -> Value {
    data["value"] = text_or_base64(value);
    data
}

/// An absent key has a text of its own.
fn present(answer: anyhow::Result<Answer>) -> anyhow::Result<Answer> {
    answer.map_err(|error| match error.downcast_ref::<Refusal>() {
        Some(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            anyhow::anyhow!("there is no such key")
        }
        _ => error,
    })
}

/// `mantisdb put kv KEY VALUE`.
pub(crate) fn put(arguments: &PutArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let key = arguments.key.bytes()?;
    let value = value_of(arguments)?;
    let ttl_ms = arguments.ttl.as_deref().map(ttl_of).transpose()?;
    let mut path = path_of_key(&key);
    if let Some(ttl_ms) = ttl_ms {
        path.push_str(&format!("?ttl_ms={ttl_ms}"));
    }
    let ask = if arguments.value_type == ValueType::Json {
        let value: &RawValue = serde_json::from_slice(&value)
            .map_err(|error| Failure::usage(format!("VALUE is no JSON: {error}")))?;
        let body = json_put(value, &arguments.tags);
        Ask::new(Method::PUT, &path).body("application/json", body)
    } else {
        raw_put(arguments, &path, value)?
    };
    let answer = connection.ask(ask)?;
    let data = answer.data()?;
    match arguments.server.output {
        OutputFormat::Json => writeln!(out, "{data:#}")?,
        OutputFormat::Table => {
            let what = if data["created"] == json!(true) {
                "created"
            } else {
                "replaced"
            };
            writeln!(out, "{what}, version {}", data["version"])?;
        }
    }
    Ok(())
}

fn json_put(value: &RawValue, tags: &[String]) -> Vec<u8> {
    // Put together by hand, so that the JSON is stored digit by digit as it was given.
    let mut body = format!("{{\"value_type\":\"json\",\"value\":{}", value.get());
    if !tags.is_empty() {
        body.push_str(&format!(",\"tags\":{}", json!(tags)));
    }
    body.push('}');
    body.into_bytes()
}

fn raw_put<'a>(arguments: &PutArgs, path: &'a str, value: Vec<u8>) -> Result<Ask<'a>, Failure> {
    let is_text = std::str::from_utf8(&value).is_ok();
    let content_type = match arguments.value_type {
        ValueType::String if !is_text => return Err(Failure::usage("VALUE is no UTF-8 text")),
        ValueType::Auto | ValueType::String if is_text => TEXT,
        _ => OCTETS,
    };
    let mut ask = Ask::new(Method::PUT, path).body(content_type, value);
    if arguments
        .tags
        .iter()
        .any(|tag| tag.contains([',', '\r', '\n']))
    {
        return Err(Failure::usage("a tag must not hold a comma or a line end"));
    }
    if !arguments.tags.is_empty() {
        ask = ask.header("x-mantis-tags", arguments.tags.join(","));
    }
    Ok(ask)
}

fn value_of(arguments: &PutArgs) -> Result<Vec<u8>, Failure> {
    let Some(path) = &arguments.file else {
        return Ok(arguments
            .value
            .as_deref()
            .map(argument_bytes)
            .unwrap_or_default());
    };
    let mut value = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(VALUE_BYTES_MAX)
            .read_to_end(&mut value)?;
    } else {
        let file = std::fs::File::open(path);
        let file = file.with_context(|| format!("cannot read {}", path.display()))?;
        file.take(VALUE_BYTES_MAX).read_to_end(&mut value)?;
    }
    Ok(value)
}

fn ttl_of(text: &str) -> Result<u128, Failure> {
    let ttl = Duration::parse(text).map_err(|why| Failure::usage(format!("--ttl {why}")))?;
    if ttl.is_zero() {
        return Err(Failure::usage("--ttl must be more than nothing"));
    }
    Ok(ttl.as_millis())
}

/// `mantisdb delete kv KEY`.
pub(crate) fn delete(arguments: &DeleteArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let key = arguments.key.bytes()?;
    if !arguments.force {
        confirm(&key)?;
    }
    let data = connection
        .ask(Ask::new(Method::DELETE, &path_of_key(&key)))?
        .data()?;
    match arguments.server.output {
        OutputFormat::Json => writeln!(out, "{data:#}")?,
        OutputFormat::Table if data["deleted"] == json!(true) => writeln!(out, "deleted")?,
        OutputFormat::Table => writeln!(out, "there was no such key")?,
    }
    Ok(())
}

fn confirm(key: &[u8]) -> Outcome {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage(
            "delete asks before it deletes: without a terminal, say --force",
        ));
    }
    let mut question = std::io::stderr();
    write!(question, "Delete {}? [y/N] ", printable(key))?;
    question.flush()?;
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    if matches!(line.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Negative)
    }
}

/// `mantisdb list kv`: pages of keys, in byte order.
pub(crate) fn list(arguments: &ListArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let mut left = if arguments.all {
        u64::MAX
    } else {
        arguments.limit
    };
    let mut cursor: Option<String> = None;
    let mut lister = Lister {
        out,
        json: arguments.server.output == OutputFormat::Json,
        shown: 0,
    };
    lister.begin()?;
    while left > 0 {
        let path = page_path(arguments, left.min(PAGE_KEYS), cursor.as_deref());
        let answer = connection.ask(Ask::new(Method::GET, &path))?.json()?;
        let items = answer["data"]
            .as_array()
            .context("the server's answer holds no list")?;
        for item in items {
            lister.item(item)?;
        }
        left = left.saturating_sub(items.len() as u64);
        cursor = answer["meta"]["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    lister.end()?;
    if cursor.is_some() && !lister.json && std::io::stdout().is_terminal() {
        crate::exit::say("there are more keys: --limit N or --all shows them");
    }
    Ok(())
}

fn page_path(arguments: &ListArgs, limit: u64, cursor: Option<&str>) -> String {
    let mut path = format!("/api/v1/kv?total=false&limit={limit}");
    if let Some(prefix) = &arguments.prefix {
        path.push_str(&format!("&prefix={}", query_value(&argument_bytes(prefix))));
    }
    if arguments.reverse {
        path.push_str("&reverse=true");
    }
    if arguments.values {
        path.push_str("&values=true&format=base64");
    }
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={}", query_value(cursor.as_bytes())));
    }
    path
}

/// Writes the items of a list as they come.
struct Lister<'a> {
    out: &'a mut dyn Write,
    json: bool,
    shown: u64,
}

impl Lister<'_> {
    fn begin(&mut self) -> anyhow::Result<()> {
        if self.json {
            write!(self.out, "[")?;
        }
        Ok(())
    }

    fn item(&mut self, item: &Value) -> anyhow::Result<()> {
        let key = bytes_of(if item["key"].is_null() {
            item
        } else {
            &item["key"]
        });
        let key = key.context("the server's answer holds no key")?;
        let value = item["value"]
            .as_str()
            .and_then(|text| BASE64.decode(text).ok());
        if self.json {
            let comma = if self.shown > 0 { "," } else { "" };
            let item = match value {
                Some(value) => shown(item.clone(), &value),
                None => text_or_base64(&key),
            };
            write!(self.out, "{comma}\n  {item}")?;
        } else if let Some(value) = value {
            writeln!(self.out, "{}\t{}", printable(&key), preview(&value))?;
        } else {
            writeln!(self.out, "{}", printable(&key))?;
        }
        self.shown += 1;
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.json {
            let line = if self.shown > 0 { "\n" } else { "" };
            writeln!(self.out, "{line}]")?;
        }
        Ok(())
    }
}

/// The beginning of a value, on one line.
fn preview(value: &[u8]) -> String {
    let text = printable(value);
    match text.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
