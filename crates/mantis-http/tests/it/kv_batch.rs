//! `POST /api/v1/kv` and `/api/v1/kv/batch`.

use serde_json::{Value, json};

use crate::server::TestServer;

#[test]
fn operations_stand_alone_and_in_order() {
    let server = TestServer::new();
    let client = server.client();
    let body = json!({"operations": [
        {"op": "set", "key": "a", "value": "1"},
        {"type": "put", "key": {"base64": "/w=="}, "value": [1, 2], "ttl": 9},
        {"operation": "increment", "key": "a", "by": 2},
        {"op": "get", "key": "a"},
        {"op": "get", "key": "none"},
        {"op": "delete", "key": "none"},
        {"op": "delete", "key": "a"},
    ]});
    for path in ["/api/v1/kv", "/api/v1/kv/batch"] {
        let answer = client.post_json(&format!("{path}?format=string"), &body.to_string());
        assert_eq!(
            answer.status,
            200,
            "an absent key of a get is no failure: {}",
            answer.text()
        );
        assert!(answer.header("x-mantis-seq").is_some());
        let results = answer.data()["results"].clone();
        let success: Vec<_> = results
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["success"].clone())
            .collect();
        assert_eq!(
            json!(success),
            json!([true, true, true, true, false, true, true])
        );
        assert_eq!(
            (&results[2]["value"], &results[3]["value"]),
            (&json!(3), &json!("3"))
        );
        assert_eq!(
            (&results[4]["error"], &results[4]["key"]),
            (&json!("not_found"), &json!("none"))
        );
        assert_eq!(
            (&results[5]["deleted"], &results[6]["deleted"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(results[1]["key"], json!({"base64": "/w=="}));
    }
    assert!(client.get("/api/v1/kv/%ff").data()["ttl"].is_u64());
}

#[test]
fn a_failing_operation_is_207_alone_and_undone_when_atomic() {
    let server = TestServer::new();
    let client = server.client();
    client
        .put_json("/api/v1/kv/word", r#"{"value":"x"}"#)
        .data();
    let body = |atomic: bool| {
        json!({"atomic": atomic, "operations": [
            {"op": "set", "key": "b", "value": "1"},
            {"op": "increment", "key": "word", "by": 1},
        ]})
        .to_string()
    };
    let undone = client.post_json("/api/v1/kv", &body(true));
    assert_eq!(undone.failure(), (409, "wrong_type".into()));
    assert_eq!(undone.json()["details"]["index"], 1);
    assert_eq!(client.get("/api/v1/kv/b").status, 404);
    // Two of the operations are in order; the one that is not says what is wrong with it.
    let over = r#"{"atomic":true,"operations":[{"op":"set","key":"n","value":"9223372036854775807"},
        {"op":"get","key":"n"},{"op":"increment","key":"n","by":1}]}"#;
    let over = client.post_json("/api/v1/kv", over);
    assert_eq!(over.failure(), (400, "invalid_value".into()));
    assert_eq!(over.json()["details"]["index"], 2);
    assert_eq!(client.get("/api/v1/kv/n").status, 404);
    let partly = client.post_json("/api/v1/kv", &body(false));
    assert_eq!(partly.status, 207);
    let results = partly.data()["results"].clone();
    assert_eq!(
        (&results[0]["success"], &results[1]["error"]),
        (&json!(true), &json!("wrong_type"))
    );
    assert_eq!(client.get("/api/v1/kv/b").status, 200);
}

#[test]
fn null_is_a_value_like_any_other() {
    let server = TestServer::new();
    let body = r#"{"operations":[{"op":"set","key":"z","value":null},{"op":"get","key":"z"}]}"#;
    let results = server
        .client()
        .post_json("/api/v1/kv?format=json", body)
        .data()["results"]
        .clone();
    assert_eq!(results[1]["value"], Value::Null);
    assert_eq!(results[1]["success"], true, "{results}");
    let bare = r#"{"operations":[{"op":"get","key":"z","value":null}]}"#;
    assert_eq!(
        server.client().post_json("/api/v1/kv", bare).failure().0,
        400
    );
}

#[test]
fn an_atomic_batch_reads_its_own_writes_in_one_commit() {
    let server = TestServer::new();
    let body = json!({"atomic": true, "operations": [
        {"op": "set", "key": "x", "value": "1"},
        {"op": "get", "key": "x"},
        {"op": "set", "key": "y", "value": "2"},
    ]});
    let answer = server.client().post_json("/api/v1/kv", &body.to_string());
    let results = answer.data()["results"].clone();
    assert_eq!(results[1]["value"], json!(b"1"));
    assert_eq!(results[0]["version"], results[2]["version"]);
    assert_eq!(
        answer.header("x-mantis-seq"),
        Some(results[0]["version"].to_string().as_str())
    );
}

#[test]
fn a_malformed_batch_changes_nothing() {
    let server = TestServer::new();
    let client = server.client();
    let good = json!({"op": "set", "key": "g", "value": 1});
    for (bad, code) in [
        (
            json!({"op": "sett", "key": "g", "value": 1}),
            "invalid_request",
        ),
        (json!({"op": "set", "key": "g"}), "invalid_request"),
        (json!({"op": "set", "value": 1}), "invalid_request"),
        (
            json!({"op": "set", "key": 5, "value": 1}),
            "invalid_request",
        ),
        (
            json!({"op": "set", "key": {"base64": "!"}, "value": 1}),
            "invalid_value",
        ),
        (
            json!({"op": "set", "key": "g", "value": 1, "ttl": 0}),
            "invalid_value",
        ),
        (json!({"op": "increment", "key": "g"}), "invalid_request"),
        (
            json!({"op": "get", "key": "g", "value": 1}),
            "invalid_request",
        ),
        (json!({"op": "get", "key": "g", "by": 1}), "invalid_request"),
        (
            json!({"op": "get", "key": "g", "what": 1}),
            "invalid_request",
        ),
        (json!({"key": "g"}), "invalid_request"),
        (json!(7), "invalid_request"),
    ] {
        let body = json!({"operations": [good, bad]}).to_string();
        assert_eq!(
            client.post_json("/api/v1/kv", &body).failure(),
            (400, code.into()),
            "{body}"
        );
    }
    for body in [
        "{}",
        "[]",
        r#"{"operations":1}"#,
        r#"{"operations":[],"atomc":true}"#,
        r#"[[{"op":"set","key":"g","value":1}],false]"#,
        r#"{"operations":[["set","g",1,null,null,null,null,null,null]]}"#,
        r#"{"operations":[{"op":"set","key":["Zw=="],"value":1}]}"#,
    ] {
        assert_eq!(
            client.post_json("/api/v1/kv", body).failure(),
            (400, "invalid_request".into())
        );
    }
    assert_eq!(client.get("/api/v1/kv/g").status, 404);
    let none = client.post_json("/api/v1/kv", r#"{"operations":[]}"#);
    assert_eq!(none.data()["results"], json!([]));
}

#[test]
fn the_number_of_operations_is_limited() {
    let server = TestServer::new();
    let ops: Vec<Value> = (0..=10_000)
        .map(|n| json!({"op": "set", "key": n.to_string(), "value": n}))
        .collect();
    let answer = server
        .client()
        .post_json("/api/v1/kv", &json!({"operations": ops}).to_string());
    assert_eq!(answer.failure(), (413, "too_large".into()));
    assert_eq!(answer.json()["details"]["limit"], "limits.batch_ops_max");
    assert_eq!(server.client().get("/api/v1/kv").json()["meta"]["total"], 0);
}
