//! The listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mantis_session::{Database, Principal, Session};
use mantis_types::Origin;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::connection;
use crate::request::RequestLimits;
use crate::rules::Rules;

/// Pause after accepting failed, which happens when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Half of what a runtime has for work that blocks.
const THREADS_MAX: usize = 256;

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub struct RespConfig {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Most connections at once; more are told so, and closed.
    pub connections_max: usize,
    /// What requests of clients may be like that have signed in.
    pub limits: RequestLimits,
    /// How long requests under way may take when it stops.
    pub shutdown_grace: Duration,
}

/// Why a server does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A listener that is bound.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    places: Arc<Semaphore>,
    grace: Duration,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) rules: Arc<dyn Rules>,
    pub(crate) limits: RequestLimits,
    /// One for each thread that commands may hold at a time. The other front ends, which commit the
    /// transactions that commands wait for, always find one.
    pub(crate) threads: Semaphore,
    pub(crate) counts: Counts,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicU64,
    connected: AtomicU64,
    refused: AtomicU64,
    commands: AtomicU64,
    errors: AtomicU64,
}

impl Counts {
    pub(crate) fn count_command(&self) {
        self.commands.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    pub(crate) fn connected(&self) -> u64 {
        self.connected.load(Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }
}

impl Shared {
    pub(crate) fn session(&self, principal: Principal) -> Session {
        self.database.session(principal).through(Origin::Resp)
    }

    pub(crate) fn stranger(&self, peer: IpAddr) -> Session {
        self.session(self.rules.stranger(peer))
    }
}

impl Server {
    /// Binds the address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Bind`.
    pub async fn bind(
        config: RespConfig,
        database: Database,
        rules: Arc<dyn Rules>,
    ) -> Result<Self, ServerError> {
        let address = config.address;
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            database,
            rules,
            limits: config.limits,
            threads: Semaphore::new(THREADS_MAX),
            counts: Counts::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            listener,
            address,
            places: Arc::new(Semaphore::new(config.connections_max)),
            grace: config.shutdown_grace,
        })
    }

    /// The address that was bound; the port is known also when 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves: then accepts nothing more, answers the requests under way
    /// within the grace, and answers whether every connection ended by itself. The database stays open.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> bool {
        let mut connections = JoinSet::new();
        let (stop, stopped) = watch::channel(false);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(&mut connections, stream, peer.ip(), &stopped),
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Nobody is left to hear it when all connections have ended.
        stop.send_replace(true);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        tokio::time::timeout(self.grace, all).await.is_ok()
    }

    fn admit(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: IpAddr,
        stopped: &watch::Receiver<bool>,
    ) {
        let shared = Arc::clone(&self.shared);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            shared.counts.refused.fetch_add(1, Relaxed);
            connections.spawn(connection::refuse(stream));
            return;
        };
        let id = shared.counts.connections.fetch_add(1, Relaxed) + 1;
        shared.counts.connected.fetch_add(1, Relaxed);
        let stopped = stopped.clone();
        connections.spawn(async move {
            connection::serve(&shared, stream, peer, id, stopped).await;
            shared.counts.connected.fetch_sub(1, Relaxed);
            drop(place);
        });
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection of the Redis wire panicked");
    }
}
