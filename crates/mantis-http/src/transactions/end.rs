//! `POST /api/v1/transactions/:id/commit` and `/rollback`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_session::{Claim, Ended, TransactionKey};
use mantis_types::{Code, Durability};
use serde::{Deserialize, Serialize};

use crate::answer::{enveloped, with_commit};
use crate::app::App;
use crate::call::{Call, PathTransaction, Payload};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, FailureAnswer};
use crate::params;

/// How to commit; may be left out.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitForm {
    /// What the answer waits for; counts before `X-Mantis-Durability`.
    durability: Option<DurabilityForm>,
}

/// What a commit has survived when it is answered.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityForm {
    Sync,
    Interval,
    None,
}

impl From<DurabilityForm> for Durability {
    fn from(form: DurabilityForm) -> Self {
        match form {
            DurabilityForm::Sync => Self::Sync,
            DurabilityForm::Interval => Self::Interval,
            DurabilityForm::None => Self::None,
        }
    }
}

/// `data` of a commit.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CommittedView {
    transaction_id: String,
    /// Always `committed`.
    #[schema(example = "committed")]
    state: &'static str,
    /// The commit; of a transaction that has changed nothing, the newest one that it saw.
    seq: u64,
    /// What the commit has survived.
    #[schema(example = "sync")]
    durability: &'static str,
}

/// Commit a transaction
///
/// Everything takes effect at once, or nothing. Asking again gives the same answer for five minutes.
#[utoipa::path(
    post, path = "/api/v1/transactions/{id}/commit", tag = "transactions", operation_id = "transactionCommit",
    params(("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506")),
    request_body(content = Option<CommitForm>, example = json!({"durability": "sync"})),
    responses(
        (status = 200, description = "Committed.", headers(("X-Mantis-Seq" = u64, description = "The commit."), ("X-Mantis-Durability" = String, description = "What the commit has survived.")),
            body = Answer<CommittedView>, example = json!({"success": true, "data": {"transaction_id": "6f1d0c9a5b7e4f2386a0d1c2b3e4f506", "state": "committed", "seq": 8, "durability": "sync"}, "error": null, "meta": null})),
        (status = 404, description = "There is none, or not for this caller.", body = FailureAnswer),
        (status = 409, description = "Somebody else came first, so nothing of it has happened: run it again; or it had ended.", body = FailureAnswer),
    ),
)]
pub(crate) async fn commit(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let form: CommitForm = payload.json_if_any(&app)?;
    let wish = form.durability.map(Durability::from);
    let ended = commit_one(&app, &call, key, wish.unwrap_or(call.durability)).await;
    // Whoever has failed wants to know whether there is something left to be tried.
    let ended = ended.map_err(|failure| with_state(&app, &call, key, failure))?;
    let committed = ended.committed.ok_or_else(no_commit)?;
    let data = CommittedView {
        transaction_id: key.to_string(),
        state: "committed",
        seq: committed.seq.get(),
        durability: committed.durability.as_str(),
    };
    Ok(with_commit(enveloped(&data, None)?, Some(committed)))
}

async fn commit_one(
    app: &App,
    call: &Call,
    key: TransactionKey,
    durability: Durability,
) -> Outcome<Ended> {
    let claim = app.claim(call, key).await?;
    let lock = |claim: &mut Claim, until| claim.lock_for_commit(until);
    let (claim, ()) = app.on_rows(call, false, claim, lock).await?;
    let ended = app
        .blocking_write(call, move || claim.commit(Some(durability)))
        .await?;
    ended.map_err(Failure::from)
}

/// `data` of a rollback.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RolledBackView {
    transaction_id: String,
    /// `rolled_back`; `expired` or `failed` when it had ended so before.
    #[schema(example = "rolled_back")]
    state: &'static str,
}

/// Roll a transaction back
///
/// Nothing of it has happened. One that had been rolled back, had expired or failed is no error.
#[utoipa::path(
    post, path = "/api/v1/transactions/{id}/rollback", tag = "transactions", operation_id = "transactionRollback",
    params(("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506")),
    responses(
        (status = 200, description = "Rolled back.", body = Answer<RolledBackView>, example = json!({"success": true, "data": {"transaction_id": "6f1d0c9a5b7e4f2386a0d1c2b3e4f506", "state": "rolled_back"}, "error": null, "meta": null})),
        (status = 404, description = "There is none, or not for this caller.", body = FailureAnswer),
        (status = 409, description = "It has been committed.", body = FailureAnswer),
    ),
)]
pub(crate) async fn rollback(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let claim = app.claim(&call, key).await?;
    let ended = app.blocking(&call, move || claim.rollback()).await?;
    ended.map_err(Failure::from)?;
    let session = app.session(&call);
    let status = session.transaction_status(key).map_err(Failure::from)?;
    enveloped(
        &RolledBackView {
            transaction_id: key.to_string(),
            state: status.state.as_str(),
        },
        None,
    )
}

fn with_state(app: &App, call: &Call, key: TransactionKey, failure: Failure) -> Failure {
    let session = app.session(call);
    match session.transaction_status(key) {
        Ok(status) => failure.detail("state", status.state.as_str()),
        Err(_) => failure,
    }
}

fn no_commit() -> Failure {
    Failure::new(Code::Internal, "internal error").because("a commit without a Seq")
}
