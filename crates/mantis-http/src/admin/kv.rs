//! `/api/kv/**`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_session::{Command, Condition, Entry, List, Put, Reply};
use mantis_types::Code;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::{bare, etag, with_commit, with_header};
use crate::app::App;
use crate::body::maybe_span;
use crate::call::{Call, PathKey, Payload, strange_reply};
use crate::failure::{Failure, Outcome};
use crate::kv::{
    BatchForm, BatchParts, ResultForm, delete, expiry, page_of, result_views, run_batch,
    seconds_left, write,
};
use crate::openapi::{
    AdminBatch, AdminEntryView, AdminExistence, AdminFailure, AdminKeys, AdminRemoved,
};
use crate::params::{self, Params};
use crate::stats::{KvStatsView, kv_stats};
use crate::value::{Readable, Stored, TextOrBase64};

/// A value with everything that is stored with it.
#[derive(Serialize)]
struct AdminEntry<'a> {
    key: TextOrBase64<'a>,
    value: Readable<'a>,
    ttl: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
    version: u64,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    content_type: &'a str,
    tags: &'a [String],
    properties: Properties,
}

#[derive(Serialize)]
struct Properties {
    size_bytes: usize,
}

impl<'a> AdminEntry<'a> {
    fn new(entry: &'a Entry) -> Self {
        let moment = |ms: Option<u64>| ms.map(crate::time::rfc3339);
        Self {
            key: TextOrBase64(&entry.key),
            value: Readable::of(&entry.value, &entry.content_type),
            ttl: seconds_left(entry),
            created_at: moment(entry.created_ms.or(entry.modified_ms)),
            updated_at: moment(entry.modified_ms),
            version: entry.version.get(),
            metadata: Metadata {
                content_type: &entry.content_type,
                tags: &entry.tags,
                properties: Properties {
                    size_bytes: entry.value.len(),
                },
            },
        }
    }
}

/// Read a value
#[utoipa::path(
    get, path = "/api/kv/{key}", tag = "admin", operation_id = "adminKvGet",
    params(("key" = String, Path, description = "The key.", example = "user:1")),
    responses(
        (status = 200, description = "The value.", body = AdminEntryView),
        (status = 404, description = "Absent or expired.", body = AdminFailure),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let entry = read(&app, &call, key).await?.ok_or_else(absent)?;
    Ok(with_header(
        bare(&AdminEntry::new(&entry))?,
        http::header::ETAG,
        etag(entry.version),
    ))
}

async fn read(app: &App, call: &Call, key: bytes::Bytes) -> Outcome<Option<Entry>> {
    match app.execute(call, Command::KvGet { key }).await? {
        Reply::KvGet(found) => Ok(found),
        _ => Err(strange_reply()),
    }
}

fn absent() -> Failure {
    Failure::new(Code::NotFound, "no such key")
}

/// A value to write.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminPut {
    /// Any JSON; `{"base64": "..."}` is bytes.
    #[schema(value_type = Value, example = "hello")]
    value: Box<RawValue>,
    /// Seconds until it expires, at least 1.
    #[schema(minimum = 1, maximum = 3_162_240_000_u64)]
    #[serde(default, deserialize_with = "maybe_span")]
    ttl: Option<u64>,
    /// Labels for invalidation by tag.
    #[serde(default)]
    #[schema(max_items = 64)]
    tags: Vec<String>,
}

/// Write a value
#[utoipa::path(
    put, path = "/api/kv/{key}", tag = "admin", operation_id = "adminKvPut",
    params(("key" = String, Path, description = "The key.", example = "user:1")),
    request_body(content = AdminPut, example = json!({"value": {"name": "Ada"}, "tags": ["people"]})),
    responses((status = 200, description = "As it is stored now.", body = AdminEntryView)),
)]
pub(crate) async fn store(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let AdminPut { value, ttl, tags } = payload.json(&app)?;
    let Stored {
        bytes,
        content_type,
    } = Stored::from_admin_json(&value)?;
    let expiry = expiry(ttl, None)?.unwrap_or_default();
    let content_type = Some(content_type);
    let put = Put {
        key: key.clone(),
        value: bytes,
        content_type,
        tags,
        expiry,
        ..Put::default()
    };
    let done = write(&app, &call, put).await?;
    let entry = read(&app, &call, key).await?.ok_or_else(absent)?;
    Ok(with_commit(
        bare(&AdminEntry::new(&entry))?,
        Some(done.committed),
    ))
}

