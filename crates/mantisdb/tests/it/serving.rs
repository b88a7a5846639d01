//! Starting, ending, dying and coming back.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::program::Place;

#[test]
fn acknowledged_writes_survive_kill_9() {
    let place = Place::new();
    let server = place.serve();
    for number in 0..50 {
        server.put(&format!("k{number}"), &format!("v{number}"));
    }
    server.kill();
    let server = place.serve();
    for number in 0..50 {
        assert_eq!(
            server.get(&format!("k{number}")),
            Some(format!("v{number}"))
        );
    }
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let server = place.serve();
        server.put("k", "v");
        assert_eq!(server.end_by(signal), Some(0));
        let server = place.serve();
        assert_eq!(server.get("k").as_deref(), Some("v"));
        server.wait_for_log("ready");
    }
}

#[test]
fn a_small_buffer_serves_smaller_values() {
    for (size, largest) in [("1MB", 512 << 10), ("16MB", 8 << 20)] {
        let place = Place::new();
        let flag = format!("--buffer-size={size}");
        let server = place.serve_with(&[flag.as_str()], &[]);
        let put = |bytes: usize| {
            place.write("value", vec![b'v'; bytes]);
            server.client(&place, &["put", "kv", "k", "--file", "value"])
        };
        put(largest).ok();
        let refused = put(largest + 1);
        assert!(
            refused.refused(1).contains("limits.max_value_size"),
            "{refused:?}"
        );
        let kept = server.client(&place, &["get", "kv", "k"]).out;
        assert_eq!(kept.len(), largest);
    }
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let place = Place::new();
    let server = place.serve();
    let second = place.run(&["serve", "--port", "0", "--data-dir", "data"]);
    let complaint = second.refused(1);
    assert!(
        complaint.contains("in use by another process (process "),
        "{complaint}"
    );
    server.put("still", "here");
}

#[test]
fn a_taken_port_is_said() {
    let place = Place::new();
    let server = place.serve();
    let port = server.url.rsplit(':').next().unwrap();
    let other = place.run(&["serve", "--port", port, "--data-dir", "other"]);
    assert!(other.refused(1).contains("cannot listen on"), "{other:?}");
}

#[test]
fn files_are_for_their_owner_only() {
    let place = Place::new();
    let server = place.serve();
    server.put("k", "v");
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    let mut dirs = vec![place.path("data")];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files += 1;
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
    assert!(files > 3);
}

#[test]
fn the_admin_token_is_made_shown_once_and_kept() {
    let place = Place::new();
    let server = place.serve();
    let line = server.wait_for_log("admin token: ");
    let token = line.split(' ').nth(2).unwrap();
    assert_eq!(place.read("data/admin_token").trim(), token);
    assert_eq!(server.request("GET", "/api/stats", Some(token), "").0, 200);
    assert_eq!(server.request("GET", "/api/stats", None, "").0, 401);
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    let server = place.serve();
    assert_eq!(server.request("GET", "/api/stats", Some(token), "").0, 200);
    let line = server.wait_for_log(" ready ");
    assert!(!line.contains("admin token"), "{line}");
}

#[test]
fn a_set_admin_token_is_the_only_one() {
    let place = Place::new();
    let environment = [
        ("MANTIS_ADMIN_TOKEN", "set-by-hand"),
        ("MANTIS_ENV", "staging"),
    ];
    let server = place.serve_with(&[], &environment);
    assert!(!place.path("data/admin_token").exists());
    let status = |token| server.request("GET", "/api/v1/kv", token, "").0;
    assert_eq!(
        (
            status(None),
            status(Some("wrong")),
            status(Some("set-by-hand"))
        ),
        (401, 401, 200)
    );
    let started = server.wait_for_log("ready");
    let line: serde_json::Value = serde_json::from_str(&started).unwrap();
    assert_eq!(line["level"], "INFO", "staging logs as JSON: {started}");
}

#[test]
fn log_lines_go_to_the_file_that_is_named() {
    let place = Place::new();
    place.write(
        "mantisdb.yaml",
        "logging:\n  output: file\n  file_path: server.log\n",
    );
    let server = place.serve();
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    let log = place.read("server.log");
    assert!(log.contains("ready") && log.contains("shut down"), "{log}");
    assert!(
        !log.contains(place.read("data/admin_token").trim()),
        "a log is no place for tokens"
    );
}

#[test]
fn slow_requests_are_said() {
    let place = Place::new();
    let server = place.serve_with(
        &["--log-level", "warn"],
        &[("MANTIS_SLOW_QUERY_THRESHOLD", "0")],
    );
    server.put("k", "v");
    let log = server.end_and_read_log();
    assert!(
        log.iter().all(|line| !line.contains("slow request")),
        "{log:?}"
    );
    let server = place.serve_with(
        &["--log-level", "warn"],
        &[("MANTIS_SLOW_QUERY_THRESHOLD", "1ms")],
    );
    let body = serde_json::json!({ "value": "v".repeat(5 << 20) }).to_string();
    assert_eq!(
        server.request("PUT", "/api/v1/kv/large", None, &body).0,
        200
    );
    let line = server.wait_for_log("slow request");
    assert!(
        line.contains("/api/v1/kv/{*key}") && !line.contains("large"),
        "{line}"
    );
}
