//! A Rust program that keeps its data in MantisDB and serves it over HTTP as well:
//! `cargo run --example rest_api_server --release`, then
//! `curl -X PUT http://127.0.0.1:8080/api/v1/kv/hello -H 'Content-Type: text/plain' -d world`.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use mantis_http::{
    Anonymous, ConfigApplied, ConfigError, ConfigReport, ConfigStore, Credentials, HttpConfig,
    HttpSettings, Server,
};
use mantisdb::LockFreeStorage;
use serde_json::{Value, json};

/// Where the data goes, unless the first argument says otherwise.
const DATA_DIR: &str = "./data";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| DATA_DIR.to_owned());
    let port = arguments.next().map_or(Ok(8080), |port| port.parse())?;
    let storage = LockFreeStorage::open(&dir)?;
    storage.put("greeting", "hello from Rust")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&storage, port))?;
    storage.close()?;
    Ok(())
}

async fn serve(storage: &LockFreeStorage, port: u16) -> Result<(), Box<dyn Error>> {
    let config = HttpConfig {
        port,
        ..HttpConfig::default()
    };
    // Callers on this machine own the data; nobody administers the server over HTTP.
    let credentials = Credentials {
        anonymous: Anonymous::OwnerOnLoopback,
        ..Credentials::default()
    };
    let settings = HttpSettings {
        credentials,
        ..HttpSettings::default()
    };
    let database = storage.database().clone();
    let server = Server::bind(config, settings, database, Arc::new(FixedConfig)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "ready http={}", server.local_addr())?;
    writeln!(
        out,
        "try: curl http://{}/api/v1/kv/greeting?format=string",
        server.local_addr()
    )?;
    out.flush()?;
    server
        .run(async {
            if let Err(error) = tokio::signal::ctrl_c().await {
                // Without the signal the server would never end: end it now, and say why.
                drop(writeln!(
                    std::io::stderr(),
                    "cannot wait for Ctrl-C: {error}"
                ));
            }
        })
        .await;
    Ok(())
}

/// This program has no configuration file.
#[derive(Debug)]
struct FixedConfig;

impl ConfigStore for FixedConfig {
    fn show(&self) -> Value {
        json!({})
    }

    fn validate(&self, _: &Value) -> ConfigReport {
        let errors = vec!["the configuration of this program is fixed".to_owned()];
        ConfigReport {
            errors,
            warnings: Vec::new(),
        }
    }

    fn apply(&self, _: &Value) -> Result<ConfigApplied, ConfigError> {
        Err(ConfigError::NoFile)
    }
}
