//! Event streams, as server-sent events and over WebSocket.

use serde_json::Value;

use crate::client::Wire;
use crate::server::{ADMIN, Setup, TestServer};

struct Sse(Wire);

impl Sse {
    fn open(server: &TestServer, path: &str) -> Self {
        let mut wire = Wire::connect(server.address);
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {ADMIN}\r\nAccept: text/event-stream\r\n\r\n").as_bytes());
        let head = String::from_utf8(wire.until(b"\r\n\r\n")).unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"),
            "{head}"
        );
        Self(wire)
    }

    /// Name and data of the next event.
    fn next(&mut self) -> (String, Value) {
        loop {
            let chunk = String::from_utf8(self.0.until(b"\n\n")).unwrap();
            let field = |name: &str| {
                chunk
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                return (name.to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn commits_and_configuration_changes_are_told() {
    let server = TestServer::new();
    let mut events = Sse::open(&server, "/api/ws/events");
    let before = server.database.visible_seq().get();
    for _ in 0..3 {
        server
            .client()
            .put_json("/api/v1/kv/a", r#"{"value":1}"#)
            .data();
    }
    let mut next = before + 1;
    while next <= before + 3 {
        let (name, event) = events.next();
        assert_eq!(
            (name.as_str(), event["type"].as_str()),
            ("commit", Some("commit"))
        );
        assert_eq!(event["from_seq"], next, "no gaps");
        next = event["to_seq"].as_u64().unwrap() + 1;
        assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    server
        .admin()
        .put_json("/api/config", r#"{"security":{"rate_limit":7}}"#);
    let (name, event) = events.next();
    assert_eq!(
        (name.as_str(), &event["applied"][0]),
        ("config", &Value::from("security.rate_limit"))
    );
}

#[test]
fn samples_come_by_themselves() {
    let server = TestServer::new();
    let mut samples = Sse::open(&server, "/api/ws/metrics");
    let (name, first) = samples.next();
    assert_eq!(name, "sample");
    let (_, second) = samples.next();
    assert!(first["resources"]["memory_used_bytes"].is_u64());
    assert_ne!(first["timestamp"], second["timestamp"]);
}

/// A WebSocket handshake with the key of RFC 6455.
fn handshake(server: &TestServer, extra: &str) -> Wire {
    let mut wire = Wire::connect(server.address);
    wire.send(format!("GET /api/ws/events HTTP/1.1\r\nHost: a\r\nAuthorization: {ADMIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{extra}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").as_bytes());
    wire
}

/// Kind and payload of the next frame; the server's frames are not masked.
fn frame(wire: &mut Wire) -> (u8, Vec<u8>) {
    let head = wire.take(2);
    let len = match head[1] {
        126 => usize::from(u16::from_be_bytes(wire.take(2).try_into().unwrap())),
        short => usize::from(short),
    };
    (head[0] & 15, wire.take(len))
}

#[test]
fn a_websocket_tells_the_same() {
    let server = TestServer::new();
    let mut wire = handshake(&server, "Sec-WebSocket-Version: 13\r\n");
    let answer = wire.answer(false);
    assert_eq!(
        (answer.status, answer.header("sec-websocket-accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    );
    server
        .client()
        .put_json("/api/v1/kv/a", r#"{"value":1}"#)
        .data();
    let (kind, payload) = frame(&mut wire);
    let event: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((kind, event["type"].as_str()), (1, Some("commit")));
    // A ping of ours, masked as clients must, is answered; then we say goodbye.
    wire.send(&[0x89, 0x81, 1, 2, 3, 4, b'x' ^ 1]);
    assert_eq!(frame(&mut wire), (10, b"x".to_vec()));
    wire.send(&[0x88, 0x80, 0, 0, 0, 0]);
    assert_eq!(frame(&mut wire).0, 8);
    let bad = handshake(&server, "").answer(false);
    assert_eq!(bad.admin_failure(), (400, "invalid_request".into()));
}

#[test]
fn streams_are_limited_and_end_with_the_server() {
    let mut setup = Setup::default();
    setup.config.streams_max = 1;
    let mut server = setup.start();
    let mut first = Sse::open(&server, "/api/ws/metrics");
    first.next();
    let second = server.admin().get("/api/ws/metrics");
    assert_eq!(second.admin_failure(), (503, "pool_exhausted".into()));
    assert!(server.stop(), "streams end by themselves at shutdown");
}
