//! Transactions over HTTP: begin, join, savepoints, commit, rollback, and whom they belong to.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Client, PATIENCE};
use crate::server::{Setup, TestServer};

/// A transaction under its id.
struct Tx {
    client: Client,
    id: String,
}

impl Tx {
    fn begin(client: &Client, form: &str) -> Self {
        let begun = client.post_json("/api/v1/transactions", form);
        assert_eq!(begun.status, 201, "{begun:?}");
        let id = begun.data()["transaction_id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/transactions/{id}");
        assert_eq!(begun.header("location"), Some(path.as_str()));
        Self {
            client: client.clone(),
            id,
        }
    }

    fn at(client: &Client, level: &str) -> Self {
        Self::begin(client, &json!({ "isolation": level }).to_string())
    }

    /// Requests that join it.
    fn inside(&self) -> Client {
        self.client.clone().with("X-Mantis-Transaction", &self.id)
    }

    fn post(&self, what: &str, body: &str) -> Answer {
        let path = format!("/api/v1/transactions/{}/{what}", self.id);
        match body {
            "" => self.client.send("POST", &path, Some(b"")),
            body => self.client.post_json(&path, body),
        }
    }

    fn commit(&self) -> Answer {
        self.post("commit", "")
    }

    fn state(&self) -> Value {
        let path = format!("/api/v1/transactions/{}", self.id);
        self.client.get(&path).data()["state"].clone()
    }
}

fn put(client: &Client, key: &str, value: &str) -> Answer {
    let body = json!({ "value": value }).to_string();
    client.put_json(&format!("/api/v1/kv/{key}"), &body)
}

fn read(client: &Client, key: &str) -> Value {
    let answer = client.get(&format!("/api/v1/kv/{key}?format=string"));
    match answer.status {
        200 => answer.data()["value"].clone(),
        404 => Value::Null,
        _ => panic!("{answer:?}"),
    }
}

#[test]
fn what_a_transaction_writes_is_seen_by_it_alone_until_it_commits() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "old").data();
    let tx = Tx::begin(&client, "");
    let inside = tx.inside();
    let written = put(&inside, "a", "new");
    assert_eq!(written.data()["version"], Value::Null);
    for name in ["etag", "x-mantis-seq", "x-mantis-durability"] {
        assert_eq!(written.header(name), None, "{name}");
    }
    let own = inside.get("/api/v1/kv/a?format=string");
    assert_eq!(own.data()["value"], "new");
    assert_eq!(
        (own.data()["version"].clone(), own.header("etag")),
        (Value::Null, None)
    );
    assert_eq!(read(&client, "a"), "old");
    assert_eq!(inside.delete("/api/v1/kv/b").data()["deleted"], false);
    let added = inside.post_json("/api/v1/kv/n/increment", r#"{"by":5}"#);
    assert_eq!(added.data()["value"], 5);
    let batch = r#"{"atomic":true,"operations":[{"op":"set","key":"c","value":"x"},{"op":"get","key":"a"}]}"#;
    assert_eq!(inside.post_json("/api/v1/kv", batch).status, 200);
    assert_eq!(inside.get("/api/v1/kv").data(), json!(["a", "c", "n"]));
    assert_eq!(client.get("/api/v1/kv").data(), json!(["a"]));
    let done = tx.commit();
    let data = done.data();
    assert_eq!(data["state"], "committed");
    assert_eq!(
        done.header("x-mantis-seq"),
        Some(data["seq"].to_string().as_str())
    );
    assert_eq!(
        done.header("x-mantis-durability"),
        data["durability"].as_str()
    );
    assert_eq!(client.get("/api/v1/kv").data(), json!(["a", "c", "n"]));
    for key in ["a", "c", "n"] {
        let entry = client.get(&format!("/api/v1/kv/{key}")).data();
        assert_eq!(entry["version"], data["seq"], "one commit for all: {key}");
    }
}

