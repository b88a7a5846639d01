//! The listener: accepts connections, gives each its guard and the HTTP library, and shuts down in
//! order.

mod connection;
mod framing;
mod guard;
mod tasks;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mantis_session::Database;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub(crate) use tasks::TaskGroup;

use crate::app::App;
use crate::config::{HttpConfig, HttpSettings};
use crate::config_store::ConfigStore;
use crate::edge::Edge;
use crate::events::{CommitWatch, Event};
use connection::Connections;

/// Pause after a failed accept: the process is out of descriptors, or the network is down.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two samples of the rates.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at the newest commit while somebody listens.
const COMMIT_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A bound HTTP listener. [`Server::run`] serves it.
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Changes a server while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    app: App,
}

impl ServerHandle {
    /// Swaps the settings; requests that have begun keep the old ones.
    pub fn apply(&self, settings: HttpSettings) {
        self.app.apply(settings);
    }

    /// The settings in effect.
    #[must_use]
    pub fn settings(&self) -> Arc<HttpSettings> {
        self.app.settings.load_full()
    }

    /// Tells everyone who listens on `/api/ws/events`.
    pub fn publish(&self, event: Event) {
        self.app.publish(event);
    }
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key could not be used.
    #[error("cannot use the TLS certificate and key: {reason}")]
    Tls {
        /// What is wrong with them.
        reason: String,
    },
}

impl Server {
    /// Binds the address of the configuration. Connections wait in the backlog until
    /// [`Server::run`]. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Bind` when the address is taken or not ours; `Tls` for unusable files.
    pub async fn bind(
        config: HttpConfig,
        settings: HttpSettings,
        database: Database,
        config_store: Arc<dyn ConfigStore>,
    ) -> Result<Self, ServerError> {
        let address = SocketAddr::new(config.host, config.port);
        let failed = |source| ServerError::Bind { address, source };
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = App::new(config, settings, database, config_store);
        Ok(Self {
            app,
            listener,
            address,
            acceptor,
        })
    }

    /// The address that was bound; the port is known also when 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A handle for changes while it runs.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            app: self.app.clone(),
        }
    }

    /// Serves until `shutdown` resolves: then accepts nothing more, finishes the requests under way
    /// within the grace, ends the streams, and answers whether everything ended by itself. The
    /// database stays open.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> bool {
        let Self {
            app,
            listener,
            address,
            acceptor,
        } = self;
        start_background(&app);
        let places = Arc::new(Semaphore::new(app.config.connections_max));
        let connections = Connections::new(Edge::new(app.clone()), address, acceptor);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => admit(&app, &connections, &places, stream, peer),
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        app.tasks.stop(app.config.shutdown_grace).await
    }
}

/// Starts a connection where there is room for it, else says that there is none.
fn admit(
    app: &App,
    connections: &Connections,
    places: &Arc<Semaphore>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let connections = connections.clone();
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => {
            app.counts.connections_total.fetch_add(1, Relaxed);
            app.tasks.start(async move {
                connections.serve(stream, peer).await;
                drop(place);
            });
        }
        Err(_) => {
            app.counts.connections_refused.fetch_add(1, Relaxed);
            if let Some(refusal) = connections.refuse(stream) {
                app.tasks.start(refusal);
            }
        }
    }
}

fn start_background(app: &App) {
    let sampled = app.clone();
    app.tasks.start(async move {
        let stopped = sampled.tasks.stopped();
        let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => sampled.sample(),
                () = stopped.cancelled() => break,
            }
        }
    });
    let watched = app.clone();
    app.tasks.start(async move {
        let stopped = watched.tasks.stopped();
        let mut ticks = tokio::time::interval(COMMIT_LOOK_INTERVAL);
        let mut watch = CommitWatch::new(watched.database.visible_seq());
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Some(event) = watch.look(watched.database.visible_seq()) {
                        watched.publish(event);
                    }
                }
                () = stopped.cancelled() => break,
            }
        }
    });
}
