//! A server in this process, on a free port of the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mantis_http::{
    Anonymous, ConfigApplied, ConfigError, ConfigReport, ConfigStore, Credentials, HttpConfig,
    HttpSettings, Server,
};
use mantis_session::Database;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long requests under way may take when it stops.
const GRACE: Duration = Duration::from_secs(5);

/// A running server; dropping it stops it.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<bool>>,
}

impl Served {
    /// Serves a database to whoever connects.
    pub(super) fn start(database: Database) -> Result<Self> {
        let config = HttpConfig {
            port: 0,
            shutdown_grace: GRACE,
            ..HttpConfig::default()
        };
        let settings = HttpSettings {
            credentials: Credentials {
                anonymous: Anonymous::OwnerOnLoopback,
                ..Credentials::default()
            },
            ..HttpSettings::default()
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let bound = Server::bind(config, settings, database, Arc::new(NoConfig));
        let server = runtime.block_on(bound)?;
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(server.run(async move {
            // It also stops when the sender is gone.
            drop(stopped.await);
        }));
        Ok(Self {
            address,
            runtime,
            stop: Some(stop),
            running: Some(running),
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            let ended = self.runtime.block_on(running);
            ended.expect("the server does not panic");
        }
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// It has no configuration file.
#[derive(Debug)]
struct NoConfig;

impl ConfigStore for NoConfig {
    fn show(&self) -> Value {
        json!({})
    }

    fn validate(&self, _: &Value) -> ConfigReport {
        ConfigReport {
            errors: vec!["there is no configuration file".to_owned()],
            warnings: Vec::new(),
        }
    }

    fn apply(&self, _: &Value) -> Result<ConfigApplied, ConfigError> {
        Err(ConfigError::NoFile)
    }
}
