//! `PUT /api/v1/kv/:key`.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Uri, header};
use mantis_session::{Command, Expiry, Put, PutDone, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::conditions;
use crate::answer::{TTL_HEADER, enveloped, shown_version, with_commit, with_etag};
use crate::app::App;
use crate::body::{is_json, maybe_span};
use crate::call::{Call, PathKey, Payload, strange_reply};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, DurabilityWord, FailureAnswer, WrittenShape};
use crate::params::Params;
use crate::value::{OCTETS, Stored, TextOrBase64, ValueType};

pub(crate) const TAGS_HEADER: HeaderName = HeaderName::from_static("x-mantis-tags");

/// A value in JSON.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutForm {
    /// An array of integers 0 to 255 is bytes, a string its UTF-8 text, anything else JSON.
    #[schema(value_type = Value, example = "hello")]
    value: Box<RawValue>,
    /// Seconds until it expires, at least 1.
    #[schema(minimum = 1, maximum = 3_162_240_000_u64)]
    #[serde(default, deserialize_with = "maybe_span")]
    ttl: Option<u64>,
    /// The same in milliseconds.
    #[schema(minimum = 1, maximum = 3_162_240_000_000_u64)]
    #[serde(default, deserialize_with = "maybe_span")]
    ttl_ms: Option<u64>,
    /// Overrides the guess.
    value_type: Option<ValueType>,
    /// Labels for invalidation by tag.
    #[serde(default)]
    #[schema(max_items = 64)]
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    key: TextOrBase64<'a>,
    message: &'static str,
    created: bool,
    version: Option<u64>,
}

/// Write a value
///
/// As JSON with a `value`, or as a raw body of any other type, which is kept with it. Without a
/// `ttl` an older expiry is cleared. What the body says counts before the query, the query before
/// `X-Mantis-TTL`, `ttl_ms` before `ttl`.
#[utoipa::path(
    put, path = "/api/v1/kv/{key}", tag = "kv", operation_id = "kvPut",
    params(
        ("key" = String, Path, description = "The key.", example = "user:1"),
        ("ttl" = Option<u64>, Query, description = "Seconds until it expires.", minimum = 1, maximum = 3_162_240_000_u64),
        ("ttl_ms" = Option<u64>, Query, description = "Milliseconds until it expires.", minimum = 1, maximum = 3_162_240_000_000_u64),
        ("If-Match" = Option<String>, Header, description = "Replace only this version; 412 otherwise.", example = "\"7\"", pattern = r#"^(|\*|"[0-9]{1,19}")$"#),
        ("X-Mantis-Durability" = Option<DurabilityWord>, Header, description = "What the answer waits for."),
    ),
    request_body(content((PutForm = "application/json", example = json!({"value": "hello", "ttl": 60, "tags": ["greeting"]})), (String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 200, description = "Written.", headers(("ETag" = String, description = "The new version, in quotes."), ("X-Mantis-Seq" = u64, description = "The commit."), ("X-Mantis-Durability" = String, description = "What the commit has survived.")),
            body = Answer<WrittenShape>, example = json!({"success": true, "data": {"key": "user:1", "message": "stored", "created": true, "version": 7}, "error": null, "meta": null})),
        (status = 412, description = "The condition does not hold.", body = FailureAnswer),
        (status = 413, description = "Too large.", body = FailureAnswer),
    ),
)]
pub(crate) async fn store(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    let mut put = read_put(&app, key.clone(), &uri, &payload)?;
    put.condition = conditions::of_write(&payload.headers)?;
    let done = write(&app, &call, put).await?;
    let version = done.committed.seq;
    let data = Written {
        key: TextOrBase64(&key),
        message: "stored",
        created: done.created,
        version: shown_version(version),
    };
    let response = with_etag(enveloped(&data, None)?, version);
    Ok(with_commit(response, Some(done.committed)))
}

/// Writes a value.
///
/// # Errors
/// What the session answers.
pub(crate) async fn write(app: &App, call: &Call, put: Put) -> Outcome<PutDone> {
    let durability = call.durability;
    match app
        .execute(call, Command::KvPut { put, durability })
        .await?
    {
        Reply::KvPut(done) => Ok(done),
        _ => Err(strange_reply()),
    }
}

fn read_put(app: &App, key: Bytes, uri: &Uri, payload: &Payload) -> Outcome<Put> {
    let beside = beside_expiry(uri, &payload.headers)?;
    if !is_json(&payload.headers) {
        let content_type = content_type(&payload.headers)?;
        let tags = header_tags(&payload.headers)?;
        let expiry = beside.unwrap_or_default();
        let value = payload.bytes.clone();
        return Ok(Put {
            key,
            value,
            content_type: Some(content_type),
            tags,
            expiry,
            ..Put::default()
        });
    }
    let form: PutForm = payload.json(app)?;
    let within = expiry(form.ttl, form.ttl_ms)?;
    let Stored {
        bytes,
        content_type,
    } = Stored::from_json(&form.value, form.value_type)?;
    let mut tags = form.tags;
    tags.extend(header_tags(&payload.headers)?);
    let (content_type, expiry) = (Some(content_type), within.or(beside).unwrap_or_default());
    Ok(Put {
        key,
        value: bytes,
        content_type,
        tags,
        expiry,
        ..Put::default()
    })
}

/// The expiry that `ttl` or `ttl_ms` asks for; the finer one counts when both stand.
///
/// # Errors
/// 400 for less than 1.
pub(crate) fn expiry(ttl: Option<u64>, ttl_ms: Option<u64>) -> Outcome<Option<Expiry>> {
    for (name, given) in [("ttl", ttl), ("ttl_ms", ttl_ms)] {
        if given == Some(0) {
            let message = format!("{name} must be a whole number, at least 1");
            return Err(Failure::invalid_value(message).detail("member", name));
        }
    }
    let ms = ttl_ms.or_else(|| ttl.map(|seconds| seconds.saturating_mul(1000)));
    Ok(ms.map(Expiry::AfterMs))
}

/// The expiry in the query, else in `X-Mantis-TTL`.
fn beside_expiry(uri: &Uri, headers: &HeaderMap) -> Outcome<Option<Expiry>> {
    let mut params = Params::parse(uri.query())?;
    let (ttl, ttl_ms) = (params.number("ttl")?, params.number("ttl_ms")?);
    params.finish()?;
    let in_query = expiry(ttl, ttl_ms)?;
    let Some(line) = headers.get(TTL_HEADER) else {
        return Ok(in_query);
    };
    let seconds = line.to_str().ok().and_then(|text| text.trim().parse().ok());
    let seconds = seconds
        .ok_or_else(|| Failure::invalid_value("X-Mantis-TTL must be a whole number of seconds"))?;
    let in_header = expiry(Some(seconds), None)?;
    Ok(in_query.or(in_header))
}

fn content_type(headers: &HeaderMap) -> Outcome<String> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(OCTETS.to_owned());
    };
    let text = given
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|text| text.contains('/'));
    let refused = || {
        let status = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Failure::http(
            status,
            "Content-Type must be a media type such as text/plain",
        )
    };
    text.map(str::to_owned).ok_or_else(refused)
}

fn header_tags(headers: &HeaderMap) -> Outcome<Vec<String>> {
    let mut tags = Vec::new();
    for line in headers.get_all(TAGS_HEADER) {
        let line = std::str::from_utf8(line.as_bytes())
            .map_err(|_| Failure::invalid_value("X-Mantis-Tags must be UTF-8 text"))?;
        tags.extend(
            line.split(',')
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(tags)
}
