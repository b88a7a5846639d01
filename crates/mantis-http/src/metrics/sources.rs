//! Where the metrics come from: everything that this process measures, gathered by name.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::operations::{OperationKind, share};
use super::process::cpu_time;
use super::prometheus::{Family, counter, gauge, histogram, label, whole};
use super::transactions::transactions;
use crate::app::App;
use crate::rate::RouteClass;

/// Gathers everything that this process measures.
pub(crate) fn sources(app: &App) -> Vec<Family> {
    let mut all = Vec::from(operations(app));
    all.extend(requests(app));
    all.extend(process(app));
    all.extend(log(app));
    all.extend(storage(app));
    all.extend(transactions(&app.database.status()));
    all.extend(admission(app));
    all
}

fn operations(app: &App) -> [Family; 4] {
    let mut queries = counter(
        "mantisdb_queries_total",
        "Operations on the store, by type.",
    );
    let mut durations = histogram(
        "mantisdb_query_duration_seconds",
        "How long operations took, by type.",
    );
    for kind in OperationKind::ALL {
        let taken = app.operations.by_kind(kind);
        if taken.count() > 0 {
            let labels = label("type", kind.as_str());
            durations = durations.with_durations(&labels, taken);
            queries = queries.with(labels, whole(taken.count()));
        }
    }
    let mut errors = counter(
        "mantisdb_errors_total",
        "Refused and failed requests, by kind.",
    );
    for (kind, count) in app.operations.errors() {
        errors = errors.with(label("kind", kind), whole(count));
    }
    let rates = app.operations.rates(app.monotonic(), cpu_time());
    let throughput = gauge(
        "mantisdb_throughput_ops_per_second",
        "Operations a second over the last 10 s.",
    )
    .with(Vec::new(), rates.throughput_ops_per_second);
    [queries, durations, errors, throughput]
}

fn requests(app: &App) -> [Family; 7] {
    let mut total = counter("mantisdb_http_requests_total", "Answered requests.");
    for line in app.requests.counts() {
        let mut labels = label("method", line.method);
        labels.push(("route", line.route.to_owned()));
        labels.push(("status", line.status.to_string()));
        total = total.with(labels, whole(line.count));
    }
    let mut durations = histogram(
        "mantisdb_http_request_duration_seconds",
        "Time to the answer's head.",
    );
    for (method, route, taken) in app.requests.durations() {
        let mut labels = label("method", method);
        labels.push(("route", route.to_owned()));
        durations = durations.with_durations(&labels, taken);
    }
    let counts = &app.counts;
    let open = counts.connections.load(Relaxed) as u64;
    let connections = gauge("mantisdb_active_connections", "Open client connections.")
        .with(label("protocol", "http"), whole(open));
    let refused = counter(
        "mantisdb_connections_refused_total",
        "Connections over server.max_connections.",
    )
    .with(
        label("protocol", "http"),
        whole(counts.connections_refused.load(Relaxed)),
    );
    let auth = counter(
        "mantisdb_auth_failures_total",
        "Requests with bad or no credentials.",
    )
    .with(
        label("reason", "credentials"),
        whole(counts.auth_failures.load(Relaxed)),
    );
    let mut limited = counter(
        "mantisdb_rate_limited_total",
        "Requests over the rate limit.",
    );
    for class in [RouteClass::Data, RouteClass::Admin] {
        let count = counts.rate_limited(class).load(Relaxed);
        limited = limited.with(label("class", class.as_str()), whole(count));
    }
    let replays = counter(
        "mantisdb_idempotent_replays_total",
        "Answers that were given once more, to requests with an Idempotency-Key.",
    )
    .with(Vec::new(), whole(counts.replays.load(Relaxed)));
    [
        total,
        durations,
        connections,
        refused,
        auth,
        limited,
        replays,
    ]
}

fn process(app: &App) -> Vec<Family> {
    let reading = app.process();
    let rates = app.operations.rates(app.monotonic(), cpu_time());
    let bytes = |name, help, value: Option<u64>| gauge(name, help).with_some(value.map(whole));
    let (used, total) = (reading.memory_used_bytes, reading.memory_total_bytes);
    let (disk_used, disk_total) = (reading.disk_used_bytes, reading.disk_total_bytes);
    let version = label("version", app.config.build.version.clone());
    vec![
        gauge("mantisdb_uptime_seconds", "Since the process was started.")
            .with(Vec::new(), app.uptime().as_secs_f64()),
        gauge("mantisdb_build_info", "1, with what was built.").with(version, 1.0),
        bytes("mantisdb_memory_usage_bytes", "Resident memory.", used),
        bytes("mantisdb_memory_used_bytes", "Resident memory.", used),
        bytes(
            "mantisdb_memory_total_bytes",
            "Memory of the machine.",
            total,
        ),
        bytes(
            "mantisdb_disk_usage_bytes",
            "Used bytes of the data directory's disk.",
            disk_used,
        ),
        bytes(
            "mantisdb_disk_used_bytes",
            "Used bytes of the data directory's disk.",
            disk_used,
        ),
        bytes(
            "mantisdb_disk_total_bytes",
            "Size of the data directory's disk.",
            disk_total,
        ),
        bytes(
            "mantisdb_open_files",
            "Open file descriptors.",
            reading.open_files,
        ),
        gauge(
            "mantisdb_cpu_usage_percent",
            "Of one processor, over the last 10 s.",
        )
        .with_some(rates.cpu_percent),
    ]
}

