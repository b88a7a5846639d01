//! The verbs of a client against a running server.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::program::Place;

#[test]
fn values_go_in_and_come_out_byte_by_byte() {
    let place = Place::new();
    let server = place.serve();
    let run = |arguments: &[&str]| server.client(&place, arguments);
    assert_eq!(
        run(&["put", "kv", "a", "hello"]).ok(),
        "created, version 1\n"
    );
    assert_eq!(
        run(&["put", "kv", "a", "hello again"]).ok(),
        "replaced, version 2\n"
    );
    assert_eq!(run(&["get", "kv", "a"]).ok(), "hello again");
    let binary: Vec<u8> = (0..=255).collect();
    let key = OsStr::from_bytes(b"\xff\x01/..");
    place.write("value", &binary);
    let put = ["put", "kv"].map(OsStr::new);
    let put = [&put[..], &[key, OsStr::new("--file"), OsStr::new("value")]].concat();
    server.client(&place, &put).ok();
    let get = [OsStr::new("get"), OsStr::new("kv"), key];
    assert_eq!(server.client(&place, &get).out, binary);
    assert_eq!(run(&["get", "kv", "--base64", "/wEvLi4="]).out, binary);
    let piped = server.client_with_input(&place, &["put", "kv", "p", "--file", "-"], &binary);
    piped.ok();
    assert_eq!(run(&["get", "kv", "p"]).out, binary);
}

#[test]
fn json_is_checked_and_stored_digit_by_digit() {
    let place = Place::new();
    let server = place.serve();
    let run = |arguments: &[&str]| server.client(&place, arguments);
    run(&[
        "put",
        "kv",
        "j",
        "{\"b\": 1.50, \"a\":[]}",
        "--type",
        "json",
        "--tag",
        "t",
    ])
    .ok();
    assert_eq!(run(&["get", "kv", "j"]).ok(), "{\"b\": 1.50, \"a\":[]}");
    assert!(
        run(&["put", "kv", "j", "{", "--type", "json"])
            .refused(2)
            .contains("no JSON")
    );
    let shown: serde_json::Value =
        serde_json::from_str(run(&["inspect", "kv", "j", "-o", "json"]).ok()).unwrap();
    assert_eq!(shown["content_type"], "application/json");
    assert_eq!(shown["size_bytes"], 19);
}

