//! `/api/config` and `/api/config/validate`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_types::Code;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answer::bare;
use crate::app::App;
use crate::call::{Call, Payload};
use crate::config_store::ConfigError;
use crate::events::Event;
use crate::failure::{Failure, Outcome};
use crate::openapi::AdminFailure;
use crate::params;

/// The configuration
///
/// Every section; secrets are masked.
#[utoipa::path(
    get, path = "/api/config", tag = "admin", operation_id = "configShow",
    responses((status = 200, description = "By section.", body = serde_json::Value, example = json!({"server": {"port": 8080, "host": "127.0.0.1"}}))),
)]
pub(crate) async fn show(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let store = Arc::clone(&app.config_store);
    bare(&app.blocking(&call, move || store.show()).await?)
}

/// `PUT /api/config`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AppliedView {
    applied: Vec<String>,
    restart_required: Vec<String>,
}

/// Change the configuration
///
/// Only the given keys; the change is kept over a restart.
#[utoipa::path(
    put, path = "/api/config", tag = "admin", operation_id = "configChange",
    request_body(content = std::collections::HashMap<String, serde_json::Value>, example = json!({"security": {"rate_limit": 100}})),
    responses(
        (status = 200, description = "What is in effect, and what needs a restart.", body = AppliedView, example = json!({"applied": ["security.rate_limit"], "restart_required": []})),
        (status = 400, description = "Refused; nothing was changed.", body = AdminFailure),
    ),
)]
pub(crate) async fn change(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let change = Value::Object(payload.json::<Map<String, Value>>(&app)?);
    let store = Arc::clone(&app.config_store);
    let done = app
        .blocking(&call, move || store.apply(&change))
        .await?
        .map_err(refusal)?;
    let (applied, restart_required) = (done.applied, done.restart_required);
    if !applied.is_empty() || !restart_required.is_empty() {
        app.publish(Event::Config {
            applied: applied.clone(),
            restart_required: restart_required.clone(),
        });
    }
    bare(&AppliedView {
        applied,
        restart_required,
    })
}

/// `POST /api/config/validate`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ReportView {
    valid: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Check a change without making it
#[utoipa::path(
    post, path = "/api/config/validate", tag = "admin", operation_id = "configValidate",
    request_body(content = std::collections::HashMap<String, serde_json::Value>, example = json!({"security": {"rate_limit": 100}})),
    responses((status = 200, description = "The verdict.", body = ReportView, example = json!({"valid": true, "errors": [], "warnings": []}))),
)]
pub(crate) async fn validate(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let change = Value::Object(payload.json::<Map<String, Value>>(&app)?);
    let store = Arc::clone(&app.config_store);
    let report = app.blocking(&call, move || store.validate(&change)).await?;
    let (errors, warnings) = (report.errors, report.warnings);
    bare(&ReportView {
        valid: errors.is_empty(),
        errors,
        warnings,
    })
}

fn refusal(error: ConfigError) -> Failure {
    match error {
        ConfigError::Invalid(report) => {
            let text = format!(
                "the configuration is not valid: {}",
                report.errors.join("; ")
            );
            Failure::new(Code::InvalidValue, text)
                .detail("errors", report.errors)
                .detail("warnings", report.warnings)
        }
        other => {
            let cause =
                std::error::Error::source(&other).map_or_else(String::new, ToString::to_string);
            Failure::new(other.code(), other.to_string()).because(cause)
        }
    }
}
