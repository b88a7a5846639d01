//! What arrives as bytes: requests that two parsers could read in two ways, and limits of heads.

use std::time::Duration;

use crate::client::{Answer, Wire};
use crate::server::{Setup, TestServer};

fn refused(server: &TestServer, bytes: &[u8]) -> Answer {
    let mut wire = Wire::connect(server.address);
    wire.send_lenient(bytes);
    let answer = wire.answer(false);
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert!(wire.is_closed(), "nothing follows a refusal");
    answer
}

#[test]
fn ambiguous_requests_are_refused_in_the_envelope_and_closed() {
    let server = TestServer::new();
    server
        .client()
        .put_json("/api/v1/kv/safe", r#"{"value":1}"#)
        .data();
    for request in [
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
        "PUT /api/v1/kv/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "PUT /api/v1/kv/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /health HTTP/1.1\nHost: a\n\n",
        "GET /health HTTP/1.1\r\nHost: a\n\r\n",
        "GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /health HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /hea lth HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET health HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(
            refused(&server, request.as_bytes()).failure(),
            (400, "invalid_request".into()),
            "{request:?}"
        );
    }
    assert_eq!(server.client().get("/api/v1/kv/x").status, 404);
}

#[test]
fn a_smuggled_request_is_never_executed() {
    let server = TestServer::new();
    let hidden = "DELETE /api/v1/kv/safe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    server
        .client()
        .put_json("/api/v1/kv/safe", r#"{"value":1}"#)
        .data();
    let chunked = format!(
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    assert_eq!(refused(&server, chunked.as_bytes()).status, 400);
    let length = format!(
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    assert_eq!(refused(&server, length.as_bytes()).status, 400);
    assert_eq!(server.client().get("/api/v1/kv/safe").status, 200);
}

#[test]
fn good_requests_before_a_bad_one_are_answered_first() {
    let server = TestServer::new();
    let good = "GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let put = "PUT /api/v1/kv/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\nok";
    let mut wire = Wire::connect(server.address);
    wire.send(format!("{good}{put}{good}BAD\n").as_bytes());
    for _ in 0..3 {
        assert_eq!(wire.answer(false).status, 200);
    }
    assert_eq!(
        wire.answer(false).failure(),
        (400, "invalid_request".into())
    );
    assert!(wire.is_closed());
}

#[test]
fn heads_have_limits_with_their_own_statuses() {
    let server = TestServer::new();
    for bytes in [70_000, 200_000] {
        let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(bytes));
        assert_eq!(
            refused(&server, target.as_bytes()).failure(),
            (414, "too_large".into())
        );
    }
    for bytes in [40_000, 2_000_000] {
        let header = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Big: {}\r\n\r\n",
            "a".repeat(bytes)
        );
        assert_eq!(
            refused(&server, header.as_bytes()).failure(),
            (431, "too_large".into())
        );
    }
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: 1\r\n".repeat(101)
    );
    assert_eq!(
        refused(&server, many.as_bytes()).failure(),
        (431, "too_large".into())
    );
    let endless = "a".repeat(300_000);
    assert_eq!(
        refused(&server, endless.as_bytes()).failure(),
        (414, "too_large".into())
    );
}

#[test]
fn a_slow_head_is_cut_off_in_time() {
    let mut setup = Setup::default();
    setup.config.header_read_timeout = Duration::from_millis(300);
    let server = setup.start();
    let mut wire = Wire::connect(server.address);
    wire.send(b"GET /health HTTP/1.1\r\nHost: a\r\n");
    let answer = wire.answer(false);
    assert_eq!(answer.failure(), (408, "timeout".into()));
    assert!(wire.is_closed());
}

#[test]
fn an_idle_connection_lives_longer_than_a_slow_head_and_ends_quietly() {
    let mut setup = Setup::default();
    setup.config.header_read_timeout = Duration::from_millis(100);
    setup.config.idle_timeout = Duration::from_millis(2000);
    let server = setup.start();
    let mut wire = Wire::connect(server.address);
    let request = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for _ in 0..2 {
        server
            .database
            .env()
            .clock()
            .sleep(Duration::from_millis(300));
        wire.send(request);
        assert_eq!(wire.answer(false).status, 200);
    }
    assert!(wire.is_closed(), "closed without an answer to nothing");
}

