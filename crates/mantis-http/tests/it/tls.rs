//! TLS, with a certificate made for the test.

use std::process::Command;

use mantis_http::TlsFiles;

use crate::server::Setup;

/// A certificate for 127.0.0.1 and its key; `None` without the openssl program.
fn certificate(dir: &std::path::Path) -> Option<TlsFiles> {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .ok()?;
    made.status.success().then_some(TlsFiles { cert, key })
}

#[test]
fn requests_are_served_over_tls_with_hsts() {
    let dir = tempfile::tempdir().unwrap();
    let Some(files) = certificate(dir.path()) else {
        println!("SKIP requests_are_served_over_tls_with_hsts: no openssl program");
        return;
    };
    let mut setup = Setup::default();
    let cert = files.cert.clone();
    setup.config.tls = Some(files);
    let server = setup.start();
    let url = format!("https://{}/api/v1/kv/a", server.address);
    let curl = |arguments: &[&str]| {
        Command::new("curl")
            .args(["-sSi", "--cacert"])
            .arg(&cert)
            .args(arguments)
            .arg(&url)
            .output()
    };
    let Ok(put) = curl(&[
        "-X",
        "PUT",
        "-H",
        "Content-Type: a/b",
        "--data-binary",
        "hello",
    ]) else {
        println!("SKIP requests_are_served_over_tls_with_hsts: no curl program");
        return;
    };
    let put = String::from_utf8_lossy(&put.stdout).into_owned();
    assert!(put.starts_with("HTTP/1.1 200"), "{put}");
    let got = curl(&["-H", "Accept: a/b"]).unwrap();
    let got = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(
        got.ends_with("hello") && got.contains("strict-transport-security: max-age="),
        "{got}"
    );
    // Plain text on a TLS port is closed without a word.
    let mut wire = crate::client::Wire::connect(server.address);
    wire.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!wire.until_closed().starts_with(b"HTTP/1.1 200"));
}

#[test]
fn unusable_files_are_named_by_their_setting() {
    use std::sync::Arc;

    use mantis_env::Env;
    use mantis_http::{HttpConfig, HttpSettings, Server};
    use mantis_session::Database;

    let dir = tempfile::tempdir().unwrap();
    let junk = dir.path().join("junk.pem");
    std::fs::write(&junk, "no PEM").unwrap();
    let config = HttpConfig {
        port: 0,
        tls: Some(TlsFiles {
            cert: junk.clone(),
            key: junk,
        }),
        ..HttpConfig::default()
    };
    let database = Database::open_in_memory(&Env::real()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = Arc::new(crate::server::TestConfig::default());
    let refused = runtime.block_on(Server::bind(
        config,
        HttpSettings::default(),
        database,
        store,
    ));
    assert!(refused.unwrap_err().to_string().contains("server.tls_cert"));
}
