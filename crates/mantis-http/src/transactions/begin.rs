//! `POST /api/v1/transactions`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use mantis_session::Begin;
use mantis_types::Isolation;
use serde::Deserialize;

use super::view::TransactionView;
use crate::answer::{enveloped, with_header};
use crate::app::App;
use crate::body::maybe_span;
use crate::call::{Call, Payload};
use crate::failure::{Failure, Outcome};
use crate::openapi::Answer;
use crate::params;

/// What a transaction is to be like; every member may be left out, and so may the body.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginForm {
    /// Its level; `database.default_isolation` without it.
    isolation: Option<IsolationWord>,
    /// Whether it refuses writes. Such a one waits for nobody and fails because of nobody.
    #[serde(default)]
    read_only: bool,
    /// Milliseconds after which it is rolled back, used or not; at most
    /// `transactions.max_duration`.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    #[serde(default, deserialize_with = "maybe_span")]
    timeout_ms: Option<u64>,
}

/// A level.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IsolationWord {
    ReadCommitted,
    RepeatableRead,
    Snapshot,
    Serializable,
}

impl From<IsolationWord> for Isolation {
    fn from(word: IsolationWord) -> Self {
        match word {
            IsolationWord::ReadCommitted => Self::ReadCommitted,
            IsolationWord::RepeatableRead => Self::RepeatableRead,
            IsolationWord::Snapshot => Self::Snapshot,
            IsolationWord::Serializable => Self::Serializable,
        }
    }
}

/// Begin a transaction
///
/// Requests of the same caller join it with the header `X-Mantis-Transaction`, one at a time, in the
/// order in which they come. It is rolled back when nobody uses it for `transactions.idle_timeout`.
#[utoipa::path(
    post, path = "/api/v1/transactions", tag = "transactions", operation_id = "transactionBegin",
    request_body(content = Option<BeginForm>, example = json!({"isolation": "serializable"})),
    responses(
        (status = 201, description = "Begun.", headers(("Location" = String, description = "Its path.")),
            body = Answer<TransactionView>, example = json!({"success": true, "data": {"transaction_id": "6f1d0c9a5b7e4f2386a0d1c2b3e4f506", "state": "active", "isolation": "serializable", "read_only": false, "snapshot_seq": 7, "expires_at": "2026-01-01T00:00:30.000Z", "writes": 0}, "error": null, "meta": null})),
    ),
)]
pub(crate) async fn begin(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let form: BeginForm = payload.json_if_any(&app)?;
    if form.timeout_ms == Some(0) {
        let failure = Failure::invalid_value("timeout_ms must be a whole number, at least 1");
        return Err(failure.detail("member", "timeout_ms"));
    }
    app.wait_min_seq(&call).await?;
    let level = form.isolation.map(Isolation::from);
    let life = form.timeout_ms.map(Duration::from_millis);
    let begin = Begin {
        isolation: level.unwrap_or(app.settings.load().isolation),
        read_only: form.read_only,
        durability: call.durability,
        deadline: life.map(|life| app.monotonic().saturating_add(life)),
        ..Begin::default()
    };
    let session = app.session(&call);
    let begun = app.blocking(&call, move || session.open_transaction(begin));
    let status = begun.await?.map_err(Failure::from)?;
    let mut response = enveloped(&TransactionView::new(&app, &status), None)?;
    *response.status_mut() = StatusCode::CREATED;
    let location = format!("/api/v1/transactions/{}", status.key);
    let location = HeaderValue::try_from(location).expect("digits are a header value");
    Ok(with_header(response, header::LOCATION, location))
}
