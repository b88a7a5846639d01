//! `/stats` and `/api/v1/stats`: only members of parts that exist.

use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use mantis_session::TxnStats;
use serde::Serialize;

use crate::admission::AdmissionStats;
use crate::answer::enveloped;
use crate::app::App;
use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::openapi::Answer;
use crate::params;

/// The admission of calls that block: what this server has of a pool.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct PoolStats {
    max_connections: usize,
    active_connections: usize,
    waiting: usize,
    acquires: u64,
    wait_count: u64,
    avg_wait_time_ms: f64,
    avg_wait_time_us: f64,
    max_wait_time_ms: f64,
    timeouts: u64,
}

impl PoolStats {
    fn new(stats: AdmissionStats) -> Self {
        let waits = u32::try_from(stats.waits).unwrap_or(u32::MAX);
        let average = stats
            .wait_sum
            .checked_div(waits)
            .unwrap_or_default()
            .as_secs_f64();
        Self {
            max_connections: stats.calls_max,
            active_connections: stats.active,
            waiting: stats.waiting,
            acquires: stats.acquires,
            wait_count: stats.waits,
            avg_wait_time_ms: average * 1e3,
            avg_wait_time_us: average * 1e6,
            max_wait_time_ms: stats.wait_max.as_secs_f64() * 1e3,
            timeouts: stats.timeouts,
        }
    }
}

/// `data` of `/stats`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Stats {
    pool: PoolStats,
}

/// Key-value counters since the store was opened, over every door.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct KvStatsView {
    /// Live keys; null for more than `limits.count_scan_max`.
    pub(crate) keys: Option<u64>,
    /// Whether `keys` was counted for this answer. Above 10,000 keys it may be as old as 100 us for
    /// each of them, so that statistics cost little.
    keys_exact: bool,
    reads: u64,
    writes: u64,
    deletes: u64,
    hits: u64,
    misses: u64,
}

/// What the store occupies, and how far it is.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StorageStats {
    disk_bytes: u64,
    memtable_bytes: u64,
    /// Size of the commit log's files that hold commits; a file is made as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    wal_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_seq: Option<u64>,
    visible_seq: u64,
}

/// Transactions and single writes.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TransactionStats {
    /// Read-write transactions that live now.
    active: u64,
    /// Commits that were answered, those of single writes included.
    committed: u64,
    /// Transactions that ended without a commit.
    aborted: u64,
    /// Refused because somebody else came first.
    conflicts: u64,
    /// Refused to break a circle of waits.
    deadlocks: u64,
}

impl TransactionStats {
    fn new(stats: &TxnStats) -> Self {
        Self {
            active: stats.active,
            committed: stats.committed,
            aborted: stats.rolled_back,
            conflicts: stats.conflicts,
            deadlocks: stats.locks.deadlocks,
        }
    }
}

/// One protocol.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ProtocolStats {
    connections: usize,
    commands: u64,
}

/// All protocols.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Protocols {
    http: ProtocolStats,
}

/// `data` of `/api/v1/stats`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AllStats {
    pool: PoolStats,
    uptime_seconds: f64,
    version: String,
    started_at: String,
    kv: KvStatsView,
    storage: StorageStats,
    transactions: TransactionStats,
    protocols: Protocols,
}

/// Statistics of the pool
#[utoipa::path(
    get, path = "/stats", tag = "stats", operation_id = "poolStats",
    responses((status = 200, description = "Statistics.", body = Answer<Stats>)),
)]
pub(crate) async fn pool(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    enveloped(
        &Stats {
            pool: PoolStats::new(app.admission.stats()),
        },
        None,
    )
}

/// Statistics of everything
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "stats", operation_id = "stats",
    responses((status = 200, description = "Statistics.", body = Answer<AllStats>)),
)]
pub(crate) async fn all(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let kv = kv_stats(&app, &call).await?;
    let status = app.database.status();
    let data = AllStats {
        pool: PoolStats::new(app.admission.stats()),
        uptime_seconds: app.uptime().as_secs_f64(),
        version: app.config.build.version.clone(),
        started_at: crate::time::rfc3339(app.started_ms),
        kv,
        storage: storage_stats(&app),
        transactions: TransactionStats::new(&status.transactions),
        protocols: Protocols {
            http: ProtocolStats {
                connections: app.counts.connections.load(Relaxed),
                commands: app.operations.count(),
            },
        },
    };
    enveloped(&data, None)
}

/// What the store occupies, and how far it is.
pub(crate) fn storage_stats(app: &App) -> StorageStats {
    let status = app.database.status();
    StorageStats {
        disk_bytes: status.storage.disk_bytes,
        memtable_bytes: status.storage.memtable_bytes,
        wal_bytes: status.log.as_ref().map(|log| log.segments_bytes),
        durable_seq: status.durable_seq.map(mantis_types::Seq::get),
        visible_seq: status.visible_seq.get(),
    }
}

/// Counts the keys, if they were not just counted, and reads the counters.
///
/// # Errors
/// What the scan answers.
pub(crate) async fn kv_stats(app: &App, call: &Call) -> Outcome<KvStatsView> {
    let database = app.database.clone();
    let counted = app
        .blocking(call, move || database.count_keys_recent())
        .await?
        .map_err(Failure::from)?;
    let kv = app.database.status().kv;
    Ok(KvStatsView {
        keys: counted.keys,
        keys_exact: counted.exact,
        reads: kv.reads,
        writes: kv.writes,
        deletes: kv.deletes,
        hits: kv.hits,
        misses: kv.misses,
    })
}
