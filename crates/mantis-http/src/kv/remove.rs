//! `DELETE /api/v1/kv/:key`.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use mantis_session::{Command, Condition, DeleteDone, Reply};
use serde::Serialize;

use super::conditions;
use crate::answer::{enveloped, with_commit};
use crate::app::App;
use crate::call::{Call, PathKey, strange_reply};
use crate::failure::Outcome;
use crate::openapi::{Answer, FailureAnswer, RemovedShape};
use crate::params;
use crate::value::TextOrBase64;

#[derive(Serialize)]
struct Removed<'a> {
    key: TextOrBase64<'a>,
    message: &'static str,
    deleted: bool,
}

/// Delete a key
///
/// An absent key is no error: a retry finds `deleted: false`.
#[utoipa::path(
    delete, path = "/api/v1/kv/{key}", tag = "kv", operation_id = "kvDelete",
    params(
        ("key" = String, Path, description = "The key.", example = "user:1"),
        ("If-Match" = Option<String>, Header, description = "Only this version; 412 otherwise.", example = "\"7\"", pattern = r#"^(|\*|"[0-9]{1,19}")$"#),
    ),
    responses(
        (status = 200, description = "Deleted, or it was not there.", body = Answer<RemovedShape>, example = json!({"success": true, "data": {"key": "user:1", "message": "deleted", "deleted": true}, "error": null, "meta": null})),
        (status = 412, description = "The condition does not hold.", body = FailureAnswer),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    call: Call,
    PathKey(key): PathKey,
    headers: HeaderMap,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let condition = conditions::of_write(&headers)?;
    let done = delete(&app, &call, key.clone(), condition).await?;
    let deleted = done.committed.is_some();
    let message = if deleted {
        "deleted"
    } else {
        "there was no such key"
    };
    let response = enveloped(
        &Removed {
            key: TextOrBase64(&key),
            message,
            deleted,
        },
        None,
    )?;
    Ok(with_commit(response, done.committed))
}

/// Deletes a key.
///
/// # Errors
/// What the session answers.
pub(crate) async fn delete(
    app: &App,
    call: &Call,
    key: Bytes,
    condition: Condition,
) -> Outcome<DeleteDone> {
    let durability = call.durability;
    let command = Command::KvDelete {
        key,
        condition,
        durability,
    };
    match app.execute(call, command).await? {
        Reply::KvDelete(done) => Ok(done),
        _ => Err(strange_reply()),
    }
}