fn log(app: &App) -> Vec<Family> {
    let status = app.database.status();
    let mut families = vec![
        gauge(
            "mantisdb_visible_seq",
            "The newest commit that readers see.",
        )
        .with(Vec::new(), whole(status.visible_seq.get())),
    ];
    let Some(log) = status.log else {
        return families;
    };
    let micros = |bound: u64| Duration::from_micros(bound).as_secs_f64();
    let sync = cumulative(log.sync_us.bounds, &log.sync_us.counts, micros);
    let group = cumulative(log.group_size.bounds, &log.group_size.counts, whole);
    families.extend([
        gauge(
            "mantisdb_durable_seq",
            "The newest commit that survives a power cut.",
        )
        .with(Vec::new(), whole(log.durable_seq.get())),
        counter(
            "mantisdb_wal_writes_total",
            "Write calls of the commit log.",
        )
        .with(Vec::new(), whole(log.writes)),
        counter(
            "mantisdb_wal_bytes_total",
            "Bytes of records in the commit log.",
        )
        .with(Vec::new(), whole(log.bytes)),
        histogram(
            "mantisdb_wal_sync_duration_seconds",
            "How long syncs of the log took.",
        )
        .with_histogram(
            &Vec::new(),
            sync.into_iter(),
            log.sync_us.count(),
            micros(log.sync_us.sum),
        ),
        histogram(
            "mantisdb_wal_group_size",
            "Records that one sync made durable.",
        )
        .with_histogram(
            &Vec::new(),
            group.into_iter(),
            log.group_size.count(),
            whole(log.group_size.sum),
        ),
    ]);
    families
}

/// Counts by bound, summed up from the lowest bound on.
pub(super) fn cumulative(
    bounds: &[u64],
    counts: &[u64],
    unit: impl Fn(u64) -> f64,
) -> Vec<(f64, u64)> {
    let mut total = 0;
    let mut up_to = |count: &u64| {
        total += count;
        total
    };
    bounds
        .iter()
        .zip(counts)
        .map(|(bound, count)| (unit(*bound), up_to(count)))
        .collect()
}

fn storage(app: &App) -> Vec<Family> {
    let status = app.database.status();
    let storage = &status.storage;
    let none = Vec::new;
    let row = || label("cache", "row");
    let block = || label("cache", "block");
    vec![
        ratio(
            (storage.row_cache_hits, storage.row_cache_misses),
            (storage.block_cache_hits, storage.block_cache_misses),
        ),
        counter(
            "mantisdb_ttl_expired_total",
            "Entries deleted because their time had come.",
        )
        .with(none(), whole(status.transactions.expired)),
        counter(
            "mantisdb_storage_compactions_total",
            "Compactions that changed tables.",
        )
        .with(none(), whole(storage.compactions)),
        counter(
            "mantisdb_storage_flushes_total",
            "Memtables written to tables.",
        )
        .with(none(), whole(storage.flushes)),
        counter(
            "mantisdb_storage_stall_seconds_total",
            "Time that writers were held back.",
        )
        .with(none(), storage.stall_seconds),
        gauge("mantisdb_storage_memtable_bytes", "Memory in memtables.")
            .with(none(), whole(storage.memtable_bytes)),
        gauge("mantisdb_storage_disk_bytes", "Bytes of tables on disk.")
            .with(none(), whole(storage.disk_bytes)),
        counter(
            "mantisdb_cache_hits_total",
            "Look-ups that the cache answered.",
        )
        .with(row(), whole(storage.row_cache_hits))
        .with(block(), whole(storage.block_cache_hits)),
        counter(
            "mantisdb_cache_misses_total",
            "Look-ups that it did not answer.",
        )
        .with(row(), whole(storage.row_cache_misses))
        .with(block(), whole(storage.block_cache_misses)),
        gauge("mantisdb_cache_bytes", "Bytes in the cache.")
            .with(row(), whole(storage.row_cache_bytes))
            .with(block(), whole(storage.block_cache_bytes)),
        counter("mantisdb_kv_hits_total", "Reads that found a value.")
            .with(none(), whole(status.kv.hits)),
        counter("mantisdb_kv_misses_total", "Reads that found none.")
            .with(none(), whole(status.kv.misses)),
    ]
}

/// Hits over look-ups of row cache and block cache; a cache that was never asked shows nothing.
fn ratio(row: (u64, u64), block: (u64, u64)) -> Family {
    let family = gauge(
        "mantisdb_cache_hit_ratio",
        "Share of look-ups that the cache answered.",
    );
    let asked = [("row", row), ("block", block)]
        .into_iter()
        .filter(|(_, (hits, misses))| hits + misses > 0);
    asked.fold(family, |family, (cache, (hits, misses))| {
        family.with(label("cache", cache), share(hits, hits + misses))
    })
}

fn admission(app: &App) -> [Family; 5] {
    let stats = app.admission.stats();
    let pool = || label("pool", "blocking");
    let state = |state: &str| vec![("pool", "blocking".to_owned()), ("state", state.to_owned())];
    let idle = stats.calls_max.saturating_sub(stats.active);
    let wait = app.admission.wait_histogram();
    [
        gauge(
            "mantisdb_pool_connections",
            "Places for calls that block, by state.",
        )
        .with(state("active"), whole(stats.active as u64))
        .with(state("idle"), whole(idle as u64)),
        gauge("mantisdb_pool_waiting", "Calls that wait for a place.")
            .with(pool(), whole(stats.waiting as u64)),
        histogram(
            "mantisdb_pool_wait_seconds",
            "How long calls waited for a place.",
        )
        .with_durations(&pool(), wait),
        counter(
            "mantisdb_pool_timeouts_total",
            "Calls whose time ran out while they waited.",
        )
        .with(pool(), whole(stats.timeouts)),
        counter(
            "mantisdb_pool_refused_total",
            "Calls refused because too many waited.",
        )
        .with(pool(), whole(stats.refused)),
    ]
}