#[test]
fn a_commit_repeats_its_answer_and_a_rollback_leaves_nothing() {
    let server = TestServer::new();
    let client = server.client();
    let tx = Tx::at(&client, "serializable");
    put(&tx.inside(), "a", "1").data();
    let first = tx.post("commit", r#"{"durability":"none"}"#).data();
    assert_eq!(first["durability"], "none");
    assert_eq!(tx.commit().data(), first);
    assert_eq!(tx.state(), "committed");
    let after = put(&tx.inside(), "a", "2");
    assert_eq!(after.failure(), (409, "transaction_finished".into()));
    assert_eq!(after.json()["details"]["state"], "committed");
    assert_eq!(
        tx.post("rollback", "").failure(),
        (409, "transaction_finished".into())
    );

    let tx = Tx::begin(&client, "{}");
    put(&tx.inside(), "a", "3").data();
    for _ in 0..2 {
        assert_eq!(tx.post("rollback", "").data()["state"], "rolled_back");
    }
    let late = tx.commit();
    assert_eq!(late.failure(), (409, "transaction_finished".into()));
    assert_eq!(late.json()["details"]["state"], "rolled_back");
    assert_eq!(read(&client, "a"), "1");
}

#[test]
fn whoever_comes_second_is_refused_may_retry_and_learns_the_state() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "0").data();
    let (one, two) = (Tx::begin(&client, ""), Tx::begin(&client, ""));
    put(&one.inside(), "a", "1").data();
    put(&two.inside(), "a", "2").data();
    one.commit().data();
    for _ in 0..2 {
        let refused = two.commit();
        assert_eq!(refused.failure(), (409, "serialization_failure".into()));
        assert_eq!(refused.json()["retryable"], true);
        assert_eq!(refused.json()["details"]["state"], "failed");
    }
    assert_eq!(two.state(), "failed");
    assert_eq!(two.post("rollback", "").data()["state"], "failed");
    assert_eq!(read(&client, "a"), "1");
}

#[test]
fn each_level_keeps_its_promise_about_what_is_read() {
    let server = TestServer::new();
    let client = server.client();
    for (level, sees) in [
        ("read_committed", "new"),
        ("repeatable_read", "old"),
        ("snapshot", "old"),
        ("serializable", "old"),
    ] {
        put(&client, "a", "old").data();
        let tx = Tx::at(&client, level);
        assert_eq!(read(&tx.inside(), "a"), "old", "{level}");
        put(&client, "a", "new").data();
        assert_eq!(read(&tx.inside(), "a"), sees, "{level}");
        put(&tx.inside(), "b", "x").data();
        let expected = if level == "serializable" { 409 } else { 200 };
        assert_eq!(tx.commit().status, expected, "{level}");
    }
}

#[test]
fn the_level_of_the_configuration_counts_where_none_is_asked_for() {
    let mut setup = Setup::default();
    setup.settings.isolation = mantis_types::Isolation::Serializable;
    let server = setup.start();
    let begun = server.client().post_json("/api/v1/transactions", "{}");
    assert_eq!(begun.data()["isolation"], "serializable");
}

#[test]
fn savepoints_take_back_what_came_after_them() {
    let server = TestServer::new();
    let client = server.client();
    let tx = Tx::begin(&client, "");
    let inside = tx.inside();
    put(&inside, "a", "1").data();
    let name = "half way/é";
    let opened = tx.post("savepoints", &json!({ "name": name }).to_string());
    assert_eq!(
        opened.data(),
        json!({ "transaction_id": tx.id, "savepoint": name })
    );
    put(&inside, "a", "2").data();
    put(&inside, "b", "2").data();
    let path = "savepoints/half%20way%2F%C3%A9/rollback";
    assert_eq!(tx.post(path, "").data()["savepoint"], name);
    assert_eq!(inside.get("/api/v1/kv").data(), json!(["a"]));
    put(&inside, "c", "3").data();
    tx.post("savepoints/half%20way%2F%C3%A9/release", "").data();
    let gone = tx.post(path, "");
    assert_eq!(gone.failure(), (404, "not_found".into()));
    tx.commit().data();
    assert_eq!(client.get("/api/v1/kv").data(), json!(["a", "c"]));
    assert_eq!(read(&client, "a"), "1");
    for name in ["", "\u{0}each", &"x".repeat(129)] {
        let refused = tx.post("savepoints", &json!({ "name": name }).to_string());
        assert_eq!(refused.failure(), (400, "invalid_value".into()), "{name:?}");
    }
}

