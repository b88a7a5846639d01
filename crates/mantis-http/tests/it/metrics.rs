//! Metrics move with what they measure.

use std::collections::BTreeMap;

use crate::server::{Setup, TestServer};

/// Every sample of the Prometheus text; the form of each line is checked.
fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = server.client().get("/metrics");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let mut samples = BTreeMap::new();
    let mut declared = Vec::new();
    for line in answer.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            declared.push(rest.split(' ').next().unwrap().to_owned());
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let base = name.split('{').next().unwrap();
        let family = declared.last().unwrap();
        assert!(
            base.starts_with(family.as_str()),
            "{base} stands below {family}"
        );
        assert!(base.starts_with("mantisdb_"), "{base}");
        assert!(
            samples
                .insert(name.to_owned(), value.parse().unwrap())
                .is_none(),
            "{name} twice"
        );
    }
    samples
}

#[test]
fn every_counter_counts_what_happens() {
    let server = Setup::on_disk().start();
    let before = scrape(&server);
    for n in 0..7 {
        server
            .client()
            .put_json("/api/v1/kv/secret-key", &format!("{{\"value\":{n}}}"))
            .data();
    }
    server.client().get("/api/v1/kv/secret-key").data();
    server.client().get("/api/v1/kv/other-secret");
    server.client().get("/api/v1/kv?limit=x");
    server.client().with("apikey", "wrong").get("/api/v1/kv");
    let after = scrape(&server);
    let moved = |name: &str| {
        after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0)
    };
    for (name, expected) in [
        ("mantisdb_queries_total{type=\"kv_put\"}", 7.0),
        ("mantisdb_queries_total{type=\"kv_get\"}", 2.0),
        (
            "mantisdb_query_duration_seconds_count{type=\"kv_put\"}",
            7.0,
        ),
        ("mantisdb_errors_total{kind=\"not_found\"}", 1.0),
        ("mantisdb_errors_total{kind=\"invalid\"}", 1.0),
        ("mantisdb_errors_total{kind=\"unauthenticated\"}", 1.0),
        ("mantisdb_auth_failures_total{reason=\"credentials\"}", 1.0),
        (
            "mantisdb_http_requests_total{method=\"PUT\",route=\"/api/v1/kv/{*key}\",status=\"200\"}",
            7.0,
        ),
        (
            "mantisdb_http_requests_total{method=\"GET\",route=\"/api/v1/kv/{*key}\",status=\"404\"}",
            1.0,
        ),
        (
            "mantisdb_http_request_duration_seconds_count{method=\"PUT\",route=\"/api/v1/kv/{*key}\"}",
            7.0,
        ),
        ("mantisdb_visible_seq", 7.0),
        ("mantisdb_durable_seq", 7.0),
        ("mantisdb_kv_hits_total", 1.0),
    ] {
        assert!(
            (moved(name) - expected).abs() < f64::EPSILON,
            "{name} moved by {}",
            moved(name)
        );
    }
    assert!(moved("mantisdb_wal_bytes_total") > 0.0);
    assert!(moved("mantisdb_wal_sync_duration_seconds_count") >= 1.0);
    assert!(moved("mantisdb_wal_group_size_sum") >= 7.0);
    assert!(moved("mantisdb_uptime_seconds") > 0.0);
    assert!(after["mantisdb_active_connections{protocol=\"http\"}"] >= 1.0);
    assert!(after["mantisdb_memory_used_bytes"] < after["mantisdb_memory_total_bytes"]);
    assert!(after["mantisdb_disk_used_bytes"] < after["mantisdb_disk_total_bytes"]);
    let text = server.client().get("/metrics");
    assert!(!text.text().contains("secret"), "no key in a metric");
    assert_eq!(server.client().get("/api/metrics/prometheus").status, 200);
    let json = server.admin().get("/api/metrics").json();
    assert!(
        json["metrics"]["mantisdb_queries_total{type=\"kv_put\"}"]
            .as_f64()
            .unwrap()
            >= 7.0
    );
    assert!(json["timestamp"].is_string());
}

#[test]
fn detailed_metrics_are_of_the_last_minute() {
    let server = TestServer::new();
    let detailed = || server.admin().get("/api/metrics/detailed").json();
    let clock = server.database.env().clock();
    // The first sample is taken when the server starts; rates compare with it.
    for n in 0..50 {
        server
            .client()
            .put_json("/api/v1/kv/a", &format!("{{\"value\":{n}}}"))
            .data();
        server.client().get("/api/v1/kv/a").data();
    }
    clock.sleep(std::time::Duration::from_millis(20));
    let now = detailed();
    let (operations, performance) = (&now["operations"], &now["performance"]);
    assert!(
        operations["writes_per_second"].as_f64().unwrap() > 1.0,
        "{now}"
    );
    assert!(
        operations["reads_per_second"].as_f64().unwrap() > 1.0,
        "{now}"
    );
    assert!(
        performance["throughput_qps"].as_f64().unwrap() > 1.0,
        "{now}"
    );
    let quantile = |name: &str| performance[name].as_f64().unwrap();
    assert!(quantile("query_latency_p50") > 0.0);
    assert!(quantile("query_latency_p50") <= quantile("query_latency_p99"));
    assert!(now["performance"]["error_rate"].as_f64().unwrap() < f64::EPSILON);
    assert!(now["resources"]["open_files"].as_u64().unwrap() > 3);
    assert!(now["resources"]["memory_used_bytes"].as_u64().unwrap() > 0);
    let quiet = TestServer::new()
        .admin()
        .get("/api/metrics/detailed")
        .json();
    assert!(
        quiet["performance"]["query_latency_p50"].is_null(),
        "nothing happened there: {quiet}"
    );
}