#[derive(Serialize)]
struct Removed<'a> {
    key: TextOrBase64<'a>,
    deleted: bool,
}

/// Delete a key
#[utoipa::path(
    delete, path = "/api/kv/{key}", tag = "admin", operation_id = "adminKvDelete",
    params(("key" = String, Path, description = "The key.", example = "user:1")),
    responses((status = 200, description = "Deleted, or it was not there.", body = AdminRemoved)),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let done = delete(&app, &call, key.clone(), Condition::Always).await?;
    let deleted = done.committed.is_some();
    Ok(with_commit(
        bare(&Removed {
            key: TextOrBase64(&key),
            deleted,
        })?,
        done.committed,
    ))
}

#[derive(Serialize)]
struct Existence<'a> {
    key: TextOrBase64<'a>,
    exists: bool,
}

/// Whether a key is there
#[utoipa::path(
    get, path = "/api/kv/{key}/exists", tag = "admin", operation_id = "adminKvExists",
    params(("key" = String, Path, description = "The key.", example = "user:1")),
    responses((status = 200, description = "The verdict.", body = AdminExistence)),
)]
pub(crate) async fn exists(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let exists = read(&app, &call, key.clone()).await?.is_some();
    bare(&Existence {
        key: TextOrBase64(&key),
        exists,
    })
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: Vec<TextOrBase64<'a>>,
    total: Option<u64>,
    has_more: bool,
}

/// List keys
#[utoipa::path(
    get, path = "/api/kv/query", tag = "admin", operation_id = "adminKvQuery",
    params(
        ("prefix" = Option<String>, Query, description = "Only keys that begin with this."),
        ("limit" = Option<u64>, Query, description = "Page size, default 100; above 1000 counts as 1000."),
        ("offset" = Option<u64>, Query, description = "How many keys to skip."),
    ),
    responses((status = 200, description = "A page of keys.", body = AdminKeys)),
)]
pub(crate) async fn query(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    let mut params = Params::parse(uri.query())?;
    let list = List {
        prefix: params.bytes("prefix").unwrap_or_default(),
        limit: params.limit(app.database.limits())?,
        offset: params.number("offset")?.unwrap_or(0),
        total: true,
        ..List::default()
    };
    params.finish()?;
    let page = page_of(&app, &call, list).await?;
    let keys = page
        .items
        .iter()
        .map(|item| TextOrBase64(&item.key))
        .collect();
    bare(&Keys {
        keys,
        total: page.total,
        has_more: page.next_cursor.is_some(),
    })
}

#[derive(Serialize)]
struct Results<T> {
    results: T,
    success: bool,
}

/// Several operations at once
#[utoipa::path(
    post, path = "/api/kv/batch", tag = "admin", operation_id = "adminKvBatch",
    request_body(content = BatchForm, example = json!({"operations": [{"operation": "set", "key": "a", "value": {"n": 1}}], "atomic": true})),
    responses((status = 200, description = "What each did.", body = AdminBatch), (status = 207, description = "Some failed.", body = AdminBatch)),
)]
pub(crate) async fn batch(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let form: BatchForm = payload.json(&app)?;
    let (keys, done) = run_batch(&app, &call, form, BatchParts::Admin).await?;
    let (results, success) = result_views(&keys, &done, ResultForm::Readable)?;
    let mut response = bare(&Results { results, success })?;
    if !success {
        *response.status_mut() = http::StatusCode::MULTI_STATUS;
    }
    Ok(with_commit(response, done.committed))
}

/// Counters of keys and values
#[utoipa::path(
    get, path = "/api/kv/stats", tag = "admin", operation_id = "adminKvStats",
    responses((status = 200, description = "Counters.", body = KvStatsView)),
)]
pub(crate) async fn stats(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    bare(&kv_stats(&app, &call).await?)
}
