//! `/api/health` and `/api/stats`.

use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use crate::answer::bare;
use crate::app::App;
use crate::call::Call;
use crate::failure::Outcome;
use crate::health::{HealthStatus, examine};
use crate::metrics::{cpu_time, share};
use crate::params;
use crate::stats::{KvStatsView, StorageStats, kv_stats, storage_stats};

/// `/api/health`; the database's part only for callers with credentials.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AdminHealth {
    status: HealthStatus,
    timestamp: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<AdminDatabase>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AdminDatabase {
    /// Null for more than `limits.count_scan_max`.
    total_records: Option<u64>,
    /// Row cache; null before the first read.
    cache_hit_ratio: Option<f64>,
    active_connections: usize,
}

/// How the server is, for the console
#[utoipa::path(
    get, path = "/api/health", tag = "admin", operation_id = "adminHealth",
    responses((status = 200, description = "Healthy or degraded.", body = AdminHealth), (status = 503, description = "Unhealthy.", body = AdminHealth)),
)]
pub(crate) async fn health(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let health = examine(&app, &call).await;
    let database = if call.caller.credential.is_some() {
        Some(database(&app, &call).await?)
    } else {
        None
    };
    let unhealthy = health.status == HealthStatus::Unhealthy;
    let (status, timestamp, version) = (health.status, health.timestamp, health.version);
    let mut response = bare(&AdminHealth {
        status,
        timestamp,
        version,
        database,
    })?;
    if unhealthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

async fn database(app: &App, call: &Call) -> Outcome<AdminDatabase> {
    Ok(AdminDatabase {
        total_records: kv_stats(app, call).await?.keys,
        cache_hit_ratio: hit_ratio(app),
        active_connections: app.counts.connections.load(Relaxed),
    })
}

/// Share of look-ups that the row cache answered; `None` before the first.
pub(crate) fn hit_ratio(app: &App) -> Option<f64> {
    let storage = app.database.status().storage;
    let all = storage.row_cache_hits + storage.row_cache_misses;
    (all > 0).then(|| share(storage.row_cache_hits, all))
}

/// `/api/stats`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AdminStats {
    uptime_seconds: f64,
    version: String,
    platform: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_usage_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_usage_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_usage_bytes: Option<u64>,
    active_connections: usize,
    network_stats: NetworkStats,
    database_stats: DatabaseStats,
}

/// Connections.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct NetworkStats {
    connections_accepted: u64,
    connections_refused: u64,
    requests: u64,
}

/// The store.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DatabaseStats {
    kv: KvStatsView,
    storage: StorageStats,
    transactions_committed: u64,
}

/// Statistics for the console
#[utoipa::path(
    get, path = "/api/stats", tag = "admin", operation_id = "adminStats",
    responses((status = 200, description = "Statistics.", body = AdminStats)),
)]
pub(crate) async fn stats(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let kv = kv_stats(&app, &call).await?;
    let process = app.process();
    bare(&AdminStats {
        uptime_seconds: app.uptime().as_secs_f64(),
        version: app.config.build.version.clone(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        cpu_usage_percent: app
            .operations
            .rates(app.monotonic(), cpu_time())
            .cpu_percent,
        memory_usage_bytes: process.memory_used_bytes,
        disk_usage_bytes: process.disk_used_bytes,
        active_connections: app.counts.connections.load(Relaxed),
        network_stats: NetworkStats {
            connections_accepted: app.counts.connections_total.load(Relaxed),
            connections_refused: app.counts.connections_refused.load(Relaxed),
            requests: app.requests.counts().iter().map(|line| line.count).sum(),
        },
        database_stats: DatabaseStats {
            kv,
            storage: storage_stats(&app),
            transactions_committed: app.database.status().transactions.committed,
        },
    })
}