#[test]
fn a_transaction_belongs_to_its_principal() {
    let server = TestServer::new();
    let owner = server.client().with("apikey", "data-key");
    let tx = Tx::begin(&owner, "");
    put(&tx.inside(), "a", "1").data();
    tx.post("savepoints", r#"{"name":"s"}"#).data();
    let other = server.admin();
    let path = format!("/api/v1/transactions/{}", tx.id);
    let joined = other.clone().with("X-Mantis-Transaction", &tx.id);
    for answer in [
        other.get(&path),
        other.send("POST", &format!("{path}/commit"), Some(b"")),
        other.send("POST", &format!("{path}/rollback"), Some(b"")),
        other.send("POST", &format!("{path}/savepoints/s/release"), Some(b"")),
        joined.get("/api/v1/kv/a"),
        put(&joined, "a", "2"),
    ] {
        assert_eq!(answer.failure(), (404, "not_found".into()));
    }
    tx.commit().data();
    assert_eq!(read(&owner, "a"), "1");
}

#[test]
fn ids_that_are_none_are_not_found_and_the_header_belongs_to_routes_of_data() {
    let server = TestServer::new();
    let client = server.client();
    let tx = Tx::begin(&client, "");
    for id in ["x", "", "6F1D0C9A5B7E4F2386A0D1C2B3E4F506", &tx.id[1..]] {
        let joined = client.clone().with("X-Mantis-Transaction", id);
        assert_eq!(joined.get("/api/v1/kv/a").failure().0, 404, "{id}");
    }
    assert_eq!(client.get("/api/v1/transactions/x").failure().0, 404);
    for path in ["/api/v1/stats", "/health", "/api/v1/capabilities"] {
        let refused = tx.inside().get(path);
        assert_eq!(refused.failure(), (400, "invalid_request".into()), "{path}");
        assert_eq!(refused.json()["details"]["header"], "x-mantis-transaction");
    }
    let nested = tx.inside().post_json("/api/v1/transactions", "{}");
    assert_eq!(nested.failure().0, 400);
    let twice = tx.inside().with("X-Mantis-Transaction", &tx.id);
    assert_eq!(
        twice.get("/api/v1/kv/a").failure(),
        (400, "invalid_value".into())
    );
    let seq = tx
        .inside()
        .with("X-Mantis-Min-Seq", "0")
        .get("/api/v1/kv/a");
    assert_eq!(seq.failure(), (400, "invalid_request".into()));
    for (body, code) in [
        (r#"{"isolation":"chaos"}"#, "invalid_request"),
        (r#"{"timeout_ms":0}"#, "invalid_value"),
        (r#"{"readonly":true}"#, "invalid_request"),
        ("[]", "invalid_request"),
    ] {
        let refused = client.post_json("/api/v1/transactions", body);
        assert_eq!(refused.failure(), (400, code.into()), "{body}");
    }
    for path in ["query", "tables/t/data"] {
        assert_eq!(
            tx.post(path, "{}").failure(),
            (501, "not_implemented".into())
        );
    }
}

#[test]
fn a_read_only_transaction_refuses_writes_and_goes_on() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "1").data();
    let tx = Tx::begin(&client, r#"{"read_only":true}"#);
    let refused = put(&tx.inside(), "a", "2");
    assert_eq!(refused.failure().0, 400, "{refused:?}");
    assert_eq!(read(&tx.inside(), "a"), "1");
    assert_eq!(tx.commit().data()["state"], "committed");
}

#[test]
fn a_transaction_that_nobody_uses_expires_and_says_so() {
    let server = TestServer::new();
    let client = server.client();
    let short = Tx::begin(&client, r#"{"timeout_ms":1}"#);
    server
        .database
        .set_transaction_timeouts(Duration::from_millis(1), Duration::from_secs(300));
    let idle = Tx::begin(&client, "{}");
    for tx in [short, idle] {
        eventually(&server, "expiry", || tx.state() == "expired");
        let late = tx.commit();
        assert_eq!(late.failure(), (409, "transaction_finished".into()));
        assert_eq!(late.json()["details"]["state"], "expired");
        assert_eq!(tx.post("rollback", "").data()["state"], "expired");
    }
}

/// Waits for something that comes about by itself.
fn eventually(server: &TestServer, what: &str, came: impl Fn() -> bool) {
    let clock = server.database.env().clock();
    let until = clock.monotonic() + PATIENCE;
    while !came() {
        assert!(clock.monotonic() < until, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// One of three kinds of writes.
fn write_by_kind(client: &Client, number: usize) -> Answer {
    let batch = json!({"operations": [
        {"op": "increment", "key": "m", "by": 1},
        {"op": "set", "key": "a", "value": "3"},
    ]});
    match number % 3 {
        0 => put(client, "a", "2"),
        1 => client.post_json("/api/v1/kv/n/increment", r#"{"by":1}"#),
        _ => client.post_json("/api/v1/kv", &batch.to_string()),
    }
}

#[test]
fn a_row_that_is_locked_is_waited_for_and_its_holder_gets_through() {
    let server = TestServer::new();
    let client = server.client();
    put(&client, "a", "0").data();
    let holder = Tx::at(&client, "read_committed");
    put(&holder.inside(), "a", "1").data();
    let hasty = client.clone().with("X-Mantis-Timeout-Ms", "50");
    let late = put(&hasty, "a", "x");
    assert_eq!(late.failure(), (408, "deadline_exceeded".into()));
    assert_eq!(
        late.json()["details"],
        json!({}),
        "nothing of it is in doubt"
    );
    // More of them than there are places for calls that block, and for waiting.
    let waiters = 300;
    let (told, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..waiters {
            let (client, told) = (client.clone(), told.clone());
            scope.spawn(move || {
                let answer = write_by_kind(&client, number);
                told.send(answer.status).unwrap();
            });
        }
        let waiting = || server.database.status().transactions.locks.waiting;
        eventually(&server, "those who wait", || waiting() >= 100);
        assert_eq!(read(&holder.inside(), "a"), "1");
        holder.commit().data();
        for _ in 0..waiters {
            assert_eq!(heard.recv_timeout(PATIENCE * 2).unwrap(), 200);
        }
    });
    assert_eq!(read(&client, "n"), "100");
    assert_eq!(read(&client, "m"), "100", "no batch was done twice");
}

#[test]
fn a_deadlock_ends_one_of_its_members() {
    let server = TestServer::new();
    let client = server.client();
    let (one, two) = (
        Tx::at(&client, "read_committed"),
        Tx::at(&client, "read_committed"),
    );
    put(&one.inside(), "a", "1").data();
    put(&two.inside(), "b", "2").data();
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| put(&one.inside(), "b", "1"));
        let second = scope.spawn(|| put(&two.inside(), "a", "2"));
        (first.join().unwrap(), second.join().unwrap())
    });
    let (loser, winner) = match (first.status, second.status) {
        (409, 200) => ((&one, first), &two),
        (200, 409) => ((&two, second), &one),
        both => panic!("{both:?}"),
    };
    assert_eq!(loser.1.failure(), (409, "deadlock".into()));
    assert_eq!(loser.1.json()["retryable"], true);
    assert_eq!(loser.0.state(), "failed");
    winner.commit().data();
    let stats = client.get("/api/v1/stats").data();
    assert_eq!(stats["transactions"]["deadlocks"], 1);
}

#[test]
fn requests_of_one_transaction_run_one_at_a_time() {
    let server = TestServer::new();
    let client = server.client();
    let tx = Tx::begin(&client, "");
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let inside = tx.inside();
                let body = r#"{"operations":[{"op":"increment","key":"n","by":1},{"op":"increment","key":"m","by":1}],"atomic":true}"#;
                assert_eq!(inside.post_json("/api/v1/kv", body).status, 200);
            });
        }
    });
    assert_eq!(read(&client, "n"), Value::Null);
    tx.commit().data();
    assert_eq!(
        (read(&client, "n"), read(&client, "m")),
        (json!("32"), json!("32"))
    );
}

