//! `/api/v1/changes` as events and as lines.

use serde_json::{Value, json};

use crate::client::{Client, Wire};
use crate::server::{ADMIN, Setup, TestServer};

/// An open stream.
struct Stream(Wire);

impl Stream {
    fn open(server: &TestServer, query: &str, headers: &str) -> Self {
        let mut wire = Wire::connect(server.address);
        let head = format!(
            "GET /api/v1/changes{query} HTTP/1.1\r\nHost: a\r\nAuthorization: {ADMIN}\r\n{headers}\r\n"
        );
        wire.send(head.as_bytes());
        let head = String::from_utf8(wire.until(b"\r\n\r\n")).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self(wire)
    }

    /// Name, id and data of the next event.
    fn event(&mut self) -> (String, String, Value) {
        loop {
            let chunk = String::from_utf8(self.0.until(b"\n\n")).unwrap();
            let field = |name: &str| {
                let line = chunk.lines().find_map(|line| line.strip_prefix(name));
                line.map(|line| line.trim().to_owned())
            };
            if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                let data = serde_json::from_str(&data).unwrap();
                return (name, field("id:").unwrap_or_default(), data);
            }
        }
    }
}

fn put(client: &Client, key: &str, value: &str) -> u64 {
    let body = json!({ "value": value }).to_string();
    let done = client.put_json(&format!("/api/v1/kv/{key}"), &body);
    done.data()["version"].as_u64().unwrap()
}

/// All lines of a stream that ends.
fn lines(client: &Client, query: &str) -> Vec<Value> {
    let client = client.clone().with("Accept", "application/x-ndjson");
    let answer = client.get(&format!("/api/v1/changes{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines = answer.text().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn commits_are_told_as_events_and_a_client_that_comes_back_goes_on() {
    let server = TestServer::new();
    let client = server.client();
    let mut stream = Stream::open(&server, "", "");
    let first = put(&client, "a", "1");
    client.delete("/api/v1/kv/a");
    let (name, id, data) = stream.event();
    assert_eq!((name.as_str(), id), ("commit", first.to_string()));
    assert_eq!(
        (&data["seq"], &data["origin"]),
        (&json!(first), &json!("http"))
    );
    assert!(data["time"].as_str().unwrap().ends_with('Z'));
    let change = &data["changes"][0];
    assert_eq!(
        (&change["op"], &change["key"]),
        (&json!("put"), &json!("a"))
    );
    assert!(change.get("value").is_none());
    let (_, _, data) = stream.event();
    assert_eq!(
        data["changes"],
        json!([{"op": "delete", "space": "kv", "key": "a"}])
    );
    drop(stream);
    let second = put(&client, "b", "2");
    // A browser repeats the address that it was given: the id counts.
    let again = format!("Last-Event-ID: {}\r\n", first + 1);
    let mut stream = Stream::open(&server, "?since=0&values=true", &again);
    let (_, id, data) = stream.event();
    assert_eq!(id, second.to_string());
    assert_eq!(data["changes"][0]["value"], "2");
}

#[test]
fn old_values_come_when_they_are_asked_for() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "1");
    let mut stream = Stream::open(&server, "?values=true&old=true", "");
    put(&client, "a", "2");
    client.delete("/api/v1/kv/a");
    put(&client, "b", "1");
    let (_, _, data) = stream.event();
    let change = &data["changes"][0];
    assert_eq!(
        (&change["value"], &change["old"]["value"]),
        (&json!("2"), &json!("1"))
    );
    assert_eq!(change["old"]["value_bytes"], 1);
    assert!(change.get("old_unknown").is_none());
    let (_, _, data) = stream.event();
    assert_eq!(data["changes"][0]["old"]["value"], "2");
    let (_, _, data) = stream.event();
    assert_eq!(data["changes"][0].get("old"), Some(&Value::Null));
    drop(stream);
    // What was overwritten before is not known, and said to be so.
    let mut stream = Stream::open(&server, "?since=1&old=true", "");
    let (_, _, data) = stream.event();
    let change = &data["changes"][0];
    assert!(change.get("old").is_none(), "{data}");
    assert_eq!(change["old_unknown"], true);
}

#[test]
fn lines_end_when_they_are_asked_to_and_a_prefix_leaves_out_the_rest() {
    let server = Setup::on_disk().start();
    let client = server.client();
    let first = put(&client, "user:1", "1");
    put(&client, "other", "1");
    let last = put(&client, "user:2", "2");
    put(&client, "other", "2");
    let newest = server.database.visible_seq().get();
    let all = lines(&client, "?since=0&live=false");
    let seqs: Vec<_> = all.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=newest).collect::<Vec<_>>(), "no gaps");
    let some = lines(&client, "?since=0&live=false&prefix=user%3A&space=kv");
    let seqs: Vec<_> = some
        .iter()
        .filter_map(|line| line["seq"].as_u64())
        .collect();
    assert_eq!(seqs, [first, last]);
    let query = format!("?since={last}&live=false&prefix=user%3A");
    assert_eq!(lines(&client, &query), [json!({ "position": newest })]);
}

#[test]
fn what_is_not_kept_is_gone_and_what_is_wrong_is_named() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "1");
    let gone = client.get("/api/v1/changes?since=0");
    assert_eq!(gone.failure(), (410, "gone".into()));
    let oldest = gone.json()["details"]["oldest_seq"].as_u64().unwrap();
    assert_eq!(
        lines(&client, &format!("?since={}&live=false", oldest - 1)),
        [json!(null); 0]
    );
    let ahead = client.get("/api/v1/changes?since=999");
    assert_eq!(ahead.failure(), (410, "gone".into()));
    assert_eq!(ahead.json()["details"]["newest_seq"], oldest - 1);
    for query in ["?since=-1", "?space=tables", "?live=maybe"] {
        let wrong = client.get(&format!("/api/v1/changes{query}"));
        assert_eq!(wrong.failure(), (400, "invalid_value".into()), "{query}");
    }
    let id = client
        .clone()
        .with("Last-Event-ID", "x")
        .get("/api/v1/changes");
    assert_eq!(id.failure(), (400, "invalid_value".into()));
    let accept = client.with("Accept", "text/html").get("/api/v1/changes");
    assert_eq!(accept.failure(), (406, "not_acceptable".into()));
}

#[test]
fn open_streams_end_with_the_server_and_their_number_is_limited() {
    let mut setup = Setup::default();
    setup.config.streams_max = 1;
    let mut server = setup.start();
    let mut stream = Stream::open(&server, "", "");
    let refused = server.client().get("/api/v1/changes");
    assert_eq!(refused.failure(), (503, "pool_exhausted".into()));
    assert!(server.stop());
    stream.0.until_closed();
}
