//! The Redis listener beside the HTTP one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mantis_http::ServerHandle;
use mantis_resp::{RequestLimits, RespConfig, Rules, Server};
use mantis_session::{Database, Principal};
use mantis_types::Durability;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{self, Settings};
use crate::exit::Failure;

/// Passwords are the secrets of the HTTP listener, and durability is its default, as they are at that
/// moment.
struct Secrets(ServerHandle);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Rules for Secrets {
    /// A name is not asked for: secrets have none.
    fn verify(&self, _: Option<&str>, password: &str) -> Option<Principal> {
        self.0.settings().credentials.principal_of(password)
    }

    fn stranger(&self, peer: IpAddr) -> Principal {
        self.0.settings().credentials.stranger(peer.is_loopback())
    }

    fn durability(&self) -> Durability {
        self.0.settings().durability
    }
}

/// The listener, bound.
pub(super) struct Redis(Server);

/// The listener, running.
pub(super) struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<bool>,
}

impl Redis {
    /// `None` when it is off.
    pub(super) async fn bind(
        settings: &Settings,
        database: &Database,
        handle: ServerHandle,
    ) -> Result<Option<Self>, Failure> {
        let server = &settings.server;
        let Some(port) = server.resp_port.0 else {
            return Ok(None);
        };
        let host = config::address(server).map_err(Failure::configuration)?;
        let config = RespConfig {
            address: SocketAddr::new(host, port),
            connections_max: server.max_connections,
            limits: RequestLimits::TRUSTED,
            shutdown_grace: server.shutdown_grace,
        };
        let bound = Server::bind(config, database.clone(), Arc::new(Secrets(handle))).await;
        Ok(Some(Self(bound.map_err(anyhow::Error::new)?)))
    }

    pub(super) const fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    pub(super) fn start(self) -> Running {
        let (stop, mut stopped) = watch::channel(false);
        let running = self.0.run(async move {
            // It also stops when nobody can tell it any more.
            drop(stopped.changed().await);
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(running);
        Running { stop, tasks }
    }
}

impl Running {
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether every connection ended by itself.
    pub(super) async fn ended(mut self) -> bool {
        matches!(self.tasks.join_next().await, Some(Ok(true)))
    }
}
