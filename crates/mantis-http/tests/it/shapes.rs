//! The shapes of answers: envelope, methods, paths, surfaces that are not built, headers.

use std::sync::Arc;

use mantis_env::{Fault, FaultPlan, FaultyFs, OpKind};
use serde_json::Value;

use crate::server::{Setup, TestServer};

#[test]
fn wrong_methods_are_405_with_allow_everywhere() {
    let server = TestServer::new();
    for (method, path, allow) in [
        ("POST", "/api/v1/kv/a", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/api/v1/kv/a", "GET, HEAD, PUT, DELETE"),
        ("TRACE", "/api/v1/kv/a", "GET, HEAD, PUT, DELETE"),
        ("OPTIONS", "/api/v1/kv", "GET, HEAD, POST"),
        ("DELETE", "/api/v1/kv", "GET, HEAD, POST"),
        ("TRACE", "/health", "GET, HEAD"),
        ("BREW", "/health", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PUT", "/api/v1/transactions", "POST"),
    ] {
        let answer = server.client().send(method, path, None);
        assert_eq!(
            answer.failure(),
            (405, "method_not_allowed".into()),
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let admin = server.admin().send("POST", "/api/stats", None);
    assert_eq!(admin.admin_failure(), (405, "method_not_allowed".into()));
}

#[test]
fn unknown_paths_are_404_in_the_shape_of_their_place() {
    let server = TestServer::new();
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/health/",
        "/Health",
        "//health",
    ] {
        assert_eq!(
            server.client().get(path).failure(),
            (404, "not_found".into()),
            "{path}"
        );
    }
    assert_eq!(
        server.admin().get("/api/nothing").admin_failure(),
        (404, "not_found".into())
    );
}

#[test]
fn what_is_not_built_answers_501_and_the_capabilities_say_so() {
    let server = TestServer::new();
    let surfaces = server.client().get("/api/v1/capabilities").data()["surfaces"].clone();
    let surfaces = surfaces.as_array().unwrap();
    assert!(surfaces.len() > 60);
    let mut unbuilt = 0;
    for surface in surfaces {
        let path = surface["path"].as_str().unwrap().replace(['{', '}'], "x");
        for method in surface["methods"].as_array().unwrap() {
            let stream = path.starts_with("/api/ws/") || path == "/api/v1/changes";
            if stream && surface["available"] == true {
                continue;
            }
            let method = method.as_str().unwrap();
            let answer = server.admin().send(method, &path, Some(b"{}"));
            let built = surface["available"] == Value::Bool(true);
            assert_eq!(
                answer.status != 501,
                built,
                "{method} {path} answers {}",
                answer.status
            );
            assert_ne!(answer.status, 405, "{method} {path}");
            if !built {
                unbuilt += 1;
                assert_eq!(answer.json()["code"], "not_implemented");
            }
        }
    }
    assert!(unbuilt > 50, "{unbuilt}");
    for path in [
        "/auth/v1/token",
        "/storage/v1/object/a/b",
        "/functions/v1/f",
        "/realtime/v1/ws",
        "/rest/v1/todos",
    ] {
        assert_eq!(
            server.client().get(path).failure(),
            (501, "not_implemented".into()),
            "{path}"
        );
    }
}

#[test]
fn every_answer_carries_ids_and_security_headers() {
    let server = TestServer::new();
    for answer in [
        server.client().get("/health"),
        server.client().get("/nothing"),
        server.client().get("/api/kv/x"),
        server.client().head("/health"),
        server.client().send("TRACE", "/", None),
    ] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"));
        assert!(answer.header("permissions-policy").is_some());
        assert!(
            answer.header("strict-transport-security").is_none(),
            "not over plain text"
        );
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
    }
    let named = server
        .client()
        .with("X-Request-Id", "mine-1")
        .get("/nothing");
    assert_eq!(named.header("x-request-id"), Some("mine-1"));
    assert_eq!(named.json()["request_id"], "mine-1");
}

#[test]
fn stored_pages_may_not_act_in_the_browser() {
    let server = TestServer::new();
    server
        .client()
        .put_raw("/api/v1/kv/page", "text/html", b"<script>1</script>")
        .data();
    let page = server
        .client()
        .with("Accept", "text/html")
        .get("/api/v1/kv/page");
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("inline")
    );
}

#[test]
fn health_shows_internals_to_callers_only() {
    let server = TestServer::new();
    let known = server.client().get("/health").data();
    assert_eq!(known["status"], "healthy");
    for part in ["engine", "log", "disk", "memory", "pool"] {
        let check = &known["checks"][part];
        assert_eq!(check["status"], "healthy", "{known}");
        assert!(check["detail"].is_string() && check["duration_ms"].is_number());
    }
    let stranger = server
        .client()
        .with("X-Forwarded-For", "1.2.3.4")
        .get("/health")
        .data();
    assert!(stranger.get("checks").is_none(), "{stranger}");
    assert_eq!(stranger["version"], env!("CARGO_PKG_VERSION"));
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.client().get(path).data()["status"], "healthy");
    }
    assert_eq!(
        server.client().get("/health?x=1").failure(),
        (400, "invalid_request".into())
    );
}

