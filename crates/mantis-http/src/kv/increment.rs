//! `POST /api/v1/kv/:key/increment`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_session::{Command, Reply};
use serde::{Deserialize, Serialize};

use crate::answer::{enveloped, shown_version, with_commit, with_etag};
use crate::app::App;
use crate::body::{maybe_whole, whole};
use crate::call::{Call, PathKey, Payload, strange_reply};
use crate::failure::Outcome;
use crate::openapi::{Answer, FailureAnswer, IncrementedShape};
use crate::params;
use crate::value::TextOrBase64;

/// What to add.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncrementForm {
    /// What to add; may be negative.
    #[serde(deserialize_with = "whole")]
    #[schema(example = 1)]
    by: i64,
    /// What an absent key counts as; 0 without it.
    #[serde(default, deserialize_with = "maybe_whole")]
    initial: Option<i64>,
}

#[derive(Serialize)]
struct Incremented<'a> {
    key: TextOrBase64<'a>,
    value: i64,
    version: Option<u64>,
}

/// Add to an integer
///
/// Concurrent increments follow each other and never conflict. The value is stored as decimal text.
#[utoipa::path(
    post, path = "/api/v1/kv/{key}/increment", tag = "kv", operation_id = "kvIncrement",
    params(("key" = String, Path, description = "The key.", example = "visits")),
    request_body(content = IncrementForm, example = json!({"by": 1})),
    responses(
        (status = 200, description = "The value after it.", body = Answer<IncrementedShape>, example = json!({"success": true, "data": {"key": "visits", "value": 42, "version": 9}, "error": null, "meta": null})),
        (status = 409, description = "The value is no integer.", body = FailureAnswer),
    ),
)]
pub(crate) async fn increment(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let IncrementForm { by, initial } = payload.json(&app)?;
    let durability = call.durability;
    let command = Command::KvIncrement {
        key: key.clone(),
        by,
        initial,
        durability,
    };
    let Reply::KvIncrement(done) = app.execute(&call, command).await? else {
        return Err(strange_reply());
    };
    let (value, version) = (done.value, done.committed.seq);
    let data = Incremented {
        key: TextOrBase64(&key),
        value,
        version: shown_version(version),
    };
    let response = with_etag(enveloped(&data, None)?, version);
    Ok(with_commit(response, Some(done.committed)))
}
