//! Who may come in: credentials, origins, rates.

use mantis_http::Anonymous;

use crate::server::{KEY, Setup, TestServer};

fn staging() -> TestServer {
    let mut setup = Setup::default();
    setup.settings.credentials.anonymous = Anonymous::Refused;
    setup.start()
}

#[test]
fn without_credentials_only_health_answers() {
    let server = staging();
    let client = server.client();
    for path in [
        "/api/v1/kv/a",
        "/api/v1/kv",
        "/stats",
        "/metrics",
        "/api/v1/stats",
        "/openapi.json",
        "/api/v1/nothing",
        "/api/v1/query",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.failure(), (401, "unauthenticated".into()), "{path}");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
    }
    assert_eq!(client.get("/api/metrics/prometheus").admin_failure().0, 401);
    assert_eq!(
        client.send("PUT", "/api/v1/kv/a", Some(b"x")).failure().0,
        401
    );
    let health = client.get("/health").data();
    assert!(health.get("checks").is_none());
    for (name, value) in [
        ("Authorization", KEY),
        ("apikey", "data-key"),
        ("apikey", "admin-token"),
    ] {
        assert_eq!(
            server.client().with(name, value).get("/api/v1/kv").status,
            200,
            "{name}"
        );
    }
    for (name, value) in [
        ("Authorization", "Bearer wrong"),
        ("apikey", ""),
        ("Authorization", "Basic ZGF0YS1rZXk="),
    ] {
        assert_eq!(
            server
                .client()
                .with(name, value)
                .get("/api/v1/kv")
                .failure()
                .0,
            401,
            "{value}"
        );
        assert_eq!(
            server.client().with(name, value).get("/health").failure().0,
            401,
            "{value}"
        );
    }
}

#[test]
fn the_admin_api_asks_in_every_profile() {
    for server in [TestServer::new(), staging()] {
        for path in [
            "/api/stats",
            "/api/kv/a",
            "/api/config",
            "/api/docs",
            "/api/ws/events",
            "/api/nothing",
            "/api/tables",
        ] {
            let answer = server.client().get(path);
            assert_eq!(
                answer.admin_failure(),
                (401, "unauthenticated".into()),
                "{path}"
            );
            let as_owner = server.client().with("Authorization", KEY).get(path);
            assert_eq!(
                as_owner.admin_failure(),
                (403, "forbidden".into()),
                "{path}"
            );
        }
        let health = server.client().get("/api/health");
        assert_eq!(health.status, 200);
        assert!(health.json().get("database").is_none());
        assert!(server.admin().get("/api/health").json()["database"]["total_records"].is_u64());
    }
}

#[test]
fn a_browser_may_open_the_documentation_with_the_token_as_password() {
    let server = TestServer::new();
    let refused = server.client().get("/api/docs");
    let challenges: Vec<_> = refused
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .collect();
    assert_eq!(challenges.len(), 2);
    let basic = server
        .client()
        .with("Authorization", "Basic YWRtaW46YWRtaW4tdG9rZW4=");
    let page = basic.get("/api/docs");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("/api/v1/kv/{key}") && !page.text().contains("<script"));
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("script-src")
    );
    let yaml = server.admin().get("/api/docs/openapi.yaml");
    assert!(yaml.text().contains("\"openapi\": \"3.1.0\""));
    assert_eq!(
        basic.get("/api/config").admin_failure().0,
        401,
        "pages only"
    );
}

#[test]
fn pages_of_strangers_cannot_use_the_development_profile() {
    let server = TestServer::new();
    for (name, value) in [
        ("Host", "evil.example:8080"),
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X-Forwarded-For", "10.0.0.1"),
    ] {
        let answer = server.client().with(name, value).get("/api/v1/kv");
        assert_eq!(answer.failure(), (401, "unauthenticated".into()), "{name}");
        let known = server
            .client()
            .with(name, value)
            .with("Authorization", KEY)
            .get("/api/v1/kv");
        assert_eq!(known.status, 200, "{name}");
    }
}