#[test]
fn looking_at_the_health_counts_as_no_read() {
    let server = Setup::on_disk().start();
    let client = server.client();
    client.put_json("/api/v1/kv/a", r#"{"value":1}"#).data();
    server.database.flush().unwrap();
    let reads = || {
        let kv = server.database.status().kv;
        (kv.reads, kv.hits, kv.misses)
    };
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(client.get(path).data()["status"], "healthy");
    }
    assert_eq!(server.admin().get("/api/health").status, 200);
    assert_eq!(reads(), (0, 0, 0));
    // The control: a read counts.
    client.get("/api/v1/kv/a").data();
    assert_eq!(client.get("/api/v1/kv/none").status, 404);
    assert_eq!(reads(), (2, 1, 1));
}

/// A server whose disk fails as the plan says.
fn over_faulty_disk(plan: &FaultPlan) -> TestServer {
    let faults = plan.clone();
    let setup = Setup {
        opening: Box::new(|mut options| {
            let faulty = FaultyFs::new(Arc::clone(options.env.fs()), faults);
            options.env = options.env.with_fs(Arc::new(faulty));
            options
        }),
        ..Setup::on_disk()
    };
    setup.start()
}

#[test]
fn errors_carry_neither_stored_values_nor_paths() {
    let plan = FaultPlan::new();
    let server = over_faulty_disk(&plan);
    let client = server.client();
    let value = b"canary-value\xff";
    client.put_raw("/api/v1/kv/k", "a/b", value).data();
    let atomic = r#"{"atomic":true,"operations":[{"op":"increment","key":"k","by":1}]}"#;
    let admin = server.admin();
    let mut refused = vec![
        client.get("/api/v1/kv/k?format=json"),
        client.get("/api/v1/kv/k?format=string"),
        client.get("/api/v1/kv?values=true&format=json"),
        client
            .clone()
            .with("Accept", "text/html")
            .get("/api/v1/kv/k"),
        client
            .clone()
            .with("If-None-Match", "*")
            .put_json("/api/v1/kv/k", r#"{"value":1}"#),
        client
            .clone()
            .with("If-Match", "\"99\"")
            .delete("/api/v1/kv/k"),
        client.post_json("/api/v1/kv/k/increment", r#"{"by":1}"#),
        client.post_json("/api/v1/kv", atomic),
        admin.post_json("/api/kv/batch", atomic),
    ];
    plan.fail_from(OpKind::Sync, 1, Fault::Eio);
    refused.push(client.put_json("/api/v1/kv/k", r#"{"value":1}"#));
    refused.push(client.put_json("/api/v1/kv/k", r#"{"value":1}"#));
    refused.push(client.get("/health"));
    let dir = server.dir().to_str().unwrap().to_owned();
    for answer in refused {
        assert!(answer.status >= 400, "{answer:?}");
        // As text, as a list of bytes, and in base64.
        for hidden in ["canary", "99,97,110,97,114,121", "Y2FuYXJ5", &dir] {
            assert!(
                !answer.text().contains(hidden),
                "{hidden}: {}",
                answer.text()
            );
        }
    }
    // The control: what is hidden stands where it belongs.
    assert!(
        client
            .get("/api/v1/kv/k")
            .text()
            .contains("99,97,110,97,114,121")
    );
    assert!(
        client
            .get("/api/v1/kv/k?format=base64")
            .text()
            .contains("Y2FuYXJ5")
    );
}

#[test]
fn after_a_failed_sync_it_is_unhealthy_and_reads_go_on() {
    let plan = FaultPlan::new();
    let server = over_faulty_disk(&plan);
    let client = server.client();
    let put = || client.put_json("/api/v1/kv/a", r#"{"value":1}"#);
    put().data();
    assert_eq!(client.get("/health").status, 200);
    plan.fail_from(OpKind::Sync, 1, Fault::Eio);
    assert_eq!(put().failure(), (503, "sync_failed".into()));
    for path in ["/health", "/health/ready"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").is_some());
        let data = answer.json()["data"].clone();
        assert_eq!(data["status"], "unhealthy");
        assert_eq!(data["checks"]["log"]["status"], "unhealthy");
        assert_eq!(data["checks"]["engine"]["status"], "healthy");
    }
    assert_eq!(client.get("/health/live").data()["status"], "healthy");
    let console = server.admin().get("/api/health");
    assert_eq!(
        (console.status, &console.json()["status"]),
        (503, &"unhealthy".into())
    );
    assert_eq!(client.get("/api/v1/kv/a").status, 200, "reads go on");
}

#[test]
fn a_full_disk_is_degraded_and_not_ready() {
    let server = Setup {
        opening: Box::new(|mut options| {
            options.min_free_bytes = u64::MAX / 2;
            options
        }),
        ..Setup::on_disk()
    };
    let server = server.start();
    let health = server.client().get("/health").data();
    assert_eq!(
        (&health["status"], &health["checks"]["disk"]["status"]),
        (&"degraded".into(), &"degraded".into())
    );
    let ready = server.client().get("/health/ready");
    assert_eq!(
        (ready.status, &ready.json()["data"]["status"]),
        (503, &"unhealthy".into())
    );
    let write = server.client().put_json("/api/v1/kv/a", r#"{"value":1}"#);
    assert_eq!(write.failure(), (507, "disk_full".into()));
}

/// Each route of the document, as it stands there: the first of each pair is the path, filled in.
fn routes() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(mantis_http::openapi_json()).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{key}", "k").replace("{name}", "s");
            let path = path.replace("{id}", &"0".repeat(32));
            routes.push((path, method.to_uppercase(), operation.clone()));
        }
    }
    assert!(routes.len() > 30, "{}", routes.len());
    routes
}

#[test]
fn every_route_refuses_a_parameter_that_it_does_not_know() {
    let server = TestServer::new();
    for (path, method, operation) in routes() {
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let body = (!example.is_null()).then(|| example.to_string());
        let body = body.as_ref().map(String::as_bytes);
        let answer = server
            .admin()
            .send(&method, &format!("{path}?nope=1"), body);
        assert_eq!(answer.status, 400, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(answer.json()["code"], "invalid_request", "{method} {path}");
            assert_eq!(
                answer.json()["details"]["parameter"],
                "nope",
                "{method} {path}"
            );
        }
    }
    assert_eq!(server.database.visible_seq().get(), 0, "nothing was done");
}

#[test]
fn every_body_is_an_object_in_json() {
    let server = TestServer::new();
    let mut bodies = 0;
    for (path, method, operation) in routes() {
        if operation["requestBody"].is_null() {
            continue;
        }
        bodies += 1;
        let needed = operation["requestBody"]["required"] == true;
        let nothing = needed.then_some(("", "invalid_json"));
        let wrong = [
            ("{", "invalid_json"),
            ("null", "invalid_request"),
            ("[]", "invalid_request"),
            ("[1,2,null,null,[]]", "invalid_request"),
            ("\"text\"", "invalid_request"),
            ("7", "invalid_request"),
        ];
        for (body, code) in nothing.into_iter().chain(wrong) {
            let client = server.admin().with("Content-Type", "application/json");
            let answer = client.send(&method, &path, Some(body.as_bytes()));
            assert_eq!(answer.status, 400, "{method} {path} {body}");
            assert_eq!(answer.json()["code"], code, "{method} {path} {body}");
        }
        let raw = operation["requestBody"]["content"]["text/plain"].is_object();
        if !raw {
            let client = server.admin().with("Content-Type", "text/plain");
            let answer = client.send(&method, &path, Some(b"{}"));
            assert_eq!(answer.status, 415, "{method} {path}");
        }
    }
    assert_eq!(bodies, 11);
    assert_eq!(server.database.visible_seq().get(), 0, "nothing was done");
}

#[test]
fn a_closed_store_refuses_writes() {
    let server = Setup::on_disk().start();
    server.database.close().unwrap();
    let write = server.client().put_json("/api/v1/kv/a", r#"{"value":1}"#);
    assert_eq!(write.failure(), (503, "shutting_down".into()));
    assert!(write.header("retry-after").is_some());
}

#[test]
fn versions_and_documents_are_served() {
    let server = TestServer::new();
    let version = server.client().get("/api/v1/version").data();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let document = server.client().get("/api/v1/openapi.json");
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json()["openapi"], "3.1.0");
    assert_eq!(document.text(), mantis_http::openapi_json());
    assert_eq!(server.client().get("/openapi.json").body, document.body);
}

#[test]
fn only_json_is_offered_where_only_json_is_made() {
    let server = TestServer::new();
    let ask = |accept: &str| server.client().with("Accept", accept).get("/api/v1/kv");
    assert_eq!(ask("text/html").failure(), (406, "not_acceptable".into()));
    assert_eq!(ask("text/html, */*;q=0.1").status, 200);
    let text = server.client().with("Accept", "text/plain").get("/metrics");
    assert_eq!(text.status, 200);
}
