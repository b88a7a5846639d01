//! `GET /api/v1/transactions/:id`.

use axum::extract::State;
use axum::response::Response;
use http::Uri;

use super::view::TransactionView;
use crate::answer::enveloped;
use crate::app::App;
use crate::call::{Call, PathTransaction};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, FailureAnswer};
use crate::params;

/// Look at a transaction
///
/// Also for five minutes after it has ended. Looking is no use of it.
#[utoipa::path(
    get, path = "/api/v1/transactions/{id}", tag = "transactions", operation_id = "transactionStatus",
    params(("id" = String, Path, description = "The transaction.", example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506")),
    responses(
        (status = 200, description = "What is known about it.", body = Answer<TransactionView>),
        (status = 404, description = "There is none, or not for this caller.", body = FailureAnswer),
    ),
)]
pub(crate) async fn status(
    State(app): State<App>,
    call: Call,
    PathTransaction(key): PathTransaction,
    uri: Uri,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let session = app.session(&call);
    let status = session.transaction_status(key).map_err(Failure::from)?;
    enveloped(&TransactionView::new(&app, &status), None)
}
