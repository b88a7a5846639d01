//! The OpenAPI document against the server, by schemathesis.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use mantis_http::Anonymous;

use crate::server::{ADMIN, Setup};

const CONFIG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/contract/schemathesis.toml"
);

/// The program, from the build directory or the path; `None` when it is not installed.
fn schemathesis() -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let named = std::env::var_os("MANTIS_SCHEMATHESIS").map(PathBuf::from);
    let local = PathBuf::from(root).join("target/schemathesis/bin/schemathesis");
    let candidates = named
        .into_iter()
        .chain([local, PathBuf::from("schemathesis")]);
    candidates.into_iter().find(|program| {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|out| out.status.success())
    })
}

/// Runs it; answers whether it found nothing, and what it said.
fn examine(program: &PathBuf, url: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let seed = std::env::var("MANTIS_CONTRACT_SEED").unwrap_or_else(|_| "1".to_owned());
    let examples = std::env::var("MANTIS_CONTRACT_EXAMPLES").unwrap_or_else(|_| "10".to_owned());
    let output = Command::new(program)
        .current_dir(dir.path())
        .args([
            "--config-file",
            CONFIG,
            "--no-color",
            "run",
            url,
            "--max-examples",
            &examples,
            "--seed",
            &seed,
        ])
        .args(["-H", &format!("Authorization: {ADMIN}")])
        // A stream does not end, and a configuration change would be one.
        .args(["--exclude-path-regex", "^/api/(ws/|v1/changes)"])
        .args(["--request-timeout", "20"])
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

#[test]
fn the_server_answers_as_its_document_says() {
    let Some(program) = schemathesis() else {
        println!("SKIP the_server_answers_as_its_document_says: schemathesis is not installed");
        return;
    };
    let mut setup = Setup::default();
    setup.settings.credentials.anonymous = Anonymous::Refused;
    let server = setup.start();
    let (found_nothing, text) =
        examine(&program, &format!("http://{}/openapi.json", server.address));
    assert!(found_nothing, "{text}");
}

/// The control: a stub whose only route fails must be found out.
#[test]
fn a_planted_500_is_found() {
    let Some(program) = schemathesis() else {
        println!("SKIP a_planted_500_is_found: schemathesis is not installed");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let document = r#"{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/broken":{"get":{"responses":{"200":{"description":"ok"}}}}}}"#;
    let answers = move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut room = [0; 4096];
            let count = stream.read(&mut room).unwrap_or(0);
            if room[..count].starts_with(b"QUIT") {
                return;
            }
            let schema = room[..count].starts_with(b"GET /openapi.json");
            let (status, body) = if schema {
                ("200 OK", document)
            } else {
                ("500 Internal Server Error", "{}")
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            drop(stream.write_all(format!("{head}{body}").as_bytes()));
        }
    };
    let (found_nothing, text) = std::thread::scope(|scope| {
        let stub = scope.spawn(answers);
        let verdict = examine(&program, &format!("http://{address}/openapi.json"));
        std::net::TcpStream::connect(address)
            .unwrap()
            .write_all(b"QUIT")
            .unwrap();
        stub.join().unwrap();
        verdict
    });
    assert!(!found_nothing, "{text}");
    assert!(text.contains("500"), "{text}");
}
