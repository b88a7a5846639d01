//! Connections over their life: limits, keep-alive, shutdown.

use std::net::TcpStream;

use crate::client::Wire;
use crate::server::{Setup, TestServer};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

#[test]
fn a_connection_serves_many_requests() {
    let server = TestServer::new();
    let mut wire = Wire::connect(server.address);
    for _ in 0..50 {
        wire.send(LIVE);
        assert_eq!(wire.answer(false).status, 200);
    }
    wire.send(&LIVE.repeat(20));
    for _ in 0..20 {
        assert_eq!(wire.answer(false).status, 200);
    }
}

#[test]
fn connections_beyond_the_limit_are_told_and_closed() {
    let mut setup = Setup::default();
    setup.config.connections_max = 2;
    let server = setup.start();
    let mut held: Vec<Wire> = (0..2).map(|_| Wire::connect(server.address)).collect();
    for wire in &mut held {
        wire.send(LIVE);
        assert_eq!(wire.answer(false).status, 200);
    }
    let mut extra = Wire::connect(server.address);
    let answer = extra.answer(false);
    assert_eq!(answer.failure(), (503, "pool_exhausted".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(extra.is_closed());
    held.pop();
    let served = (0..1000).any(|_| {
        let mut wire = Wire::connect(server.address);
        wire.send_lenient(LIVE);
        wire.answer(false).status == 200
    });
    assert!(served, "a place is free again");
}

#[test]
fn shutdown_finishes_what_has_begun_and_accepts_nothing_more() {
    let mut server = TestServer::new();
    let mut idle = Wire::connect(server.address);
    idle.send(LIVE);
    assert_eq!(idle.answer(false).status, 200);
    let mut busy = Wire::connect(server.address);
    busy.send(b"PUT /api/v1/kv/late HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    busy.until(b"100 Continue\r\n\r\n");
    busy.send(b"la");
    server.begin_stop();
    assert!(idle.is_closed(), "an idle connection is closed at once");
    busy.send(b"te");
    assert_eq!(busy.answer(false).status, 200);
    assert!(busy.is_closed());
    assert!(server.stop(), "nothing had to be cut");
    assert!(TcpStream::connect(server.address).is_err());
    server.database.close().unwrap();
}

#[test]
fn a_request_that_never_ends_is_cut_when_the_grace_is_over() {
    let mut setup = Setup::default();
    setup.config.shutdown_grace = std::time::Duration::from_millis(100);
    let mut server = setup.start();
    let mut stuck = Wire::connect(server.address);
    stuck.send(b"PUT /api/v1/kv/never HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    stuck.until(b"100 Continue\r\n\r\n");
    assert!(!server.stop(), "it had to be cut");
    assert!(stuck.is_closed());
}

#[test]
fn a_request_takes_no_longer_than_its_limit() {
    let mut setup = Setup::default();
    setup.settings.request_timeout = std::time::Duration::from_millis(200);
    let server = setup.start();
    let mut slow = Wire::connect(server.address);
    slow.send(b"PUT /api/v1/kv/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\nab");
    assert_eq!(slow.answer(false).failure(), (408, "timeout".into()));
    let mut own = Wire::connect(server.address);
    own.send(b"PUT /api/v1/kv/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Mantis-Timeout-Ms: 20\r\nContent-Length: 4\r\n\r\nab");
    assert_eq!(
        own.answer(false).failure(),
        (408, "deadline_exceeded".into())
    );
    assert_eq!(server.client().get("/api/v1/kv/slow").status, 404);
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let mut setup = Setup::default();
    setup.config.write_stall_timeout = std::time::Duration::from_millis(200);
    let mut server = setup.start();
    server
        .client()
        .put_raw("/api/v1/kv/big", "a/b", &vec![7; 9 << 20])
        .data();
    let mut deaf = Wire::connect(server.address);
    deaf.send(b"GET /api/v1/kv/big HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: a/b\r\n\r\n");
    let open = || {
        let text = server.client().get("/metrics");
        let line = text
            .text()
            .lines()
            .find(|line| line.starts_with("mantisdb_active_connections"))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap()
    };
    let clock = server.database.env().clock();
    let cut = (0..200).any(|_| {
        clock.sleep(std::time::Duration::from_millis(20));
        open() == 1
    });
    assert!(cut, "only the connection that asks is open");
    drop(deaf);
    assert!(server.stop());
}
