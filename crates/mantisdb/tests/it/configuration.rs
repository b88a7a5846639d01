//! Where settings come from, what is refused, what can change while the server runs.

use rustix::process::Signal;
use serde_json::json;

use crate::program::Place;

#[test]
fn each_value_says_where_it_comes_from() {
    let place = Place::new();
    place.write(
        "mantisdb.yaml",
        "server:\n  port: 1\n  host: localhost\ndatabase:\n  cache_size: 1GB\n",
    );
    place.write("secret", "from-a-file\n");
    let environment = [
        ("MANTIS_PORT", "2"),
        ("MANTIS_LOG_LEVEL", "warn"),
        ("MANTIS_ADMIN_TOKEN_FILE", "secret"),
    ];
    let shown = place.run_with(
        &["config", "show", "--port", "3", "-o", "json"],
        &environment,
        b"",
    );
    let shown: serde_json::Value = serde_json::from_str(shown.ok()).unwrap();
    let got = |section: &str, name: &str| {
        let entry = &shown["settings"][section][name];
        (
            entry["value"].clone(),
            entry["source"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(got("server", "port"), (json!(3), "flag --port".into()));
    assert_eq!(
        got("server", "host"),
        (json!("localhost"), "file mantisdb.yaml".into())
    );
    assert_eq!(
        got("logging", "level"),
        (json!("warn"), "environment MANTIS_LOG_LEVEL".into())
    );
    assert_eq!(
        got("database", "cache_size"),
        (json!(1 << 30), "file mantisdb.yaml".into())
    );
    assert_eq!(
        got("server", "request_timeout"),
        (json!("30s"), "built-in".into())
    );
    let token = (
        json!("***"),
        "the file that MANTIS_ADMIN_TOKEN_FILE names".into(),
    );
    assert_eq!(got("security", "admin_token"), token);
}

#[test]
fn what_cannot_be_is_exit_code_78() {
    let place = Place::new();
    for (yaml, part) in [
        ("server:\n  prot: 1\n", "did you mean server.port?"),
        ("serverr:\n  port: 1\n", "did you mean server?"),
        ("server:\n  port: x\n", "must be a port"),
        ("server: [\n", "file mantisdb.yaml"),
        ("pool:\n  max_connections: 5\n", "the connection pool"),
        ("database:\n  memory_limit: 1MB\n", "memory_limit"),
    ] {
        place.write("mantisdb.yaml", yaml);
        for arguments in [
            &["serve"][..],
            &["config", "show"],
            &["config", "validate", "mantisdb.yaml"],
        ] {
            let ended = place.run(arguments);
            assert!(
                ended.refused(78).contains(part),
                "{yaml:?} {arguments:?}: {ended:?}"
            );
        }
    }
    let missing = place.run(&["serve", "--config", "nowhere.yaml"]);
    assert!(missing.refused(78).contains("nowhere.yaml"), "{missing:?}");
    place.write("mantisdb.yaml", "");
    let unknown = place.run_with(&["serve"], &[("MANTIS_SERVER_PROT", "1")], b"");
    assert!(
        unknown.refused(78).contains("MANTIS_SERVER_PORT"),
        "{unknown:?}"
    );
    let production = place.run(&["serve", "--env", "production"]);
    assert!(
        production.refused(78).contains("MANTIS_ADMIN_TOKEN"),
        "{production:?}"
    );
    assert!(
        !place.path("data").exists(),
        "nothing was made by a start that was refused"
    );
}

#[test]
fn other_machines_need_a_token_and_tls_or_a_word() {
    let place = Place::new();
    let start = |arguments: &[&str], environment: &[(&str, &str)]| {
        let arguments = [&["serve", "--host", "0.0.0.0", "--port", "0"], arguments].concat();
        place.run_with(&arguments, environment, b"")
    };
    let token = ("MANTIS_ADMIN_TOKEN", "a-token");
    assert!(start(&[], &[]).refused(78).contains("security.admin_token"));
    assert!(
        start(&["--insecure"], &[])
            .refused(78)
            .contains("security.admin_token")
    );
    assert!(start(&[], &[token]).refused(78).contains("--insecure"));
    let unusable = [
        token,
        ("MANTIS_TLS_CERT", "none.pem"),
        ("MANTIS_TLS_KEY", "none.pem"),
    ];
    assert!(start(&[], &unusable).refused(78).contains("TLS"));
    assert!(
        start(&[], &[token, ("MANTIS_TLS_CERT", "a.pem")])
            .refused(78)
            .contains("belong together")
    );
}

#[test]
fn validate_answers_for_good_files_and_odd_ones() {
    let place = Place::new();
    place.write("good.yaml", "server:\n  port: 9000\n");
    assert!(
        place
            .run(&["config", "validate", "good.yaml"])
            .ok()
            .contains("is valid")
    );
    place.write("odd.yaml", "memory:\n  gc_percent: 100\n");
    let odd = place.run(&["config", "validate", "odd.yaml"]);
    assert!(odd.ok().contains("warning: memory.gc_percent"), "{odd:?}");
    let staging = place.run(&["config", "validate", "good.yaml", "--env", "staging"]);
    assert!(staging.refused(78).contains("admin_token"), "{staging:?}");
}

#[test]
fn sighup_applies_what_can_be_applied_and_names_the_rest() {
    let place = Place::new();
    place.write("mantisdb.yaml", "logging:\n  level: info\n");
    let server = place.serve();
    assert_eq!(server.request("GET", "/api/v1/kv", None, "").0, 200);
    place.write(
        "mantisdb.yaml",
        "server:\n  max_body_size: 10\ndatabase:\n  cache_size: 1GB\n",
    );
    server.signal(Signal::HUP);
    let line = server.wait_for_log("configuration reloaded");
    assert!(
        line.contains("server.max_body_size") && line.contains("logging.level"),
        "{line}"
    );
    let (_, waiting) = line.split_once("restart_required").unwrap();
    assert!(waiting.contains("database.cache_size"), "{line}");
    assert_eq!(
        server
            .request("PUT", "/api/v1/kv/k", None, "{\"value\":\"long enough\"}")
            .0,
        413
    );
    place.write("mantisdb.yaml", "server:\n  prot: 1\n");
    server.signal(Signal::HUP);
    let line = server.wait_for_log("was not reloaded");
    assert!(line.contains("server.port"), "{line}");
    assert_eq!(
        server
            .request("PUT", "/api/v1/kv/k", None, "{\"value\":\"long enough\"}")
            .0,
        413
    );
}

#[test]
fn put_config_applies_persists_and_says_what_waits() {
    let place = Place::new();
    place.write("mantisdb.yaml", "# ours\nlogging:\n  level: info # usual\n");
    let server = place.serve();
    let token = place.read("data/admin_token");
    let put = |body: serde_json::Value| {
        server.request("PUT", "/api/config", Some(token.trim()), &body.to_string())
    };
    let change = json!({"logging": {"level": "warn"}, "server": {"max_body_size": "300"}, "database": {"cache_size": "1GB"}});
    let (status, answer) = put(change);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["applied"],
        json!(["server.max_body_size", "logging.level"])
    );
    assert_eq!(answer["restart_required"], json!(["database.cache_size"]));
    assert_eq!(
        place.read("mantisdb.yaml"),
        "# ours\nlogging:\n  level: \"warn\"\ndatabase:\n  cache_size: \"1GB\"\nserver:\n  max_body_size: \"300\"\n"
    );
    let long = json!({ "value": "x".repeat(300) }).to_string();
    assert_eq!(server.request("PUT", "/api/v1/kv/k", None, &long).0, 413);
    for (body, part) in [
        (json!({"logging": {"levle": "info"}}), "logging.level"),
        (json!({"logging": {"level": "loud"}}), "one of"),
        (json!({"server": {"port": 1}}), "stronger than the file"),
        (json!({"server": {"pg_port": 1}}), "PostgreSQL"),
        (json!({"security": {"cors_origins": ["*"]}}), "no origin"),
        (json!({"limits": {"max_value_size": "1GB"}}), "at most half"),
    ] {
        let before = place.read("mantisdb.yaml");
        let (status, answer) = put(body.clone());
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer.to_string().contains(part), "{body}: {answer}");
        assert_eq!(place.read("mantisdb.yaml"), before, "{body}");
    }
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    let shown = place.run(&["config", "show"]);
    let row = shown
        .ok()
        .lines()
        .find(|line| line.starts_with("database.cache_size"))
        .unwrap();
    assert!(
        row.contains("1GB") && row.contains("file mantisdb.yaml"),
        "{row}"
    );
}

#[test]
fn get_config_masks_secrets_and_takes_them_back() {
    let place = Place::new();
    place.write(
        "mantisdb.yaml",
        "security:\n  admin_token: very-secret-token\n  api_keys: [k1, k2]\n",
    );
    let server = place.serve();
    let token = Some("very-secret-token");
    let (status, shown) = server.request("GET", "/api/config", token, "");
    assert_eq!(status, 200);
    assert!(!shown.to_string().contains("very-secret"), "{shown}");
    assert_eq!(shown["security"]["api_keys"], json!(["***", "***"]));
    let body = json!({"security": shown["security"]}).to_string();
    let (status, answer) = server.request("PUT", "/api/config", token, &body);
    assert_eq!((status, &answer["applied"]), (200, &json!([])), "{answer}");
    assert!(place.read("mantisdb.yaml").contains("very-secret-token"));
    let report = server
        .request("POST", "/api/config/validate", token, "{\"a\":{\"b\":1}}")
        .1;
    assert_eq!(report["valid"], json!(false), "{report}");
}
