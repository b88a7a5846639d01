//! Import and export: round trips, interruptions, bad lines.

use std::process::Stdio;

use crate::program::{Place, Server};

/// The keys and values of a server, as its list shows them.
fn content(server: &Server, place: &Place) -> serde_json::Value {
    let listed = server.client(place, &["list", "kv", "--all", "--values", "-o", "json"]);
    let mut all: serde_json::Value = serde_json::from_str(listed.ok()).unwrap();
    for item in all.as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        item.remove("version");
        // What is left of a life runs down between two looks.
        for left in ["ttl", "ttl_ms"] {
            let lives = item.remove(left).is_some_and(|left| left.is_u64());
            item.insert(left.to_owned(), lives.into());
        }
    }
    all
}

fn lines(count: usize) -> String {
    (0..count)
        .map(|n| format!("{{\"key\":\"k{n:06}\",\"value\":{{\"n\": {n}}}}}\n"))
        .collect()
}

fn count(server: &Server) -> u64 {
    server.request("GET", "/api/v1/kv?limit=1", None, "").1["meta"]["total"]
        .as_u64()
        .unwrap()
}

#[test]
fn round_trips_keep_every_byte_in_both_formats() {
    let place = Place::new();
    let server = place.serve();
    let input = [
        r#"{"key":"text","value":"a,\"b\"\nc"}"#,
        r#"{"key":"empty","value":""}"#,
        r#"{"key":{"base64":"/wAK"},"value":{"base64":"AP8KDQ=="}}"#,
        r#"{"key":"json","value":{"b": 1.50, "a": [ ]}}"#,
        r#"{"key":"look-alike","value":"{\"base64\":\"AA==\"}"}"#,
        r#"{"key":"json look-alike","value":"{\"base64\":\"AA==\"}","content_type":"application/json"}"#,
        r#"{"key":"image","value":{"base64":"iVBORw=="},"content_type":"image/png","tags":["x"]}"#,
        r#"{"key":"lines\r\n","value":"{\n}","content_type":"application/json"}"#,
        r#"{"key":"short","value":"lived","ttl_ms":3600000}"#,
    ];
    place.write("in.jsonl", input.join("\n"));
    let imported = server.client(&place, &["import", "in.jsonl"]);
    assert!(
        imported.ok().starts_with("9 entries stored"),
        "{imported:?}"
    );
    assert_eq!(
        server.client(&place, &["get", "kv", "json"]).ok(),
        r#"{"b": 1.50, "a": [ ]}"#
    );
    let original = content(&server, &place);
    for file in ["out.jsonl", "out.csv"] {
        let exported = server.client(&place, &["export", file]);
        assert!(
            exported.ok().starts_with("9 entries written"),
            "{exported:?}"
        );
        let other = Place::new();
        other.write(file, place.read(file));
        let server = other.serve();
        server.client(&other, &["import", file]).ok();
        assert_eq!(content(&server, &other), original, "{file}");
    }
    let left: Vec<_> = std::fs::read_dir(place.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains(".mantis-")),
        "{left:?}"
    );
}

#[test]
fn pipes_are_read_and_written() {
    let place = Place::new();
    let server = place.serve();
    server
        .client_with_input(
            &place,
            &["import", "-", "--prefix", "p/"],
            lines(3).as_bytes(),
        )
        .ok();
    let csv = b"key,value\r\nc,\"1\r\n2\"\r\n";
    server
        .client_with_input(&place, &["import", "-", "--format", "csv"], csv)
        .ok();
    assert_eq!(server.get("c").as_deref(), Some("1\r\n2"));
    let out = server.client(&place, &["export", "-", "--prefix", "p/"]);
    assert_eq!(out.ok(), lines(3).replace("\"k0", "\"p/k0"));
}

#[test]
fn sixty_thousand_lines_take_seconds() {
    let place = Place::new();
    let server = place.serve_with(&["--log-level", "warn"], &[]);
    place.write("in.jsonl", lines(60_000));
    let imported = server.client(&place, &["import", "in.jsonl", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(imported.ok()).unwrap();
    assert_eq!(
        (answer["stored"].as_u64(), count(&server)),
        (Some(60_000), 60_000)
    );
    println!("60,000 lines in {} s", answer["seconds"]);
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let place = Place::new();
    let server = place.serve_with(&["--log-level", "warn"], &[]);
    place.write("in.jsonl", lines(40_000));
    let mut command = place.command();
    command
        .args(["import", "in.jsonl"])
        .env("MANTIS_URL", &server.url);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !place.path("in.jsonl.mantis-import").exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be interrupted"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(count(&server) < 40_000, "it was interrupted in the middle");
    let again = server.client(&place, &["import", "in.jsonl"]);
    again.ok();
    let line = again
        .err
        .lines()
        .find(|line| line.starts_with("going on at line "))
        .unwrap();
    let number: u64 = line
        .split(' ')
        .nth(4)
        .unwrap()
        .trim_end_matches(';')
        .parse()
        .unwrap();
    assert!(number > 1, "{line}");
    assert_eq!(count(&server), 40_000);
    assert!(!place.path("in.jsonl.mantis-import").exists());
}

#[test]
fn a_server_that_dies_interrupts_the_import_and_says_so() {
    let place = Place::new();
    let server = place.serve_with(&["--log-level", "warn"], &[]);
    let url = server.url.clone();
    place.write("in.jsonl", lines(40_000));
    let mut command = place.command();
    command.args(["import", "in.jsonl"]).env("MANTIS_URL", &url);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !place.path("in.jsonl.mantis-import").exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be interrupted"
        );
        std::thread::yield_now();
    }
    server.kill();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("interrupted after ") && complaint.contains("goes on from there"),
        "{complaint}"
    );
    let server = place.serve_with(&["--log-level", "warn"], &[]);
    let other = server.client(&place, &["import", "in.jsonl"]);
    assert!(
        other.refused(1).contains("--restart"),
        "another server is another import: {other:?}"
    );
    server
        .client(&place, &["import", "in.jsonl", "--restart"])
        .ok();
    assert_eq!(count(&server), 40_000);
}

