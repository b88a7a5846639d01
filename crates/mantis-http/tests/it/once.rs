//! Writes with an `Idempotency-Key`: each takes effect once, and answers the same again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::{Setup, TestServer};

/// Every route that writes, with a body, and whether it answers without the envelope.
const ROUTES: &[(&str, &str, &str, bool)] = &[
    ("PUT", "/api/v1/kv/{key}", r#"{"value":"x"}"#, false),
    ("DELETE", "/api/v1/kv/{key}", "", false),
    ("POST", "/api/v1/kv/{key}/increment", r#"{"by":3}"#, false),
    ("POST", "/api/v1/kv", BATCH, false),
    ("POST", "/api/v1/kv/batch", BATCH, false),
    ("PUT", "/api/kv/{key}", r#"{"value":"x"}"#, true),
    ("DELETE", "/api/kv/{key}", "", true),
    ("POST", "/api/kv/batch", BATCH, true),
];
const BATCH: &str = r#"{"operations":[{"op":"increment","key":"b","by":1},{"op":"get","key":"b"},{"op":"increment","key":"n","by":1}]}"#;

fn send(client: &Client, (method, path, body, _): (&str, &str, &str, bool), key: &str) -> Answer {
    let path = path.replace("{key}", "n");
    let client = client.clone().with("Idempotency-Key", key);
    match body {
        "" => client.send(method, &path, None),
        body => client.with("Content-Type", "application/json").send(
            method,
            &path,
            Some(body.as_bytes()),
        ),
    }
}

fn number(client: &Client, key: &str) -> Option<i64> {
    let answer = client.get(&format!("/api/v1/kv/{key}?format=string"));
    (answer.status == 200).then(|| answer.data()["value"].as_str().unwrap().parse().unwrap())
}

#[test]
fn every_route_that_writes_stands_in_the_table() {
    let document: Value = serde_json::from_str(mantis_http::openapi_json()).unwrap();
    let mut writing = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let data = path.contains("/kv") && method != "get" && method != "head";
            if data {
                writing.insert((method.to_uppercase(), path.clone()));
            }
            // What else is no GET has its own way to be repeated, or none.
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(
                data || method == "get" || ["kv", "transactions", "admin"].contains(&tag),
                "{method} {path}"
            );
        }
    }
    let known = ROUTES
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(writing, known.collect());
}

#[test]
fn a_retry_gets_the_first_answer_and_has_no_effect() {
    let server = TestServer::new();
    let client = server.admin();
    for (at, route) in ROUTES.iter().enumerate() {
        client.put_json("/api/v1/kv/n", r#"{"value":"5"}"#).data();
        let key = format!("key-{at}");
        let first = send(&client, *route, &key);
        assert_eq!(first.status, 200, "{route:?} {first:?}");
        assert_eq!(first.header("idempotent-replayed"), None);
        let seq = server.database.visible_seq();
        assert_eq!(
            first.header("x-mantis-seq"),
            Some(seq.to_string().as_str()),
            "{route:?}"
        );
        // Something happens in between.
        client.put_json("/api/v1/kv/n", r#"{"value":"70"}"#).data();
        let before = server.database.visible_seq();
        let again = send(&client, *route, &key);
        assert_eq!(server.database.visible_seq(), before, "{route:?}");
        assert_eq!(
            (again.status, &again.body),
            (first.status, &first.body),
            "{route:?}"
        );
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        for name in ["etag", "x-mantis-seq", "content-type"] {
            assert_eq!(again.header(name), first.header(name), "{route:?} {name}");
        }
        assert_eq!(number(&client, "n"), Some(70), "{route:?}");
    }
    let metrics = client.get("/metrics");
    let line = format!("mantisdb_idempotent_replays_total {}", ROUTES.len());
    assert!(metrics.text().lines().any(|known| known == line));
}

#[test]
fn the_answer_is_that_of_a_write_without_a_key() {
    let (with, without) = (TestServer::new(), TestServer::new());
    for (at, route) in ROUTES.iter().enumerate() {
        let told = send(&with.admin(), *route, &format!("k{at}"));
        let (method, path, body, _) = *route;
        let path = path.replace("{key}", "n");
        let client = without.admin().with("Content-Type", "application/json");
        let plain = client.send(method, &path, (!body.is_empty()).then_some(body.as_bytes()));
        let leveled = |answer: &Answer| {
            let mut json = answer.json();
            versions(&mut json);
            (answer.status, json)
        };
        assert_eq!(leveled(&told), leveled(&plain), "{route:?}");
    }
}

/// Versions differ: a receipt makes a commit where a write without effect makes none.
fn versions(json: &mut Value) {
    match json {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "version" | "updated_at" | "created_at")
            });
            members.values_mut().for_each(versions);
        }
        Value::Array(items) => items.iter_mut().for_each(versions),
        _ => {}
    }
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    let server = TestServer::new();
    let client = server.client();
    let keyed = client.with("Idempotency-Key", "k");
    keyed.put_json("/api/v1/kv/a", r#"{"value":1}"#).data();
    let others = [
        keyed.put_json("/api/v1/kv/a", r#"{"value":2}"#),
        keyed.put_json("/api/v1/kv/b", r#"{"value":1}"#),
        keyed.put_json("/api/v1/kv/a?ttl=5", r#"{"value":1}"#),
        keyed.delete("/api/v1/kv/a"),
        keyed
            .clone()
            .with("If-Match", "*")
            .put_json("/api/v1/kv/a", r#"{"value":1}"#),
        keyed
            .with("X-Mantis-Tags", "t")
            .put_json("/api/v1/kv/a", r#"{"value":1}"#),
    ];
    for other in others {
        assert_eq!(other.failure(), (422, "idempotency_mismatch".into()));
    }
    // Another principal's key is another key.
    let admin = server.admin().with("Idempotency-Key", "k");
    let theirs = admin.put_json("/api/v1/kv/a", r#"{"value":2}"#);
    assert_eq!(
        (theirs.status, theirs.header("idempotent-replayed")),
        (200, None)
    );
}

#[test]
fn what_was_refused_had_no_effect_and_can_be_tried_again() {
    let server = TestServer::new();
    let client = server.client().with("Idempotency-Key", "k");
    let body = r#"{"value":1}"#;
    let refused = client
        .clone()
        .with("If-Match", "*")
        .put_json("/api/v1/kv/a", body);
    assert_eq!(refused.failure().0, 412);
    let wrong = client.put_json("/api/v1/kv/a", "{");
    assert_eq!(wrong.failure().0, 400);
    assert_eq!(server.database.visible_seq().get(), 0);
    let done = client.put_json("/api/v1/kv/a", body);
    assert_eq!(
        (done.status, done.header("idempotent-replayed")),
        (200, None)
    );
}

#[test]
fn keys_have_a_form_and_a_place() {
    let server = TestServer::new();
    let client = server.admin();
    for key in ["", "two words", "\u{e9}", &"x".repeat(256)] {
        let answer = client
            .clone()
            .with("Idempotency-Key", key)
            .put_json("/api/v1/kv/a", r#"{"value":1}"#);
        assert_eq!(answer.failure(), (400, "invalid_value".into()), "{key:?}");
        assert_eq!(answer.json()["details"]["header"], "idempotency-key");
    }
    let keyed = client.clone().with("Idempotency-Key", "x");
    assert_eq!(
        keyed.get("/api/v1/kv").status,
        200,
        "a read takes effect never"
    );
    assert_eq!(
        keyed.post_json("/api/v1/transactions", "{}").failure().0,
        400
    );
    let begun = client.post_json("/api/v1/transactions", "{}").data();
    let id = begun["transaction_id"].as_str().unwrap();
    let inside = keyed.clone().with("X-Mantis-Transaction", id);
    assert_eq!(
        inside
            .put_json("/api/v1/kv/a", r#"{"value":1}"#)
            .failure()
            .0,
        400
    );
    let commit = format!("/api/v1/transactions/{id}/commit");
    let first = keyed.send("POST", &commit, Some(b""));
    let again = keyed.send("POST", &commit, Some(b""));
    assert_eq!((first.status, first.data()), (200, again.data()));
}

#[test]
fn retries_that_race_have_one_effect_and_one_answer() {
    let server = TestServer::new();
    let client = server.client();
    for round in 0..4 {
        let key = format!("round-{round}");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let keyed = client.clone().with("Idempotency-Key", &key);
            let one = move || keyed.post_json("/api/v1/kv/n/increment", r#"{"by":1}"#);
            let racers = (0..32).map(|_| scope.spawn(one.clone()));
            let racers: Vec<_> = racers.collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        let first = answers
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_none());
        assert_eq!(first.count(), 1);
        assert!(
            answers
                .iter()
                .all(|answer| answer.status == 200 && answer.body == answers[0].body)
        );
        assert_eq!(number(&client, "n"), Some(round + 1));
    }
    // The control: without keys the same code shows every effect.
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| client.post_json("/api/v1/kv/n/increment", r#"{"by":1}"#));
        }
    });
    assert_eq!(number(&client, "n"), Some(4 + 32));
}

#[test]
fn a_retry_waits_for_the_first_and_says_so_when_that_takes_too_long() {
    let server = TestServer::new();
    let client = server.client();
    client.put_json("/api/v1/kv/a", r#"{"value":"0"}"#).data();
    // Somebody holds the row, so that the first request is under way for a while.
    let begun = client.post_json("/api/v1/transactions", r#"{"isolation":"read_committed"}"#);
    let id = begun.data()["transaction_id"].as_str().unwrap().to_owned();
    let inside = client.clone().with("X-Mantis-Transaction", &id);
    inside
        .put_json("/api/v1/kv/a", r#"{"value":"held"}"#)
        .data();
    let keyed = client.clone().with("Idempotency-Key", "k");
    let send = || keyed.put_json("/api/v1/kv/a", r#"{"value":"mine"}"#);
    std::thread::scope(|scope| {
        let first = scope.spawn(send);
        let clock = server.database.env().clock();
        while server.database.status().transactions.locks.waiting < 1 {
            clock.sleep(Duration::from_millis(1));
        }
        let hasty = keyed.clone().with("X-Mantis-Timeout-Ms", "50");
        let late = hasty.put_json("/api/v1/kv/a", r#"{"value":"mine"}"#);
        assert_eq!(late.failure(), (409, "in_progress".into()));
        assert_eq!(late.json()["retryable"], true);
        let second = scope.spawn(send);
        client.send(
            "POST",
            &format!("/api/v1/transactions/{id}/commit"),
            Some(b""),
        );
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_eq!((first.status, &first.body), (200, &second.body));
        let replayed =
            [&first, &second].map(|answer| answer.header("idempotent-replayed").is_some());
        assert_eq!(replayed.into_iter().filter(|replayed| *replayed).count(), 1);
    });
}

#[test]
fn answers_are_forgotten_when_their_time_has_come() {
    let mut server = Setup {
        opening: Box::new(|mut options| {
            options.limits.idempotency_ttl = Duration::from_millis(300);
            options
        }),
        ..Setup::on_disk()
    }
    .start();
    let keyed = server.client().with("Idempotency-Key", "k");
    let send = || keyed.post_json("/api/v1/kv/n/increment", r#"{"by":1}"#);
    let first = send();
    assert_eq!(send().body, first.body);
    let clock = std::sync::Arc::clone(server.database.env().clock());
    clock.sleep(Duration::from_millis(400));
    let later = send();
    assert_eq!(
        later.header("idempotent-replayed"),
        None,
        "it has been forgotten"
    );
    assert_eq!(number(&server.client(), "n"), Some(2));
    while server.database.sweep().unwrap() > 0 {}
    assert!(server.stop());
}

#[test]
fn a_long_answer_is_kept_as_its_commit() {
    let server = TestServer::new();
    let client = server.client();
    let large = "x".repeat(100 << 10);
    client
        .put_json("/api/v1/kv/large", &json!({ "value": large }).to_string())
        .data();
    let keyed = client.with("Idempotency-Key", "k");
    let batch = r#"{"operations":[{"op":"set","key":"a","value":"1"},{"op":"get","key":"large"}]}"#;
    let first = keyed.post_json("/api/v1/kv?format=string", batch);
    assert_eq!(
        first.data()["results"][1]["value"].as_str().map(str::len),
        Some(large.len())
    );
    let again = keyed.post_json("/api/v1/kv?format=string", batch);
    let seq = first.header("x-mantis-seq").unwrap();
    assert_eq!(
        (again.status, again.header("x-mantis-seq")),
        (200, Some(seq))
    );
    assert_eq!(again.data()["seq"].to_string(), seq);
}
