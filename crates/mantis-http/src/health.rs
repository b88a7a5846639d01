//! `/health`, `/health/live` and `/health/ready`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use crate::admission::Terms;
use crate::answer::{enveloped, with_header};
use crate::app::App;
use crate::call::Call;
use crate::failure::Outcome;
use crate::openapi::Answer;
use crate::params;

/// Longest time for the round trip to the engine.
const ENGINE_CHECK_MAX: Duration = Duration::from_secs(2);

/// How something is. Ordered: the worst part decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HealthStatus {
    Healthy,
    Degraded,
    Unhealthy,
}

/// What one part says.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Check {
    pub(crate) status: HealthStatus,
    pub(crate) detail: String,
    pub(crate) duration_ms: f64,
}

/// The parts.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Checks {
    engine: Check,
    log: Check,
    disk: Check,
    memory: Check,
    pool: Check,
}

/// `data` of the health routes.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    pub(crate) status: HealthStatus,
    pub(crate) timestamp: String,
    pub(crate) version: String,
    /// Only for callers who may use the data API.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
}

/// How the server is
///
/// 503 when it is unhealthy. The parts are shown to callers who may use the data API.
#[utoipa::path(
    get, path = "/health", tag = "health", operation_id = "health",
    responses(
        (status = 200, description = "Healthy or degraded.", body = Answer<Health>, example = json!({"success": true, "data": {"status": "healthy", "timestamp": "2024-02-29T12:00:00.000Z", "version": "0.1.0"}, "error": null, "meta": null})),
        (status = 503, description = "Unhealthy.", body = Answer<Health>),
    ),
)]
pub(crate) async fn health(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    answer(&examine(&app, &call).await)
}

/// Whether the process answers
#[utoipa::path(
    get, path = "/health/live", tag = "health", operation_id = "healthLive",
    responses((status = 200, description = "It answers.", body = Answer<Health>)),
)]
pub(crate) async fn live(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let (timestamp, version) = (app.timestamp(), app.config.build.version.clone());
    answer(&Health {
        status: HealthStatus::Healthy,
        timestamp,
        version,
        checks: None,
    })
}

/// Whether writes are accepted
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "healthReady",
    responses(
        (status = 200, description = "Writes are accepted.", body = Answer<Health>),
        (status = 503, description = "They are not.", body = Answer<Health>),
    ),
)]
pub(crate) async fn ready(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let mut health = examine(&app, &call).await;
    let storage = app.database.status().storage;
    if storage.disk_full || app.tasks.is_stopped() {
        health.status = HealthStatus::Unhealthy;
    }
    answer(&health)
}

fn answer(health: &Health) -> Outcome<Response> {
    let unhealthy = health.status == HealthStatus::Unhealthy;
    let mut response = enveloped(health, None)?;
    if unhealthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response = with_header(response, header::RETRY_AFTER, HealthValue::RETRY);
    }
    Ok(with_header(
        response,
        header::CACHE_CONTROL,
        HealthValue::NO_STORE,
    ))
}

struct HealthValue;

impl HealthValue {
    const RETRY: HeaderValue = HeaderValue::from_static("1");
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
}

/// Looks at every part.
pub(crate) async fn examine(app: &App, call: &Call) -> Health {
    let engine = engine(app).await;
    let checks = Checks {
        engine,
        log: log(app),
        disk: disk(app),
        memory: memory(app),
        pool: pool(app),
    };
    let Checks {
        engine,
        log,
        disk,
        memory,
        pool,
    } = &checks;
    let all = [engine, log, disk, memory, pool];
    let worst = all.iter().map(|check| check.status).max();
    Health {
        status: worst.unwrap_or(HealthStatus::Healthy),
        timestamp: app.timestamp(),
        version: app.config.build.version.clone(),
        checks: call.caller.is_known().then_some(checks),
    }
}

/// A real read, which no counter of reads has.
async fn engine(app: &App) -> Check {
    let from = app.monotonic();
    let read = match app.database.probe_ready() {
        Some(read) => Ok(read),
        None => {
            let deadline = tokio::time::Instant::now() + ENGINE_CHECK_MAX;
            let terms = Terms {
                deadline,
                by_caller: false,
                writes: false,
            };
            let database = app.database.clone();
            app.admission.run(terms, move || database.probe()).await
        }
    };
    let failure = app.database.status().storage.failure.is_some();
    let (status, detail) = match read {
        Ok(Ok(())) if failure => (
            HealthStatus::Unhealthy,
            "background work has stopped".to_owned(),
        ),
        Ok(Ok(())) => (HealthStatus::Healthy, "reads are answered".to_owned()),
        Ok(Err(error)) => (
            HealthStatus::Unhealthy,
            format!("a read failed: {}", error.code()),
        ),
        Err(failure) => (
            HealthStatus::Unhealthy,
            format!("a read did not end: {}", failure.code()),
        ),
    };
    check(app, from, status, detail)
}

fn log(app: &App) -> Check {
    let from = app.monotonic();
    let status = app.database.status();
    let (health, detail) = match (&status.read_only, status.durable_seq) {
        (Some(_), _) => (
            HealthStatus::Unhealthy,
            "a write or sync failed: read-only".to_owned(),
        ),
        (None, Some(durable)) => (
            HealthStatus::Healthy,
            format!("durable to {durable} of {}", status.visible_seq),
        ),
        (None, None) => (HealthStatus::Healthy, "in memory, without a log".to_owned()),
    };
    check(app, from, health, detail)
}

fn disk(app: &App) -> Check {
    let from = app.monotonic();
    let storage = app.database.status().storage;
    let (status, detail) = match storage.free_bytes {
        _ if storage.disk_full => (
            HealthStatus::Degraded,
            "full: writes are refused".to_owned(),
        ),
        Some(free) => (HealthStatus::Healthy, format!("{free} bytes free")),
        None => (HealthStatus::Healthy, "not used".to_owned()),
    };
    check(app, from, status, detail)
}

fn memory(app: &App) -> Check {
    let from = app.monotonic();
    let process = app.process();
    let (status, detail) = match (process.memory_used_bytes, process.memory_total_bytes) {
        (Some(used), Some(total)) => {
            let tight = used > total / 10 * 9;
            let status = if tight {
                HealthStatus::Degraded
            } else {
                HealthStatus::Healthy
            };
            (status, format!("{used} of {total} bytes used"))
        }
        _ => (HealthStatus::Healthy, "the system does not say".to_owned()),
    };
    check(app, from, status, detail)
}

fn pool(app: &App) -> Check {
    let from = app.monotonic();
    let stats = app.admission.stats();
    let status = if stats.waiting > 0 && stats.active >= stats.calls_max {
        HealthStatus::Degraded
    } else {
        HealthStatus::Healthy
    };
    let detail = format!(
        "{} of {} calls run, {} wait",
        stats.active, stats.calls_max, stats.waiting
    );
    check(app, from, status, detail)
}

fn check(app: &App, from: Duration, status: HealthStatus, detail: String) -> Check {
    let took = app.monotonic().saturating_sub(from);
    Check {
        status,
        detail,
        duration_ms: took.as_secs_f64() * 1000.0,
    }
}
