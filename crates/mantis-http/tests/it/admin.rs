//! `/api/**`: bare objects over the same store.

use serde_json::{Value, json};

use crate::server::{Setup, TestServer};

#[test]
fn values_of_any_json_go_in_and_come_out() {
    let server = TestServer::new();
    let admin = server.admin();
    for value in [
        json!("text"),
        json!([1, 2]),
        json!({"a": [null, 1.5]}),
        json!(7),
        json!(null),
        json!({"base64": "AP8="}),
    ] {
        let put = admin.put_json(
            "/api/kv/people/ada",
            &json!({"value": value, "ttl": 60, "tags": ["x"]}).to_string(),
        );
        assert_eq!(put.status, 200, "{}", put.text());
        assert!(put.header("x-mantis-seq").is_some());
        let got = admin.get("/api/kv/people/ada").json();
        assert_eq!(got, put.json());
        assert_eq!((&got["key"], &got["value"]), (&json!("people/ada"), &value));
        assert!((59..=60).contains(&got["ttl"].as_u64().unwrap()));
        assert_eq!(got["metadata"]["tags"], json!(["x"]));
        assert!(
            got["metadata"]["content_type"].is_string()
                && got["metadata"]["properties"]["size_bytes"].is_u64()
        );
        let time = got["updated_at"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
        assert!(got["created_at"].is_string());
    }
    let members: Vec<_> = admin
        .get("/api/kv/people/ada")
        .json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let mut expected = [
        "key",
        "value",
        "ttl",
        "created_at",
        "updated_at",
        "version",
        "metadata",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    let through_data = server
        .client()
        .get("/api/v1/kv/people/ada?format=base64")
        .data();
    assert_eq!(through_data["value"], "AP8=", "one store");
    server
        .client()
        .put_raw("/api/v1/kv/bin", "a/b", b"\xff\x00")
        .data();
    assert_eq!(
        admin.get("/api/kv/bin").json()["value"],
        json!({"base64": "/wA="})
    );
}

#[test]
fn existence_deletes_and_failures() {
    let server = TestServer::new();
    let admin = server.admin();
    admin.put_json("/api/kv/a", r#"{"value":1}"#);
    assert_eq!(
        admin.get("/api/kv/a/exists").json(),
        json!({"key": "a", "exists": true})
    );
    assert_eq!(
        admin.delete("/api/kv/a").json(),
        json!({"key": "a", "deleted": true})
    );
    assert_eq!(
        admin.get("/api/kv/a/exists").json(),
        json!({"key": "a", "exists": false})
    );
    assert_eq!(
        admin.delete("/api/kv/a").json(),
        json!({"key": "a", "deleted": false})
    );
    assert_eq!(
        admin.get("/api/kv/a").admin_failure(),
        (404, "not_found".into())
    );
    for body in [
        "{}",
        r#"{"value":1,"x":1}"#,
        r#"{"value":1,"ttl":0}"#,
        "nonsense",
    ] {
        assert_eq!(
            admin.put_json("/api/kv/a", body).admin_failure().0,
            400,
            "{body}"
        );
    }
    assert_eq!(
        admin
            .put_raw("/api/kv/a", "text/plain", b"x")
            .admin_failure()
            .0,
        415
    );
}

#[test]
fn keys_are_listed_and_batches_run() {
    let server = TestServer::new();
    let admin = server.admin();
    let batch = json!({"atomic": true, "operations": [
        {"operation": "set", "key": "q:1", "value": {"n": [1, 2]}, "ttl": 60},
        {"operation": "set", "key": "q:2", "value": [1, 2]},
        {"operation": "get", "key": "q:2"},
        {"operation": "get", "key": "none"},
    ]});
    let done = admin.post_json("/api/kv/batch", &batch.to_string()).json();
    assert_eq!(done["success"], true);
    assert_eq!(
        (&done["results"][2]["value"], &done["results"][3]["error"]),
        (&json!([1, 2]), &json!("not_found"))
    );
    assert_eq!(
        admin.get("/api/kv/q:1").json()["value"],
        json!({"n": [1, 2]})
    );
    assert_eq!(
        admin.get("/api/kv/query?prefix=q:&limit=1").json(),
        json!({"keys": ["q:1"], "total": 2, "has_more": true})
    );
    assert_eq!(
        admin.get("/api/kv/query?prefix=q:&offset=1").json(),
        json!({"keys": ["q:2"], "total": 2, "has_more": false})
    );
    assert_eq!(admin.get("/api/kv/query?limit=-1").admin_failure().0, 400);
    let failing = json!({"operations": [{"operation": "increment", "key": "q:1", "by": 1}]});
    let failed = admin.post_json("/api/kv/batch", &failing.to_string());
    assert_eq!(
        (failed.status, &failed.json()["success"]),
        (207, &json!(false))
    );
    let stats = admin.get("/api/kv/stats").json();
    assert_eq!(stats["keys"], 2);
    assert!(stats["writes"].as_u64().unwrap() >= 2 && stats["reads"].as_u64().unwrap() >= 1);
}

#[test]
fn the_configuration_is_shown_checked_and_changed() {
    let server = TestServer::new();
    let admin = server.admin();
    assert_eq!(
        admin.get("/api/config").json()["security"]["admin_token"],
        "***"
    );
    let check = |body: &str| admin.post_json("/api/config/validate", body).json();
    assert_eq!(
        check(r#"{"security":{"rate_limit":5}}"#),
        json!({"valid": true, "errors": [], "warnings": []})
    );
    assert_eq!(check(r#"{"security":{"rate_limits":5}}"#)["valid"], false);
    let refused = admin.put_json("/api/config", r#"{"security":{"rate_limit":"x"}}"#);
    assert_eq!(refused.admin_failure(), (400, "invalid_value".into()));
    assert_eq!(
        refused.json()["details"]["errors"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let done = admin.put_json(
        "/api/config",
        r#"{"security":{"rate_limit":5},"server":{"port":1}}"#,
    );
    assert_eq!(
        done.json(),
        json!({"applied": ["security.rate_limit"], "restart_required": ["server.port"]})
    );
    assert_eq!(admin.get("/api/config").json()["security"]["rate_limit"], 5);
    assert_eq!(admin.put_json("/api/config", "[]").admin_failure().0, 400);
}

#[test]
fn statistics_are_of_this_store() {
    let server = Setup::on_disk().start();
    for n in 0..5 {
        server
            .client()
            .put_json(&format!("/api/v1/kv/{n}"), r#"{"value":1}"#)
            .data();
    }
    server.client().get("/api/v1/kv/1").data();
    server.client().get("/api/v1/kv/none");
    let stats = server.client().get("/api/v1/stats").data();
    let kv = &stats["kv"];
    assert_eq!(
        (&kv["keys"], &kv["writes"], &kv["hits"], &kv["misses"]),
        (&json!(5), &json!(5), &json!(1), &json!(1))
    );
    let seq = server.database.visible_seq().get();
    assert_eq!(stats["storage"]["visible_seq"], seq);
    assert!(stats["storage"]["durable_seq"].as_u64().unwrap() <= seq);
    assert_eq!(kv["keys_exact"], true, "they are few");
    assert_eq!(stats["storage"]["wal_bytes"], server.live_log_bytes());
    assert!(stats["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert!(stats["protocols"]["http"]["commands"].as_u64().unwrap() >= 7);
    assert!(stats.get("cache").is_none(), "what is not built is absent");
    let pool = server.client().get("/stats").data()["pool"].clone();
    assert!(pool["acquires"].as_u64().unwrap() >= 5);
    assert!(pool["max_connections"].as_u64().unwrap() > 0);
    assert!(pool.get("health_check_failures").is_none(), "{pool}");
    let admin = server.admin().get("/api/stats").json();
    assert_eq!(admin["database_stats"]["kv"]["keys"], 5);
    assert!(
        admin["platform"]
            .as_str()
            .unwrap()
            .contains(std::env::consts::ARCH)
    );
    assert!(
        admin["memory_usage_bytes"].as_u64().unwrap() > 0
            && admin["disk_usage_bytes"].as_u64().unwrap() > 0
    );
    let health: Value = server.admin().get("/api/health").json();
    assert_eq!(health["database"]["total_records"], 5);
    let in_memory = TestServer::new().client().get("/api/v1/stats").data();
    assert!(
        in_memory["storage"].get("wal_bytes").is_none(),
        "there is no log in memory"
    );
}
