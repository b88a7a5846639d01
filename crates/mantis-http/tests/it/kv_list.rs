//! `GET /api/v1/kv`.

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::TestServer;

fn filled() -> TestServer {
    let server = TestServer::new();
    let client = server.client();
    for key in ["a:1", "a:2", "a:3", "b:1", "b:2", "%ff"] {
        client
            .put_raw(&format!("/api/v1/kv/{key}"), "text/plain", key.as_bytes())
            .data();
    }
    server
}

fn keys(client: &Client, query: &str) -> Value {
    client.get(&format!("/api/v1/kv?{query}")).data()
}

#[test]
fn keys_come_in_byte_order_within_their_bounds() {
    let server = filled();
    let client = server.client();
    let odd = json!({"base64": "/w=="});
    for (query, expected) in [
        ("", json!(["a:1", "a:2", "a:3", "b:1", "b:2", odd])),
        ("prefix=a:", json!(["a:1", "a:2", "a:3"])),
        ("prefix=%61%3A", json!(["a:1", "a:2", "a:3"])),
        ("start=a:2&end=b:2", json!(["a:2", "a:3", "b:1"])),
        ("reverse=true&limit=2", json!([odd, "b:2"])),
        ("prefix=a:&reverse=true&offset=1", json!(["a:2", "a:1"])),
        ("prefix=c", json!([])),
        ("prefix=%ff", json!([odd])),
        ("limit=0", json!([])),
        ("start=b&end=a", json!([])),
    ] {
        assert_eq!(keys(&client, query), expected, "{query}");
    }
}

#[test]
fn meta_says_where_the_page_stands() {
    let server = filled();
    let client = server.client();
    let page = client.get("/api/v1/kv?limit=2&offset=2").json();
    let meta = &page["meta"];
    assert_eq!(
        (
            &meta["count"],
            &meta["total"],
            &meta["page"],
            &meta["per_page"]
        ),
        (&json!(2), &json!(6), &json!(1), &json!(2))
    );
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client
            .get(&format!("/api/v1/kv?limit=2&total=false{cursor}"))
            .json();
        assert_eq!(page["meta"]["total"], Value::Null);
        seen.extend(page["data"].as_array().unwrap().clone());
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), keys(&client, ""));
    let skipped = keys(&client, "cursor=YTox&offset=1&limit=1");
    assert_eq!(skipped, json!(["a:3"]), "an offset counts from the cursor");
    let all = client.get("/api/v1/kv?limit=5000").json();
    assert_eq!(all["meta"]["per_page"], 1000, "larger wishes are cut");
}

#[test]
fn values_come_along_when_asked() {
    let server = filled();
    let client = server.client();
    let rows = keys(&client, "prefix=a:&values=true&format=string&limit=1");
    let row = &rows[0];
    assert_eq!(
        (
            &row["key"],
            &row["value"],
            &row["content_type"],
            &row["ttl"]
        ),
        (
            &json!("a:1"),
            &json!("a:1"),
            &json!("text/plain"),
            &Value::Null
        )
    );
    assert!(row["version"].is_u64());
    assert_eq!((&row["ttl_ms"], &row["tags"]), (&Value::Null, &json!([])));
    let body = json!({"value": "v", "ttl_ms": 60_000, "tags": ["x", "y"]});
    client
        .put_json("/api/v1/kv/tagged", &body.to_string())
        .data();
    let row = &keys(&client, "prefix=tagged&values=true")[0];
    assert_eq!(row["tags"], json!(["x", "y"]));
    assert!(row["ttl_ms"].as_u64().is_some_and(|ms| ms > 1000));
    client.put_raw("/api/v1/kv/bin", "x/y", b"\xff").data();
    let refused = client.get("/api/v1/kv?prefix=bin&values=true&format=string");
    assert_eq!(refused.failure(), (406, "not_acceptable".into()));
}

#[test]
fn expired_keys_are_neither_shown_nor_counted() {
    let server = filled();
    let client = server.client();
    client
        .put_json("/api/v1/kv/a:4", r#"{"value":1,"ttl_ms":1}"#)
        .data();
    server
        .database
        .env()
        .clock()
        .sleep(std::time::Duration::from_millis(5));
    let page = client.get("/api/v1/kv?prefix=a:").json();
    assert_eq!(
        (&page["data"], &page["meta"]["total"]),
        (&json!(["a:1", "a:2", "a:3"]), &json!(3))
    );
}

#[test]
fn bad_parameters_are_named() {
    let server = filled();
    let client = server.client();
    for (query, word) in [
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("offset=1.5", "offset"),
        ("reverse=maybe", "reverse"),
        ("total=2", "total"),
        ("values=x", "values"),
        ("values=true&format=xml", "format"),
        ("cursor=!!", "cursor"),
        ("cursor=A", "cursor"),
        ("perfix=a", "perfix"),
        ("prefix=a&prefix=b", "prefix"),
        ("prefix=%", "%"),
    ] {
        let answer = client.get(&format!("/api/v1/kv?{query}"));
        assert_eq!(answer.failure().0, 400, "{query}");
        assert!(
            answer.json()["error"].as_str().unwrap().contains(word),
            "{query}: {}",
            answer.text()
        );
    }
}
