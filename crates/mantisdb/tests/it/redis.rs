//! The Redis listener of the program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::program::Place;

/// Sends lines, and reads as many replies of one line.
fn talk(address: &str, lines: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    for line in lines {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }
    stream.write_all(b"QUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn redis_clients_and_http_share_their_keys_and_writes_survive_kill_9() {
    let place = Place::new();
    let start = || place.serve_with(&["--resp-port", "0"], &[]);
    let server = start();
    let replies = talk(
        &server.resp,
        &["SET greeting hello", "APPEND greeting !", "INCR n"],
    );
    assert_eq!(replies, ["+OK", ":6", ":1", "+OK"]);
    assert_eq!(server.get("greeting").as_deref(), Some("hello!"));
    server.put("greeting", "bye");
    server.kill();
    let server = start();
    assert_eq!(
        talk(&server.resp, &["GET greeting", "INCR n"]),
        ["$3", "bye", ":2", "+OK"]
    );
    let log = server.end_and_read_log();
    assert!(log.iter().any(|line| line.contains("shut down")), "{log:?}");
}

#[test]
fn passwords_are_the_secrets_of_the_server() {
    let place = Place::new();
    let environment = [
        ("MANTIS_ENV", "staging"),
        ("MANTIS_ADMIN_TOKEN", "a-long-admin-token"),
        ("MANTIS_SECURITY_API_KEYS", "a-data-key"),
    ];
    let server = place.serve_with(&["--resp-port", "0"], &environment);
    let replies = talk(&server.resp, &["GET a", "AUTH wrong"]);
    assert!(replies[0].starts_with("-NOAUTH") && replies[1].starts_with("-WRONGPASS"));
    for secret in ["a-data-key", "a-long-admin-token"] {
        let sign_in = format!("AUTH {secret}");
        assert_eq!(
            talk(&server.resp, &[&sign_in, "SET a 1"])[..2],
            ["+OK", "+OK"]
        );
    }
}

#[test]
fn it_is_off_unless_asked_for_and_not_for_other_machines_without_tls() {
    let place = Place::new();
    assert_eq!(place.serve().resp, "");
    let open = [
        "serve",
        "--env=staging",
        "--host=0.0.0.0",
        "--resp-port=0",
        "--port=0",
    ];
    let environment = [("MANTIS_ADMIN_TOKEN", "a-long-admin-token")];
    let refused = place.run_with(&open, &environment, b"");
    assert!(
        refused.refused(78).contains("server.resp_port"),
        "{refused:?}"
    );
    let wrong = place.run(&["serve", "--resp-port=x"]);
    assert!(wrong.refused(2).contains("server.resp_port"), "{wrong:?}");
}
