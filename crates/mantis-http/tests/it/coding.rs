//! Compression in both directions.

use crate::client::Answer;
use crate::server::TestServer;

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn fetch(server: &TestServer, path: &str, coding: &str, accept: &str) -> Answer {
    server
        .client()
        .with("Accept-Encoding", coding)
        .with("Accept", accept)
        .get(path)
}

#[test]
fn answers_above_one_kib_are_compressed_and_inflate_again() {
    let server = TestServer::new();
    let text = "mantis ".repeat(2000);
    server
        .client()
        .put_raw("/api/v1/kv/long", "text/plain", text.as_bytes())
        .data();
    server
        .client()
        .put_raw("/api/v1/kv/short", "text/plain", b"mantis")
        .data();
    for coding in CODINGS {
        let packed = fetch(&server, "/api/v1/kv/long", coding, "text/plain");
        assert_eq!(packed.header("content-encoding"), Some(coding));
        assert!(
            packed.body.len() < text.len() / 10,
            "{coding}: {}",
            packed.body.len()
        );
        assert!(packed.headers.iter().any(
            |(name, value)| name == "vary" && value.to_lowercase().contains("accept-encoding")
        ));
        let plain = fetch(&server, "/api/v1/kv/short", coding, "text/plain");
        assert_eq!(
            (plain.header("content-encoding"), plain.text()),
            (None, "mantis")
        );
        // Back through the other direction: what the server packs, it unpacks.
        let put = server.client().with("Content-Encoding", coding).put_raw(
            "/api/v1/kv/back",
            "text/plain",
            &packed.body,
        );
        assert_eq!(put.status, 200, "{coding}: {}", put.text());
        assert_eq!(
            server
                .client()
                .with("Accept", "text/plain")
                .get("/api/v1/kv/back")
                .text(),
            text
        );
    }
    let plain = server
        .client()
        .with("Accept", "text/plain")
        .get("/api/v1/kv/long");
    assert_eq!(
        (plain.header("content-encoding"), plain.text()),
        (None, text.as_str())
    );
}

#[test]
fn long_lists_shrink_by_seventy_percent() {
    let server = TestServer::new();
    for n in 0..200 {
        server
            .client()
            .put_json(&format!("/api/v1/kv/user:{n:05}"), r#"{"value":"x"}"#)
            .data();
    }
    let path = "/api/v1/kv?limit=200&values=true";
    let plain = server.client().get(path).body.len();
    for coding in CODINGS {
        let packed = fetch(&server, path, coding, "*/*").body.len();
        assert!(packed * 10 < plain * 3, "{coding}: {packed} of {plain}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit_of_inflated_bytes() {
    let server = TestServer::new();
    // 9 MiB of zeros as a JSON list are 18 MiB of text, and a few KiB packed.
    server
        .client()
        .put_raw("/api/v1/kv/zeros", "a/b", &vec![0; 9 << 20])
        .data();
    for coding in CODINGS {
        let bomb = fetch(&server, "/api/v1/kv/zeros", coding, "application/json").body;
        assert!(bomb.len() < 1 << 20, "{coding}: {}", bomb.len());
        let answer = server.client().with("Content-Encoding", coding).put_raw(
            "/api/v1/kv/bomb",
            "a/b",
            &bomb,
        );
        assert_eq!(answer.failure(), (413, "too_large".into()), "{coding}");
        assert_eq!(answer.json()["details"]["limit"], "server.max_body_size");
    }
    assert_eq!(server.client().get("/api/v1/kv/bomb").status, 404);
}

#[test]
fn unknown_and_broken_codings_are_refused() {
    let server = TestServer::new();
    for coding in ["deflate", "gzip, br", "x", ""] {
        let answer =
            server
                .client()
                .with("Content-Encoding", coding)
                .put_raw("/api/v1/kv/c", "a/b", b"x");
        assert_eq!(
            answer.failure(),
            (415, "unsupported_media_type".into()),
            "{coding}"
        );
        assert_eq!(answer.header("accept-encoding"), Some("gzip, br, zstd"));
    }
    for coding in CODINGS {
        let answer = server.client().with("Content-Encoding", coding).put_raw(
            "/api/v1/kv/c",
            "a/b",
            b"this is not packed",
        );
        assert_eq!(
            answer.failure(),
            (400, "invalid_request".into()),
            "{coding}"
        );
    }
    let plain = server
        .client()
        .with("Content-Encoding", "identity")
        .put_raw("/api/v1/kv/c", "a/b", b"x");
    assert_eq!(plain.status, 200);
}
