//! `/api/v1/transactions/:id/savepoints`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_session::{Claim, SessionError, TransactionKey};
use serde::{Deserialize, Serialize};

use crate::answer::enveloped;
use crate::app::App;
use crate::call::{Call, PathName, PathTransaction, Payload};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, FailureAnswer};
use crate::params;

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A savepoint to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavepointForm {
    /// At most 128 bytes, without control characters. It may be used again: the newest one counts.
    #[schema(
        min_length = 1,
        max_length = 32,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]+$",
        example = "before_items"
    )]
    name: String,
}

/// `data` of everything about savepoints.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SavepointView {
    transaction_id: String,
    #[schema(example = "before_items")]
    savepoint: String,
}

/// Open a savepoint
#[utoipa::path(
    post, path = "/api/v1/transactions/{id}/savepoints", tag = "transactions", operation_id = "savepointOpen",
    params(("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506")),
    request_body(content = SavepointForm, example = json!({"name": "before_items"})),
    responses(
        (status = 200, description = "Opened.", body = Answer<SavepointView>),
        (status = 404, description = "There is no such transaction.", body = FailureAnswer),
        (status = 409, description = "The transaction has ended.", body = FailureAnswer),
    ),
)]
pub(crate) async fn open(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let SavepointForm { name } = payload.json(&app)?;
    on_savepoint(&app, &call, key, name, Claim::savepoint).await
}

/// Roll back to a savepoint
///
/// Takes back every change since it was opened; it stays open.
#[utoipa::path(
    post, path = "/api/v1/transactions/{id}/savepoints/{name}/rollback", tag = "transactions", operation_id = "savepointRollback",
    params(
        ("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506"),
        ("name" = String, Path, description = "The savepoint.", min_length = 1, max_length = 32, pattern = r"^[^\x00-\x1F\x7F-\x9F]+$", example = "before_items"),
    ),
    responses(
        (status = 200, description = "Rolled back.", body = Answer<SavepointView>),
        (status = 404, description = "There is no such transaction, or no such savepoint; nothing has changed.", body = FailureAnswer),
        (status = 409, description = "The transaction has ended.", body = FailureAnswer),
    ),
)]
pub(crate) async fn rollback(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    PathName(name): PathName,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    on_savepoint(&app, &call, key, name, Claim::rollback_to).await
}

/// Release a savepoint
///
/// Forgets it, and those opened after it; their changes stay.
#[utoipa::path(
    post, path = "/api/v1/transactions/{id}/savepoints/{name}/release", tag = "transactions", operation_id = "savepointRelease",
    params(
        ("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506"),
        ("name" = String, Path, description = "The savepoint.", min_length = 1, max_length = 32, pattern = r"^[^\x00-\x1F\x7F-\x9F]+$", example = "before_items"),
    ),
    responses(
        (status = 200, description = "Released.", body = Answer<SavepointView>),
        (status = 404, description = "There is no such transaction, or no such savepoint.", body = FailureAnswer),
        (status = 409, description = "The transaction has ended.", body = FailureAnswer),
    ),
)]
pub(crate) async fn release(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    PathName(name): PathName,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    on_savepoint(&app, &call, key, name, Claim::release).await
}

async fn on_savepoint(
    app: &App,
    call: &Call,
    key: TransactionKey,
    name: String,
    act: fn(&mut Claim, &str) -> Result<(), SessionError>,
) -> Outcome<Response> {
    check_name(&name)?;
    let mut claim = app.claim(call, key).await?;
    let work = move || act(&mut claim, &name).map(|()| name);
    let savepoint = app.blocking(call, work).await?.map_err(Failure::from)?;
    let transaction_id = key.to_string();
    enveloped(
        &SavepointView {
            transaction_id,
            savepoint,
        },
        None,
    )
}

fn check_name(name: &str) -> Outcome<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message =
            format!("name must be 1 to {NAME_BYTES_MAX} bytes of text without control characters");
        return Err(Failure::invalid_value(message).detail("member", "name"));
    }
    Ok(())
}
