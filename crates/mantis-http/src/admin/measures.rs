//! `/api/metrics`, `/api/metrics/detailed`, and the Prometheus text.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use serde_json::{Map, Value};

use super::overview::hit_ratio;
use crate::answer::{bare, typed};
use crate::app::App;
use crate::failure::Outcome;
use crate::metrics::{cpu_time, flat, render, sources};
use crate::params;
use crate::stats::{StorageStats, storage_stats};

/// `/api/metrics`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct MetricsView {
    /// Values by name; labels stand in the name as Prometheus writes them.
    #[schema(value_type = std::collections::HashMap<String, f64>)]
    metrics: Map<String, Value>,
    timestamp: String,
}

/// All metrics as JSON
#[utoipa::path(
    get, path = "/api/metrics", tag = "admin", operation_id = "adminMetrics",
    responses((status = 200, description = "Values by name.", body = MetricsView)),
)]
pub(crate) async fn metrics(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    bare(&metrics_view(&app))
}

/// All metrics and the time.
pub(crate) fn metrics_view(app: &App) -> MetricsView {
    MetricsView {
        metrics: flat(&sources(app)),
        timestamp: app.timestamp(),
    }
}

/// All metrics as Prometheus text
#[utoipa::path(
    get, path = "/metrics", tag = "stats", operation_id = "prometheus",
    responses((status = 200, description = "Prometheus text.", content_type = "text/plain", body = String)),
)]
pub(crate) async fn prometheus(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    Ok(typed(
        "text/plain; version=0.0.4; charset=utf-8",
        render(&sources(&app)),
    ))
}

/// `/api/metrics/detailed`: rates and quantiles over the last 60 s.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DetailedMetrics {
    database: StorageStats,
    performance: Performance,
    resources: Resources,
    operations: OperationRates,
    timestamp: String,
}

/// Milliseconds; null when nothing happened in the last minute.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Performance {
    query_latency_p50: Option<f64>,
    query_latency_p95: Option<f64>,
    query_latency_p99: Option<f64>,
    throughput_qps: f64,
    error_rate: Option<f64>,
    cache_hit_ratio: Option<f64>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Resources {
    cpu_usage_percent: Option<f64>,
    memory_used_bytes: Option<u64>,
    memory_total_bytes: Option<u64>,
    disk_used_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    open_files: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct OperationRates {
    reads_per_second: f64,
    writes_per_second: f64,
}

/// Rates, quantiles and resources
#[utoipa::path(
    get, path = "/api/metrics/detailed", tag = "admin", operation_id = "adminMetricsDetailed",
    responses((status = 200, description = "Over the last 60 seconds.", body = DetailedMetrics)),
)]
pub(crate) async fn detailed(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    bare(&detailed_view(&app))
}

/// What the last minute was like.
pub(crate) fn detailed_view(app: &App) -> DetailedMetrics {
    let rates = app.operations.rates(app.monotonic(), cpu_time());
    let process = app.process();
    let millis = |span: Option<Duration>| span.map(|span| span.as_secs_f64() * 1000.0);
    DetailedMetrics {
        database: storage_stats(app),
        performance: Performance {
            query_latency_p50: millis(rates.p50),
            query_latency_p95: millis(rates.p95),
            query_latency_p99: millis(rates.p99),
            throughput_qps: rates.throughput_ops_per_second,
            error_rate: rates.error_rate,
            cache_hit_ratio: hit_ratio(app),
        },
        resources: Resources {
            cpu_usage_percent: rates.cpu_percent,
            memory_used_bytes: process.memory_used_bytes,
            memory_total_bytes: process.memory_total_bytes,
            disk_used_bytes: process.disk_used_bytes,
            disk_total_bytes: process.disk_total_bytes,
            open_files: process.open_files,
        },
        operations: OperationRates {
            reads_per_second: rates.reads_per_second,
            writes_per_second: rates.writes_per_second,
        },
        timestamp: app.timestamp(),
    }
}
