//! `GET`, `HEAD`, `PUT`, `DELETE /api/v1/kv/:key` and increments.

use serde_json::{Value, json};

use crate::server::{Setup, TestServer};

#[test]
fn a_value_comes_back_in_every_form() {
    let server = TestServer::new();
    let client = server.client();
    let put = client.put_json("/api/v1/kv/user:1", r#"{"value":"héllo","tags":["a","b"]}"#);
    assert_eq!(put.status, 200);
    let data = put.data();
    assert_eq!(
        (&data["key"], &data["created"]),
        (&json!("user:1"), &json!(true))
    );
    assert_eq!(
        put.header("x-mantis-durability"),
        Some("none"),
        "in memory there is no other class"
    );
    let version = data["version"].as_u64().unwrap();
    assert_eq!(
        put.header("x-mantis-seq"),
        Some(version.to_string().as_str())
    );
    assert_eq!(put.header("etag"), Some(format!("\"{version}\"").as_str()));

    let got = client.get("/api/v1/kv/user:1");
    let expected = json!({"success": true, "data": {"key": "user:1", "value": "héllo".as_bytes(), "content_type": "text/plain; charset=utf-8", "ttl": null, "version": version}, "error": null, "meta": null});
    assert_eq!(got.json(), expected);
    assert_eq!(got.header("etag"), put.header("etag"));
    for (format, value) in [
        ("string", json!("héllo")),
        ("base64", json!("aMOpbGxv")),
        ("bytes", json!("héllo".as_bytes())),
    ] {
        assert_eq!(
            client
                .get(&format!("/api/v1/kv/user:1?format={format}"))
                .data()["value"],
            value
        );
    }
    let bare = |accept: &str| {
        client
            .clone()
            .with("Accept", accept)
            .get("/api/v1/kv/user:1")
    };
    let octets = bare("application/octet-stream");
    assert_eq!(
        (octets.text(), octets.header("content-type")),
        ("héllo", Some("application/octet-stream"))
    );
    let stored = bare("text/plain");
    assert_eq!(
        (stored.text(), stored.header("content-type")),
        ("héllo", Some("text/plain; charset=utf-8"))
    );
    assert_eq!(bare("image/png").failure(), (406, "not_acceptable".into()));
    assert_eq!(
        bare("application/json;q=0, text/css").failure(),
        (406, "not_acceptable".into())
    );
    assert_eq!(
        client.get("/api/v1/kv/user:1?format=json").failure(),
        (406, "not_acceptable".into())
    );
    assert_eq!(
        client.get("/api/v1/kv/user:1?format=xml").failure(),
        (400, "invalid_value".into())
    );
}

#[test]
fn json_is_kept_digit_by_digit() {
    let server = TestServer::new();
    let client = server.client();
    let text = r#"{ "n": 12345678901234567890.10, "list": [1, 2] }"#;
    client
        .put_json("/api/v1/kv/j", &format!("{{\"value\":{text}}}"))
        .data();
    let got = client.get("/api/v1/kv/j?format=json");
    assert!(got.text().contains(text), "{}", got.text());
    client
        .put_json("/api/v1/kv/l", r#"{"value":[1,2],"value_type":"json"}"#)
        .data();
    assert_eq!(
        client.get("/api/v1/kv/l?format=json").data()["value"],
        json!([1, 2])
    );
    assert_eq!(client.get("/api/v1/kv/l").data()["value"], json!(b"[1,2]"));
    let wrong = client.put_json("/api/v1/kv/l", r#"{"value":[256],"value_type":"bytes"}"#);
    assert_eq!(wrong.failure(), (400, "invalid_value".into()));
}

#[test]
fn any_bytes_are_a_key_and_a_value() {
    let server = TestServer::new();
    let client = server.client();
    let value: Vec<u8> = (0..=255).collect();
    for (path, shown) in [
        ("a%2Fb", json!("a/b")),
        ("a/b/c//d/", json!("a/b/c//d/")),
        ("/leading", json!("/leading")),
        ("%00%ff%FE", json!({"base64": "AP/+"})),
        ("", json!("")),
        ("batch", json!("batch")),
        ("x/increment", json!("x/increment")),
        ("%25", json!("%")),
        ("a+b%20c", json!("a+b c")),
        ("..%2f..", json!("../..")),
        ("../..", json!("../..")),
        ("%C3%A9", json!("é")),
    ] {
        let path = format!("/api/v1/kv/{path}");
        let put = client.put_raw(&path, "image/png", &value);
        assert_eq!(put.data()["key"], shown, "{path}");
        let got = client.clone().with("Accept", "image/png").get(&path);
        assert_eq!(
            (got.status, got.body.as_slice()),
            (200, value.as_slice()),
            "{path}"
        );
        assert_eq!(client.get(&path).data()["key"], shown, "{path}");
    }
    assert_eq!(
        client.get("/api/v1/kv/a/b").data()["value"],
        json!(value),
        "both spellings are one key"
    );
    for bad in ["%", "%4", "%zz", "a%2"] {
        assert_eq!(
            client.get(&format!("/api/v1/kv/{bad}")).failure(),
            (400, "invalid_request".into())
        );
    }
}

#[test]
fn head_shows_the_headers_only() {
    let server = TestServer::new();
    let client = server.client();
    client
        .put_raw("/api/v1/kv/h?ttl=100", "text/css", b"a{}")
        .data();
    let head = client.head("/api/v1/kv/h");
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("text/css"))
    );
    let ttl: u64 = head.header("x-mantis-ttl").unwrap().parse().unwrap();
    assert!((1..=100).contains(&ttl));
    assert!(head.header("etag").is_some());
    assert_eq!(client.head("/api/v1/kv/none").status, 404);
}

#[test]
fn deletes_are_repeatable() {
    let server = TestServer::new();
    let client = server.client();
    let put = client.put_json("/api/v1/kv/d", r#"{"value":"1"}"#);
    let etag = put.header("etag").unwrap();
    let stale = client
        .clone()
        .with("If-Match", "\"1000000\"")
        .delete("/api/v1/kv/d");
    assert_eq!(stale.failure(), (412, "precondition_failed".into()));
    let first = client.clone().with("If-Match", etag).delete("/api/v1/kv/d");
    assert_eq!(first.data()["deleted"], true);
    assert!(first.header("x-mantis-seq").is_some());
    let second = client.delete("/api/v1/kv/d");
    assert_eq!(
        (second.status, &second.data()["deleted"]),
        (200, &json!(false))
    );
    let gone = client.clone().with("If-Match", etag).delete("/api/v1/kv/d");
    assert_eq!(gone.failure(), (412, "precondition_failed".into()));
    assert_eq!(
        client.get("/api/v1/kv/d").failure(),
        (404, "not_found".into())
    );
}

#[test]
fn conditional_requests_hold() {
    let server = TestServer::new();
    let client = server.client();
    let path = "/api/v1/kv/c";
    let put = |name: &str, tag: &str| {
        client
            .clone()
            .with(name, tag)
            .put_json(path, r#"{"value":"x"}"#)
    };
    assert_eq!(
        put("If-Match", "*").failure(),
        (412, "precondition_failed".into())
    );
    let created = put("If-None-Match", "*");
    assert_eq!(created.data()["created"], true);
    assert_eq!(
        put("If-None-Match", "*").failure(),
        (412, "precondition_failed".into())
    );
    let etag = created.header("etag").unwrap().to_owned();
    let replaced = put("If-Match", &etag);
    assert_eq!(replaced.data()["created"], false);
    assert_eq!(
        put("If-Match", &etag).failure(),
        (412, "precondition_failed".into())
    );
    assert_eq!(
        put("If-None-Match", "\"1\"").failure(),
        (400, "invalid_request".into())
    );
    assert_eq!(
        put("If-Match", "nonsense").failure(),
        (400, "invalid_request".into())
    );

    let now = replaced.header("etag").unwrap();
    let read = |name: &str, tag: &str| client.clone().with(name, tag).get(path);
    let same = read("If-None-Match", &format!("\"0\", W/{now}"));
    assert_eq!(
        (same.status, same.header("etag"), same.body.len()),
        (304, Some(now), 0)
    );
    assert_eq!(read("If-None-Match", &etag).status, 200);
    assert_eq!(
        read("If-Match", &etag).failure(),
        (412, "precondition_failed".into())
    );
    assert_eq!(read("If-Match", now).status, 200);
}

#[test]
fn lifetimes_are_set_shown_cleared_and_end() {
    let server = TestServer::new();
    let client = server.client();
    let ttl = |path: &str| client.get(path).data()["ttl"].clone();
    client
        .put_json("/api/v1/kv/t", r#"{"value":"1","ttl":60}"#)
        .data();
    assert!((59..=60).contains(&ttl("/api/v1/kv/t").as_u64().unwrap()));
    client.put_json("/api/v1/kv/t", r#"{"value":"1"}"#).data();
    assert_eq!(
        ttl("/api/v1/kv/t"),
        Value::Null,
        "no ttl clears an older one"
    );
    client
        .clone()
        .with("X-Mantis-TTL", "30")
        .put_raw("/api/v1/kv/t", "text/plain", b"1")
        .data();
    assert!((29..=30).contains(&ttl("/api/v1/kv/t").as_u64().unwrap()));
    client
        .put_json("/api/v1/kv/t?ttl=90", r#"{"value":"1","ttl":60}"#)
        .data();
    assert!(
        (59..=60).contains(&ttl("/api/v1/kv/t").as_u64().unwrap()),
        "the body counts first"
    );
    client
        .put_json("/api/v1/kv/short", r#"{"value":"1","ttl_ms":1}"#)
        .data();
    let clock = server.database.env().clock();
    clock.sleep(std::time::Duration::from_millis(5));
    assert_eq!(
        client.get("/api/v1/kv/short").failure(),
        (404, "not_found".into())
    );
    for (body, expected) in [
        (r#"{"value":"1","ttl":0}"#, "invalid_value"),
        (r#"{"value":"1","ttl":-1}"#, "invalid_request"),
        (r#"{"value":"1","ttl":1.5}"#, "invalid_request"),
        (r#"{"value":"1","ttl":"5"}"#, "invalid_request"),
        (r#"{"value":"1","ttl":99999999999}"#, "invalid_value"),
    ] {
        assert_eq!(
            client.put_json("/api/v1/kv/t", body).failure(),
            (400, expected.into()),
            "{body}"
        );
    }
    for query in ["ttl=0", "ttl=x", "ttl=-1", "lifetime=1", "ttl=1&ttl=2"] {
        let answer = client.put_raw(&format!("/api/v1/kv/t?{query}"), "text/plain", b"1");
        assert_eq!(answer.failure().0, 400, "{query}");
    }
}

#[test]
fn increments_count_and_refuse_what_is_no_integer() {
    let server = TestServer::new();
    let client = server.client();
    let add = |body: &str| client.post_json("/api/v1/kv/n/increment", body);
    assert_eq!(add(r#"{"by":2}"#).data()["value"], 2);
    assert_eq!(add(r#"{"by":-5}"#).data()["value"], -3);
    assert_eq!(
        client.get("/api/v1/kv/n?format=string").data()["value"],
        "-3"
    );
    let fresh = client.post_json("/api/v1/kv/m/increment", r#"{"by":1,"initial":10}"#);
    assert_eq!(fresh.data()["value"], 11);
    client
        .put_json("/api/v1/kv/n", r#"{"value":"no number"}"#)
        .data();
    assert_eq!(add(r#"{"by":1}"#).failure(), (409, "wrong_type".into()));
    for body in [
        "{}",
        r#"{"by":1.5}"#,
        r#"{"by":"1"}"#,
        r#"{"by":1,"extra":1}"#,
        "[]",
        r#"{"by":9223372036854775808}"#,
    ] {
        assert_eq!(
            add(body).failure(),
            (400, "invalid_request".into()),
            "{body}"
        );
    }
    assert_eq!(add("{").failure(), (400, "invalid_json".into()));
    client
        .put_json("/api/v1/kv/n", r#"{"value":"9223372036854775807"}"#)
        .data();
    assert_eq!(add(r#"{"by":1}"#).failure(), (400, "invalid_value".into()));
    let plain = client.clone().with("Content-Type", "text/plain").send(
        "POST",
        "/api/v1/kv/n/increment",
        Some(b"1"),
    );
    assert_eq!(plain.failure(), (415, "unsupported_media_type".into()));
}

#[test]
fn bad_bodies_are_named() {
    let server = TestServer::new();
    let client = server.client();
    for (body, code, word) in [
        ("", "invalid_json", "JSON"),
        ("{", "invalid_json", "JSON"),
        ("{}", "invalid_request", "value"),
        (r#"{"value":1,"vlaue":2}"#, "invalid_request", "vlaue"),
        (
            r#"{"value":1,"value_type":"xml"}"#,
            "invalid_request",
            "xml",
        ),
        (
            r#"{"value":1,"tags":"a"}"#,
            "invalid_request",
            "expected a sequence",
        ),
        (r#"[1]"#, "invalid_request", "expected an object"),
        // Not even when its elements would be the members in their order.
        (
            r#"["x",null,null,null,["t"]]"#,
            "invalid_request",
            "expected an object",
        ),
    ] {
        let answer = client.put_json("/api/v1/kv/b", body);
        assert_eq!(answer.failure(), (400, code.into()), "{body}");
        assert!(
            answer.json()["error"].as_str().unwrap().contains(word),
            "{body}: {}",
            answer.text()
        );
    }
    let deep = format!("{{\"value\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let answer = client.put_json("/api/v1/kv/b", &deep);
    assert_eq!(answer.failure(), (400, "invalid_json".into()));
    assert_eq!(answer.json()["details"]["limit"], "limits.json_depth_max");
    let tags: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let many = client.put_json(
        "/api/v1/kv/b",
        &json!({"value": 1, "tags": tags}).to_string(),
    );
    assert_eq!(many.failure(), (413, "too_large".into()));
    let odd = client.put_raw("/api/v1/kv/b", "nonsense", b"x");
    assert_eq!(odd.failure(), (415, "unsupported_media_type".into()));
    assert_eq!(
        client.get("/api/v1/kv/b").failure(),
        (404, "not_found".into()),
        "nothing was stored"
    );
}

#[test]
fn limits_of_key_value_and_body_are_named() {
    let mut setup = Setup::default();
    setup.settings.body_bytes_max = 1000;
    let server = setup.start();
    let client = server.client();
    let long = "k".repeat((32 << 10) + 1);
    let answer = client.put_raw(&format!("/api/v1/kv/{long}"), "text/plain", b"x");
    assert_eq!(answer.failure(), (413, "too_large".into()));
    assert_eq!(answer.json()["details"]["limit"], "limits.key_bytes_max");
    let fits = "k".repeat(32 << 10);
    assert_eq!(
        client
            .put_raw(&format!("/api/v1/kv/{fits}"), "text/plain", b"x")
            .status,
        200
    );
    let big = client.put_raw("/api/v1/kv/k", "text/plain", &[b'x'; 1001]);
    assert_eq!(big.failure(), (413, "too_large".into()));
    assert_eq!(big.json()["details"]["limit"], "server.max_body_size");
    assert_eq!(
        client
            .put_raw("/api/v1/kv/k", "text/plain", &[b'x'; 1000])
            .status,
        200
    );
}

#[test]
fn durability_deadline_and_min_seq_are_headers() {
    let server = Setup::on_disk().start();
    let client = server.client();
    for class in ["sync", "interval", "none"] {
        let put = client
            .clone()
            .with("X-Mantis-Durability", class)
            .put_json("/api/v1/kv/k", r#"{"value":1}"#);
        let given = put.header("x-mantis-durability").unwrap();
        assert!(
            given == class || class != "sync",
            "never weaker than asked: {given} for {class}"
        );
    }
    assert_eq!(
        client
            .put_json("/api/v1/kv/k", r#"{"value":1}"#)
            .header("x-mantis-durability"),
        Some("sync")
    );
    for (name, value) in [
        ("X-Mantis-Durability", "maybe"),
        ("X-Mantis-Timeout-Ms", "0"),
        ("X-Mantis-Timeout-Ms", "soon"),
        ("X-Mantis-Min-Seq", "-1"),
    ] {
        let answer = client.clone().with(name, value).get("/api/v1/kv/k");
        assert_eq!(answer.failure(), (400, "invalid_value".into()), "{name}");
        assert_eq!(answer.json()["details"]["header"], name.to_lowercase());
    }
    let seq = server.database.visible_seq().get();
    let at = |seq: u64| {
        client
            .clone()
            .with("X-Mantis-Min-Seq", &seq.to_string())
            .with("X-Mantis-Timeout-Ms", "50")
            .get("/api/v1/kv/k")
    };
    assert_eq!(at(seq).status, 200);
    let late = at(seq + 1000);
    assert_eq!(late.failure(), (408, "deadline_exceeded".into()));
    assert_eq!(late.json()["retryable"], true);
}

#[test]
fn what_one_door_writes_the_session_reads() {
    use mantis_session::{Command, Principal, Reply};
    let server = TestServer::new();
    server
        .client()
        .put_raw("/api/v1/kv/%ff", "x/y", b"\x00\x01")
        .data();
    let session = server.database.session(Principal::Owner);
    let key = bytes::Bytes::from_static(b"\xff");
    let Ok(Reply::KvGet(Some(entry))) = session.execute(Command::KvGet { key }) else {
        panic!("the key is there");
    };
    assert_eq!(
        (&entry.value[..], entry.content_type.as_str()),
        (&b"\x00\x01"[..], "x/y")
    );
}