#[test]
fn a_bad_line_stops_with_its_number_and_the_rest_follows_when_it_is_corrected() {
    let place = Place::new();
    let server = place.serve();
    let good = lines(2500);
    let bad = good.replace("{\"key\":\"k001234\",", "{\"kye\":\"k001234\",");
    place.write("in.jsonl", &bad);
    let stopped = server.client(&place, &["import", "in.jsonl"]);
    let complaint = stopped.refused(1);
    assert!(
        complaint.contains("line 1235: unknown field `kye`"),
        "{complaint}"
    );
    assert!(
        complaint.contains("1,234 entries are stored"),
        "{complaint}"
    );
    assert_eq!(count(&server), 1234);
    place.write("in.jsonl", &good);
    let again = server.client(&place, &["import", "in.jsonl"]);
    assert!(again.ok().starts_with("2,500 entries stored"), "{again:?}");
    assert!(again.err.contains("going on at line 1235"), "{again:?}");
    assert_eq!(count(&server), 2500);
}

#[test]
fn what_the_server_refuses_is_named_by_its_line() {
    let place = Place::new();
    let server = place.serve();
    let long = "k".repeat(40_000);
    let text = format!("{}{{\"key\":\"{long}\",\"value\":1}}\n", lines(5));
    place.write("in.jsonl", text);
    let refused = server.client(&place, &["import", "in.jsonl"]);
    let complaint = refused.refused(1);
    assert!(
        complaint.contains("line 6: ") && complaint.contains("key_bytes_max"),
        "{complaint}"
    );
    assert_eq!(count(&server), 5);
}

#[test]
fn bad_lines_can_be_put_aside_and_none_is_dropped() {
    let place = Place::new();
    let server = place.serve();
    place.write("in.csv", "key,value,ttl_ms\na,1,\nb,2\nc,3,soon\nd,4,\n");
    let ended = server.client(&place, &["import", "in.csv", "--on-bad-line", "skip"]);
    assert!(
        ended
            .refused(1)
            .contains("2 lines were not stored; they are in in.csv.rejected"),
        "{ended:?}"
    );
    assert!(ended.text().starts_with("2 entries stored"), "{ended:?}");
    let rejected: Vec<serde_json::Value> = place
        .read("in.csv.rejected")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = rejected
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), r["text"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(3, "b,2"), (4, "c,3,soon")]);
    assert_eq!(
        (server.get("d").as_deref(), server.get("b")),
        (Some("4"), None)
    );
}

#[test]
fn files_that_are_no_import_are_refused_with_the_reason() {
    let place = Place::new();
    let server = place.serve();
    place.write("in.csv", "key,valeu\na,1\n");
    assert!(
        server
            .client(&place, &["import", "in.csv"])
            .refused(1)
            .contains("did you mean value?")
    );
    assert!(
        server
            .client(&place, &["import", "nowhere"])
            .refused(1)
            .contains("cannot read nowhere")
    );
    place.write("in.jsonl", "");
    assert!(
        server
            .client(&place, &["import", "in.jsonl"])
            .ok()
            .starts_with("0 entries")
    );
}

#[test]
fn an_export_that_was_interrupted_goes_on() {
    let place = Place::new();
    let server = place.serve();
    place.write("in.jsonl", lines(300));
    server.client(&place, &["import", "in.jsonl"]).ok();
    server.client(&place, &["export", "whole.jsonl"]).ok();
    // What an interruption after the first page leaves behind, with half a line at the end.
    let whole = place.read("whole.jsonl");
    let page: String = whole
        .lines()
        .take(64)
        .map(|line| format!("{line}\n"))
        .collect();
    let (_, answer) = server.request("GET", "/api/v1/kv?limit=64", None, "");
    let progress = serde_json::json!({
        "cursor": answer["meta"]["next_cursor"], "offset": page.len(), "written": 64,
        "server": server.url, "prefix": "", "format": "Jsonl",
    });
    place.write("out.jsonl.mantis-part", format!("{page}{{\"key\":"));
    place.write("out.jsonl.mantis-export", progress.to_string());
    let again = server.client(&place, &["export", "out.jsonl"]);
    assert!(again.err.contains("going on after 64 entries"), "{again:?}");
    again.ok();
    assert_eq!(place.read("out.jsonl"), whole);
    assert!(
        server
            .client(&place, &["export", "out.jsonl"])
            .refused(1)
            .contains("--force")
    );
    server
        .client(&place, &["export", "out.jsonl", "--force"])
        .ok();
}