#[test]
fn statistics_and_metrics_count_what_happened() {
    let server = TestServer::new();
    let client = server.client();
    let stats = || client.get("/api/v1/stats").data()["transactions"].clone();
    let before = stats();
    put(&client, "a", "0").data();
    let (one, two, three) = (
        Tx::begin(&client, ""),
        Tx::at(&client, "serializable"),
        Tx::begin(&client, ""),
    );
    put(&one.inside(), "a", "1").data();
    put(&two.inside(), "a", "2").data();
    assert_eq!(stats()["active"], 3);
    one.commit().data();
    assert_eq!(two.commit().status, 409);
    three.post("rollback", "").data();
    let after = stats();
    let more = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!(
        (more("committed"), more("aborted"), more("conflicts")),
        (2, 2, 1)
    );
    assert_eq!(after["active"], 0);
    let text = client.get("/metrics");
    for line in [
        "mantisdb_transactions_total{outcome=\"committed\",isolation=\"snapshot\"} 1",
        "mantisdb_transactions_total{outcome=\"rolled_back\",isolation=\"serializable\"} 1",
        "mantisdb_transactions_total{outcome=\"rolled_back\",isolation=\"snapshot\"} 1",
        "mantisdb_transaction_conflicts_total 1",
        "mantisdb_transactions_active 0",
    ] {
        assert!(
            text.text().lines().any(|known| known == line),
            "{line}\n{}",
            text.text()
        );
    }
}