#[test]
fn inspect_shows_the_tags_of_that_very_key() {
    let place = Place::new();
    let server = place.serve();
    let run = |arguments: &[&str]| server.client(&place, arguments);
    run(&["put", "kv", "k", "v", "--tag", "a", "--tag", "b"]).ok();
    run(&["put", "kv", "k2", "v", "--tag", "c"]).ok();
    let row = |key: &str| {
        let shown = run(&["inspect", "kv", key]);
        let found = shown.ok().lines().find(|line| line.starts_with("tags"));
        let words = found.unwrap().split_whitespace().skip(1);
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!((row("k"), row("k2")), ("a, b".into(), "c".into()));
    run(&["put", "kv", "k", "v"]).ok();
    assert_eq!(row("k"), "-");
    let json = run(&["inspect", "kv", "k2", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(json.ok()).unwrap();
    assert_eq!(json["tags"], serde_json::json!(["c"]));
    run(&["delete", "kv", "k", "--force"]).ok();
    let longer_only = run(&["inspect", "kv", "k"]);
    assert!(longer_only.refused(1).contains("no such key"));
}

#[test]
fn absent_keys_are_failures_with_a_sentence() {
    let place = Place::new();
    let server = place.serve();
    let run = |arguments: &[&str]| server.client(&place, arguments);
    assert!(
        run(&["get", "kv", "nothing"])
            .refused(1)
            .contains("there is no such key")
    );
    assert!(
        run(&["inspect", "kv", "nothing"])
            .refused(1)
            .contains("there is no such key")
    );
    assert_eq!(
        run(&["delete", "kv", "nothing", "--force"]).ok(),
        "there was no such key\n"
    );
}

#[test]
fn delete_asks_unless_it_is_forced() {
    let place = Place::new();
    let server = place.serve();
    server.put("k", "v");
    let run = |arguments: &[&str]| server.client(&place, arguments);
    assert!(run(&["delete", "kv", "k"]).refused(2).contains("--force"));
    assert_eq!(server.get("k").as_deref(), Some("v"));
    assert_eq!(run(&["delete", "kv", "k", "--force"]).ok(), "deleted\n");
    assert_eq!(server.get("k"), None);
}

#[test]
fn lists_are_pages_in_byte_order() {
    let place = Place::new();
    let server = place.serve();
    for number in 0..12 {
        server.put(&format!("k{number:02}"), &number.to_string());
    }
    let run = |arguments: &[&str]| server.client(&place, arguments);
    assert_eq!(run(&["list", "kv", "--limit", "3"]).ok(), "k00\nk01\nk02\n");
    assert_eq!(
        run(&["list", "kv", "--prefix", "k1", "--reverse"]).ok(),
        "k11\nk10\n"
    );
    assert_eq!(run(&["list", "kv", "--all"]).ok().lines().count(), 12);
    assert_eq!(
        run(&["list", "kv", "--limit", "1", "--values"]).ok(),
        "k00\t0\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(run(&["list", "kv", "--limit", "2", "--values", "-o", "json"]).ok())
            .unwrap();
    assert_eq!(
        (json[1]["key"].as_str(), json[1]["value"].as_str()),
        (Some("k01"), Some("1"))
    );
    assert_eq!(
        run(&["list", "kv", "--prefix", "none", "-o", "json"]).ok(),
        "[]\n"
    );
}

#[test]
fn a_time_to_live_is_shown_and_kept() {
    let place = Place::new();
    let server = place.serve();
    let run = |arguments: &[&str]| server.client(&place, arguments);
    run(&["put", "kv", "k", "v", "--ttl", "1h"]).ok();
    assert!(
        run(&["inspect", "kv", "k"]).ok().contains(" s more"),
        "an hour is left"
    );
    run(&["put", "kv", "k", "v"]).ok();
    assert!(
        run(&["inspect", "kv", "k"]).ok().contains("for ever"),
        "a put without one clears it"
    );
    assert!(
        run(&["put", "kv", "k", "v", "--ttl", "soon"])
            .refused(2)
            .contains("--ttl must be a time")
    );
}

#[test]
fn a_server_can_be_looked_at() {
    let place = Place::new();
    let server = place.serve();
    server.put("k", "v");
    let run = |arguments: &[&str]| server.client(&place, arguments);
    let connected = run(&["connect", "--ping"]);
    assert!(
        connected.ok().contains("is mantisdb ") && connected.text().contains("5 pings"),
        "{connected:?}"
    );
    let stats = run(&["stats"]);
    assert!(
        stats
            .ok()
            .lines()
            .any(|line| line.starts_with("kv.keys") && line.ends_with(" 1")),
        "{stats:?}"
    );
    assert!(run(&["stats", "--detailed"]).ok().lines().count() > stats.text().lines().count());
    let json: serde_json::Value =
        serde_json::from_str(run(&["stats", "--format", "json"]).ok()).unwrap();
    assert_eq!(json["kv"]["writes"], 1);
    let monitored = run(&["monitor", "-i", "1", "-n", "1", "-o", "json"]);
    let line: serde_json::Value = serde_json::from_str(monitored.ok()).unwrap();
    assert_eq!(line["keys"], 1);
    assert!(line["writes_per_second"].is_number(), "{line}");
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let place = Place::new();
    let server = place.serve();
    let url = server.url.clone();
    server.kill();
    let ended = place.run(&["get", "kv", "k", "-H", &url]);
    assert!(
        ended.refused(1).contains("is the server running?"),
        "{ended:?}"
    );
    assert!(
        place
            .run(&["get", "kv", "k", "-H", "ftp://x"])
            .refused(2)
            .contains("http://HOST:PORT")
    );
    assert!(
        place
            .run(&["get", "kv", "k", "-H", "https://x"])
            .refused(2)
            .contains("--ca")
    );
}

#[test]
fn tokens_are_asked_for_and_given() {
    let place = Place::new();
    let server = place.serve_with(
        &[],
        &[("MANTIS_ENV", "staging"), ("MANTIS_ADMIN_TOKEN", "tok")],
    );
    let run = |arguments: &[&str]| server.client(&place, arguments);
    assert!(run(&["list", "kv"]).refused(1).contains("MANTIS_TOKEN"));
    assert!(
        run(&["list", "kv", "-t", "wrong"])
            .refused(1)
            .contains("not accepted")
    );
    run(&["list", "kv", "-t", "tok"]).ok();
    let with_variable = [("MANTIS_URL", server.url.as_str()), ("MANTIS_TOKEN", "tok")];
    place.run_with(&["list", "kv"], &with_variable, b"").ok();
}

#[test]
fn the_client_speaks_tls_to_a_server_it_can_check() {
    let place = Place::new();
    let made = std::process::Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(place.path(""))
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("SKIP the_client_speaks_tls_to_a_server_it_can_check: needs openssl on the path");
        return;
    }
    let server = place.serve_with(
        &[],
        &[
            ("MANTIS_TLS_CERT", "cert.pem"),
            ("MANTIS_TLS_KEY", "key.pem"),
        ],
    );
    let url = server.url.replace("http://", "https://");
    place
        .run(&["put", "kv", "k", "v", "-H", &url, "--ca", "cert.pem"])
        .ok();
    assert_eq!(
        place
            .run(&["get", "kv", "k", "-H", &url, "--ca", "cert.pem"])
            .ok(),
        "v"
    );
    assert_eq!(place.run(&["get", "kv", "k", "-H", &server.url]).code, 1);
}