#[test]
fn scripts_of_listed_origins_may_read_and_no_others() {
    let mut setup = Setup::default();
    setup.settings.cors_origins = vec!["https://app.example".into(), "*".into()];
    let server = setup.start();
    let from = |origin: &str| {
        server
            .client()
            .with("Origin", origin)
            .with("Authorization", KEY)
    };
    let listed = from("https://app.example").get("/api/v1/kv");
    assert_eq!(
        listed.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(listed.header("access-control-allow-credentials").is_none());
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "null",
        "*",
    ] {
        let answer = from(origin).get("/api/v1/kv");
        assert!(
            answer.header("access-control-allow-origin").is_none(),
            "{origin}"
        );
        assert_eq!(answer.header("vary").unwrap(), "Origin");
    }
    let ask = |origin: &str| {
        server
            .client()
            .with("Origin", origin)
            .with("Access-Control-Request-Method", "PUT")
            .send("OPTIONS", "/api/v1/kv/a", None)
    };
    let preflight = ask("https://app.example");
    assert_eq!(
        (
            preflight.status,
            preflight.header("access-control-allow-methods")
        ),
        (204, Some("GET, HEAD, PUT, DELETE"))
    );
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_ne!(ask("https://evil.example").status, 204);
    let off = TestServer::new();
    let answer = off
        .client()
        .with("Origin", "https://app.example")
        .with("Authorization", KEY)
        .get("/api/v1/kv");
    assert!(
        answer.header("access-control-allow-origin").is_none(),
        "off by default"
    );
}

#[test]
fn rates_are_limited_by_caller_and_cannot_be_chosen_by_a_header() {
    let mut setup = Setup::default();
    setup.settings.rate_limit = 3;
    setup.settings.credentials.anonymous = Anonymous::Owner;
    let server = setup.start();
    let spend = |forwarded: &str| {
        server
            .client()
            .with("X-Forwarded-For", forwarded)
            .get("/api/v1/version")
    };
    let first = spend("1.1.1.1");
    assert_eq!(
        (
            first.status,
            first.header("ratelimit-limit"),
            first.header("ratelimit-remaining")
        ),
        (200, Some("3"), Some("2"))
    );
    let limited = (0..100)
        .map(|n| spend(&format!("1.1.1.{n}")))
        .find(|answer| answer.status == 429)
        .expect("another header is no other bucket");
    assert_eq!(limited.failure(), (429, "rate_limited".into()));
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_eq!(limited.header("ratelimit-remaining"), Some("0"));
    assert_eq!(limited.json()["retryable"], true);
    let other = server
        .client()
        .with("apikey", "data-key")
        .get("/api/v1/version");
    assert_eq!(other.status, 200, "another caller has its own bucket");
    assert_eq!(
        server.client().get("/health").status,
        200,
        "health is never limited"
    );
}

#[test]
fn trusted_proxies_name_their_clients() {
    let mut setup = Setup::default();
    setup.settings.rate_limit = 1;
    setup.settings.credentials.anonymous = Anonymous::Owner;
    setup.settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = setup.start();
    let spend = |forwarded: &str| {
        server
            .client()
            .with("X-Forwarded-For", forwarded)
            .get("/api/v1/version")
            .status
    };
    assert_eq!(spend("1.1.1.1"), 200);
    assert_eq!(spend("2.2.2.2"), 200, "another client");
    let again: Vec<u16> = (0..100)
        .map(|n| spend(&format!("6.6.6.{n}, 1.1.1.1")))
        .collect();
    assert!(
        again.contains(&429),
        "what stands further left is not believed: {again:?}"
    );
}

#[test]
fn a_reload_changes_who_may_come_in() {
    let server = TestServer::new();
    assert_eq!(server.client().get("/api/v1/kv").status, 200);
    let mut settings = (*server.handle.settings()).clone();
    settings.credentials.anonymous = Anonymous::Refused;
    settings.credentials.api_keys = vec!["new-key".into()];
    server.handle.apply(settings);
    assert_eq!(server.client().get("/api/v1/kv").status, 401);
    assert_eq!(
        server
            .client()
            .with("apikey", "data-key")
            .get("/api/v1/kv")
            .status,
        401
    );
    assert_eq!(
        server
            .client()
            .with("apikey", "new-key")
            .get("/api/v1/kv")
            .status,
        200
    );
}
