//! One connection: handshake, guard, HTTP, and its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mantis_types::Code;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::framing::HeadLimits;
use super::guard::{Answering, Exchange, Guard, Render, Timeouts};
use crate::admin::streams::is_upgrade;
use crate::app::App;
use crate::edge::{Edge, Peer, SECURITY_HEADERS, failure_body};
use crate::failure::Failure;
use crate::surfaces::Shape;

/// Most refusals that are being written at once; beyond, connections are closed without a word.
const REFUSALS_MAX: usize = 64;
/// Longest time for the writing of a refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// Read buffer of the HTTP library beyond the limits of a head.
const BUFFER_SPARE: usize = 64 << 10;
/// Header lines that the HTTP library takes without an allocation of its own.
const LIBRARY_HEADERS: usize = 100;

/// What all connections of a server share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    app: App,
    edge: Edge,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    http: http1::Builder,
    render: Render,
    refusals: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(edge: Edge, address: SocketAddr, acceptor: Option<TlsAcceptor>) -> Self {
        let app = edge.app().clone();
        let config = &app.config;
        let mut http = http1::Builder::new();
        // The guard keeps the time: it tells an idle connection from a slow head.
        http.header_read_timeout(None);
        http.max_buf_size(config.target_bytes_max + config.header_bytes_max + BUFFER_SPARE);
        if config.headers_max > LIBRARY_HEADERS {
            http.max_headers(config.headers_max);
        }
        let rendering = app.clone();
        let render: Render = Arc::new(move |failure| last_words(&rendering, failure));
        let refusals = AtomicUsize::new(0);
        Self {
            shared: Arc::new(Shared {
                app,
                edge,
                address,
                acceptor,
                http,
                render,
                refusals,
            }),
        }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        let shared = &self.shared;
        let _open = OpenConnection::new(shared.app.clone());
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let peer = Peer {
            loopback: peer.ip().to_canonical().is_loopback()
                && shared.address.ip().to_canonical().is_loopback(),
            address: peer.ip().to_canonical(),
            tls: shared.acceptor.is_some(),
        };
        // Each way in a box of its own: a plain connection has no room for the state of an encrypted
        // one, and no future holds another one twice.
        match &shared.acceptor {
            None => Box::pin(self.converse(stream, peer)).await,
            Some(acceptor) => Box::pin(self.encrypted(acceptor, stream, peer)).await,
        }
    }

    async fn encrypted(&self, acceptor: &TlsAcceptor, stream: TcpStream, peer: Peer) {
        let limit = self.shared.app.config.header_read_timeout;
        match tokio::time::timeout(limit, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(self.converse(stream, peer)).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// Serves requests. Between two of them that are far apart only the guard is kept: the HTTP
    /// library holds buffers of 16 KiB for as long as it lives.
    async fn converse<S>(&self, socket: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = &self.shared;
        let talk = Talk {
            // The connection's own count of references: all connections would fight for one.
            edge: Arc::new(shared.edge.clone()),
            exchange: Arc::default(),
            peer,
        };
        let stop = shared.app.tasks.stop_signal();
        let mut guard = self.guard(socket, &talk);
        while let Some(true) = stop.unless(guard.wait()).await {
            match self.talk(guard, &talk).await {
                Some(resting) => guard = resting,
                None => return,
            }
        }
        // The client may be gone.
        drop(guard.shutdown().await);
    }

    fn guard<S>(&self, socket: S, talk: &Talk) -> Guard<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = &self.shared.app.config;
        let limits = HeadLimits {
            target_bytes_max: config.target_bytes_max,
            header_bytes_max: config.header_bytes_max,
            headers_max: config.headers_max,
        };
        let timeouts = Timeouts {
            head: config.header_read_timeout,
            idle: config.idle_timeout,
            write_stall: config.write_stall_timeout,
        };
        let render = Arc::clone(&self.shared.render);
        Guard::new(socket, limits, timeouts, Arc::clone(&talk.exchange), render)
    }

    /// Runs the HTTP library over the guard; answers the guard when nothing has come for a while.
    async fn talk<S>(&self, guard: Guard<S>, talk: &Talk) -> Option<Guard<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = &self.shared;
        let service = talk.clone();
        let service = service_fn(move |request: Request<Incoming>| service.answer(request));
        let connection = shared.http.serve_connection(TokioIo::new(guard), service);
        let mut connection = Box::new(connection.with_upgrades());
        let talking = poll_fn(|cx| match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if talk.exchange.is_resting() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let ended = match shared.app.tasks.stop_signal().unless(talking).await {
            Some(None) => {
                let parts = connection.into_parts()?;
                debug_assert!(
                    parts.read_buf.is_empty(),
                    "only a whole request ends a walk"
                );
                return Some(parts.io.into_inner());
            }
            Some(Some(ended)) => ended,
            None => {
                Pin::new(&mut *connection).graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        None
    }

    /// Says that there is no room; `None` when too many are being told so already.
    pub(super) fn refuse(self, mut stream: TcpStream) -> Option<impl Future<Output = ()> + Send> {
        let place = RefusalPlace::take(&self.shared)?;
        let failure = Failure::new(Code::PoolExhausted, "server.max_connections are open");
        // A plain-text answer means nothing to a client that begins a TLS handshake.
        let words = if self.shared.acceptor.is_none() {
            (self.shared.render)(&failure)
        } else {
            Vec::new()
        };
        Some(async move {
            // The client may be gone or slow: it is not waited for.
            drop(tokio::time::timeout(REFUSAL_TIME, say_and_close(&mut stream, &words)).await);
            drop(place);
        })
    }
}

/// What the requests of one connection share. Cheap to clone.
#[derive(Clone)]
struct Talk {
    edge: Arc<Edge>,
    exchange: Arc<Exchange>,
    peer: Peer,
}

impl Talk {
    /// Answers one request, and tells the guard when the answer is over.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Tracked>, Infallible>> + Send + use<> {
        let answering = self.exchange.begin();
        let serving = self.edge.serve(request.map(Body::new), self.peer);
        async move {
            let response = serving.await;
            if is_upgrade(&response) {
                answering.exchange().upgrade();
            }
            Ok(response.map(|body| Tracked {
                body,
                _answering: answering,
            }))
        }
    }
}

/// Writes, says that nothing follows, and reads until the client has understood.
async fn say_and_close(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut room = [0_u8; 1024];
    while stream.read(&mut room).await? > 0 {}
    Ok(())
}

/// A whole answer to a client whose request never became one.
fn last_words(app: &App, failure: &Failure) -> Vec<u8> {
    let id = app.ids.next();
    let request_id = id.as_str();
    app.operations.count_error(failure.kind());
    app.requests
        .observe(None, None, failure.status(), Duration::ZERO);
    let body = failure_body(failure, request_id, Shape::Envelope);
    let status = failure.status();
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
    line("content-type", "application/json");
    line("content-length", &body.len().to_string());
    line("cache-control", "no-store");
    line("connection", "close");
    line("x-request-id", request_id);
    for (name, value) in SECURITY_HEADERS {
        line(name.as_str(), value);
    }
    for (name, value) in failure.headers() {
        line(name.as_str(), value.to_str().unwrap_or_default());
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

/// Counts an open connection.
struct OpenConnection(App);

impl OpenConnection {
    fn new(app: App) -> Self {
        app.counts.connections.fetch_add(1, Relaxed);
        Self(app)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.counts.connections.fetch_sub(1, Relaxed);
    }
}

/// One of the places for refusals.
struct RefusalPlace(Arc<Shared>);

impl RefusalPlace {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.refusals.fetch_add(1, Relaxed);
        let place = Self(Arc::clone(shared));
        (taken < REFUSALS_MAX).then_some(place)
    }
}

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        self.0.refusals.fetch_sub(1, Relaxed);
    }
}

/// A body that tells the guard when it is over.
struct Tracked {
    body: Body,
    _answering: Answering,
}

impl hyper::body::Body for Tracked {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}
