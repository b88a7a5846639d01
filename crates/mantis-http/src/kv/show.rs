//! `GET` and `HEAD /api/v1/kv/:key`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use mantis_session::{Command, Entry, Reply};
use mantis_types::Code;
use serde::Serialize;

use super::conditions::{self, ReadVerdict};
use crate::answer::{
    TTL_HEADER, enveloped_in, not_modified, shown_version, with_etag, with_header,
};
use crate::app::App;
use crate::call::{Call, Head, PathKey, strange_reply};
use crate::failure::{Failure, Outcome};
use crate::negotiate::{self, Form};
use crate::openapi::{Answer, EntryShape, FailureAnswer, FormatWord};
use crate::params::{self, Params};
use crate::value::{Format, OCTETS, Shown, TextOrBase64};

/// Bytes of an answer beside key and value.
const ROOM_BESIDE: usize = 192;

/// `data` of a single value.
#[derive(Debug, Serialize)]
pub(crate) struct EntryView<'a> {
    key: TextOrBase64<'a>,
    value: Shown<'a>,
    content_type: &'a str,
    ttl: Option<u64>,
    version: Option<u64>,
    #[serde(flatten)]
    rest: Option<Rest<'a>>,
}

/// What a list adds, so that an export loses nothing.
#[derive(Debug, Serialize)]
struct Rest<'a> {
    ttl_ms: Option<u64>,
    tags: &'a [String],
}

impl<'a> EntryView<'a> {
    /// # Errors
    /// 406 when the value cannot be shown in this format.
    pub(crate) fn new(entry: &'a Entry, format: Format) -> Outcome<Self> {
        Ok(Self {
            key: TextOrBase64(&entry.key),
            value: format.show(&entry.value)?,
            content_type: &entry.content_type,
            ttl: seconds_left(entry),
            version: shown_version(entry.version),
            rest: None,
        })
    }

    /// About how many bytes it takes in JSON.
    fn room(&self) -> usize {
        self.key.0.len() + self.value.room() + ROOM_BESIDE
    }

    /// As a list shows it: with milliseconds left and tags.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn listed(entry: &'a Entry, format: Format) -> Outcome<Self> {
        let rest = Rest {
            ttl_ms: entry.ttl_ms,
            tags: &entry.tags,
        };
        Ok(Self {
            rest: Some(rest),
            ..Self::new(entry, format)?
        })
    }
}

/// Seconds until it expires, rounded up; `None` for never.
pub(crate) fn seconds_left(entry: &Entry) -> Option<u64> {
    entry.ttl_ms.map(|ms| ms.div_ceil(1000))
}

/// Read a value
///
/// The envelope by default. `Accept: application/octet-stream`, or the type it was stored with,
/// gives the bare bytes.
#[utoipa::path(
    get, path = "/api/v1/kv/{key}", tag = "kv", operation_id = "kvGet",
    params(
        ("key" = String, Path, description = "The key: bytes, percent-encoded; slashes may stand as they are.", example = "user:1"),
        ("format" = Option<FormatWord>, Query, description = "How `value` is shown."),
        ("If-None-Match" = Option<String>, Header, description = "304 when the version is one of these.", example = "\"7\"", pattern = r#"^(|\*|(W/)?"[0-9]{1,19}"(, (W/)?"[0-9]{1,19}")*)$"#),
    ),
    responses(
        (status = 200, description = "The value.", headers(("ETag" = String, description = "The version, in quotes."), ("X-Mantis-TTL" = Option<u64>, description = "Seconds left.")),
            body = Answer<EntryShape>, example = json!({"success": true, "data": {"key": "user:1", "value": [104, 105], "content_type": "text/plain; charset=utf-8", "ttl": null, "version": 7}, "error": null, "meta": null})),
        (status = 304, description = "The client has this version."),
        (status = 404, description = "Absent or expired.", body = FailureAnswer),
        (status = 406, description = "Not available in this form.", body = FailureAnswer),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    Head { headers, uri }: Head,
) -> Outcome<Response> {
    let mut params = Params::parse(uri.query())?;
    let format = params
        .text("format")?
        .map(|word| Format::from_word(&word))
        .transpose()?;
    params.finish()?;
    let entry = read(&app, &call, key).await?;
    if conditions::of_read(&headers, entry.version)? == ReadVerdict::NotModified {
        return Ok(not_modified(entry.version));
    }
    let form = negotiate::choose(&headers, &entry.content_type)?;
    let response = match (form, format) {
        (Form::Envelope, format) => {
            let view = EntryView::new(&entry, format.unwrap_or_default())?;
            enveloped_in(&view, None, view.room())?
        }
        (_, Some(_)) => return Err(format_without_envelope()),
        (Form::Octets, None) => bytes_of(&entry, OCTETS),
        (Form::AsStored, None) => bytes_of(&entry, &entry.content_type),
    };
    Ok(labelled(response, &entry))
}

/// Look at a value
///
/// Only the headers: `ETag`, the stored `Content-Type`, `X-Mantis-TTL`.
#[utoipa::path(
    head, path = "/api/v1/kv/{key}", tag = "kv", operation_id = "kvHead",
    params(("key" = String, Path, description = "The key.", example = "user:1")),
    responses(
        (status = 200, description = "It is there.", headers(("ETag" = String, description = "The version, in quotes."))),
        (status = 304, description = "The client has this version."),
        (status = 404, description = "Absent or expired."),
    ),
)]
pub(crate) async fn head(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    Head { headers, uri }: Head,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let entry = read(&app, &call, key).await?;
    if conditions::of_read(&headers, entry.version)? == ReadVerdict::NotModified {
        return Ok(not_modified(entry.version));
    }
    let response = ().into_response();
    Ok(labelled(
        with_header(response, header::CONTENT_TYPE, media(&entry.content_type)),
        &entry,
    ))
}

async fn read(app: &App, call: &Call, key: bytes::Bytes) -> Outcome<Entry> {
    match app.execute(call, Command::KvGet { key }).await? {
        Reply::KvGet(Some(entry)) => Ok(entry),
        Reply::KvGet(None) => Err(Failure::new(Code::NotFound, "no such key")),
        _ => Err(strange_reply()),
    }
}

fn labelled(response: Response, entry: &Entry) -> Response {
    let response = with_etag(response, entry.version);
    let response = with_header(response, header::VARY, HeaderValue::from_static("Accept"));
    match seconds_left(entry) {
        Some(seconds) => with_header(response, TTL_HEADER, HeaderValue::from(seconds)),
        None => response,
    }
}

fn bytes_of(entry: &Entry, content_type: &str) -> Response {
    (
        [(header::CONTENT_TYPE, media(content_type))],
        entry.value.clone(),
    )
        .into_response()
}

/// What was stored through another door need not be a valid header.
fn media(content_type: &str) -> HeaderValue {
    HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(OCTETS))
}

fn format_without_envelope() -> Failure {
    let status = http::StatusCode::NOT_ACCEPTABLE;
    Failure::http(
        status,
        "format shapes the JSON envelope, but Accept asks for bare bytes",
    )
}