#[test]
fn a_connection_that_has_rested_serves_as_before() {
    let server = TestServer::new();
    let clock = server.database.env().clock();
    let mut wire = Wire::connect(server.address);
    let live = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    wire.send(live);
    assert_eq!(wire.answer(false).status, 200);
    // Longer than it takes until the HTTP library is taken away.
    let rest = || clock.sleep(Duration::from_millis(700));
    rest();
    // More than is read at once of what ends a rest.
    let value = "v".repeat(50_000);
    let put = format!(
        "PUT /api/v1/kv/rested HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{value}",
        value.len()
    );
    wire.send(put.as_bytes());
    assert_eq!(wire.answer(false).status, 200);
    rest();
    // A head in two pieces, with the next request behind it.
    wire.send(&live[..10]);
    clock.sleep(Duration::from_millis(50));
    wire.send(&[&live[10..], live].concat());
    assert_eq!(wire.answer(false).status, 200);
    assert_eq!(wire.answer(false).status, 200);
    rest();
    wire.send(b"GET / HTTP/1.1\n");
    assert_eq!(
        wire.answer(false).failure(),
        (400, "invalid_request".into())
    );
    let stored = server.client().with("Accept", "text/plain");
    assert_eq!(stored.get("/api/v1/kv/rested").text(), value);
}

#[test]
fn a_body_that_breaks_off_or_is_malformed_stores_nothing() {
    let server = TestServer::new();
    let mut wire = Wire::connect(server.address);
    wire.send(
        b"PUT /api/v1/kv/x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    wire.send(b"3\r\nabc\r\nZZ\r\n");
    assert_eq!(
        wire.answer(false).failure(),
        (400, "invalid_request".into())
    );
    assert_eq!(server.client().get("/api/v1/kv/x").status, 404);
}

#[test]
fn chunked_bodies_arrive_whole() {
    let server = TestServer::new();
    let mut wire = Wire::connect(server.address);
    wire.send(b"PUT /api/v1/kv/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    assert!(
        String::from_utf8(wire.until(b"\r\n\r\n"))
            .unwrap()
            .starts_with("HTTP/1.1 100 ")
    );
    wire.send(b"3\r\nabc\r\n");
    wire.send(b"2;x=y\r\nd\n\r\n0\r\n\r\n");
    assert_eq!(wire.answer(false).status, 200);
    wire.send(b"GET /api/v1/kv/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: a/b\r\n\r\n");
    assert_eq!(
        wire.answer(false).body,
        b"abcd\n",
        "and the connection goes on"
    );
}

#[test]
fn an_early_refusal_reaches_a_client_that_still_sends() {
    let server = TestServer::new();
    let mut wire = Wire::connect(server.address);
    wire.send(b"PUT /api/v1/kv/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 12000000\r\n\r\n");
    for _ in 0..120 {
        wire.send_lenient(&[b'x'; 100_000]);
    }
    assert_eq!(wire.answer(false).failure(), (413, "too_large".into()));
}

#[test]
fn http_1_0_and_absolute_targets_are_served() {
    let server = TestServer::new();
    for request in [
        "GET /health/live HTTP/1.0\r\n\r\n",
        "GET http://127.0.0.1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "\r\nGET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ] {
        let mut wire = Wire::connect(server.address);
        wire.send(request.as_bytes());
        assert_eq!(wire.answer(false).status, 200, "{request:?}");
    }
}

#[test]
fn every_character_of_a_target_is_answered_in_the_envelope() {
    let server = TestServer::new();
    let mut refused = 0;
    for byte in b'!'..=b'~' {
        let target = format!("/api/v1/nothing/{}x", char::from(byte));
        let mut wire = Wire::connect(server.address);
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes());
        let (status, code) = wire.answer(false).failure();
        refused += u32::from(status == 400);
        let expected = if status == 400 {
            "invalid_request"
        } else {
            "not_found"
        };
        assert_eq!(code, expected, "{target}");
        assert!(matches!(status, 400 | 404), "{target}: {status}");
    }
    assert!(refused > 0, "the library below refuses some, in our words");
    for target in ["http://[::1/x", "http://:80:80/", "https://", "*"] {
        let mut wire = Wire::connect(server.address);
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes());
        assert!(
            matches!(wire.answer(false).failure().0, 400 | 404),
            "{target}"
        );
    }
}

#[test]
fn what_the_library_refuses_after_a_good_request_is_answered_too() {
    let server = TestServer::new();
    let mut wire = Wire::connect(server.address);
    wire.send(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(wire.answer(false).status, 200);
    wire.send(b"GET http://[::1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let answer = wire.answer(false);
    assert_eq!(answer.failure(), (400, "invalid_request".into()));
    assert!(wire.is_closed());
}
