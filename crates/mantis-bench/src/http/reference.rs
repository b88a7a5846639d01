//! The bare axum server beside which ours is measured: two JSON routes under the layers that any
//! service of this kind has, each built from the usual crates. There is no store below it.
//!
//! Layers, outermost first: access log through tracing, request id and security headers, static
//! token, deadline, compression. hyper and the runtime are set up as in the server.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context;
use axum::Json;
use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mantis_env::Env;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::server::{TOKEN, value};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEADLINE: Duration = Duration::from_secs(30);
const COMPRESS_ABOVE: u64 = 1024;
/// As the server's: target, headers and room.
const BUFFER_BYTES_MAX: usize = 65_000 + (32 << 10) + (64 << 10);
const BODY_BYTES_MAX: usize = 10 << 20;

const HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; sandbox",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
    (header::CACHE_CONTROL, "private, no-cache"),
    (header::VARY, "Accept"),
];

/// What the layers share.
#[derive(Clone)]
struct Shared {
    env: Env,
    ids: Arc<AtomicU64>,
    value: Arc<[u8]>,
}

#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    data: T,
    error: Option<()>,
    meta: Option<()>,
}

impl<T> Envelope<T> {
    const fn of(data: T) -> Self {
        Self {
            success: true,
            data,
            error: None,
            meta: None,
        }
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    key: String,
    value: &'a [u8],
    content_type: &'static str,
    ttl: Option<u64>,
    version: u64,
}

#[derive(Deserialize)]
struct Put {
    value: String,
}

#[derive(Serialize)]
struct Written {
    key: String,
    message: &'static str,
    created: bool,
    version: u64,
}

/// Serves until it is killed.
///
/// # Errors
/// When the runtime or the listener cannot be started.
pub fn serve() -> anyhow::Result<()> {
    let filter = EnvFilter::new("warn,mantis=info");
    tracing_subscriber::registry()
        .with(filter)
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false),
        )
        .try_init()
        .context("a log runs already")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("bare-http")
        .build()?;
    runtime.block_on(accept())
}

async fn accept() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "ready http={}", listener.local_addr()?)?;
    out.flush()?;
    let router = router();
    let tasks = tokio_tasks();
    loop {
        let (stream, peer) = listener.accept().await?;
        tasks.spawn(converse(router.clone(), stream, peer));
    }
}

/// The runtime's own handle; its tasks end with the process.
fn tokio_tasks() -> tokio::runtime::Handle {
    tokio::runtime::Handle::current()
}

async fn converse(router: Router, stream: TcpStream, peer: SocketAddr) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { router.oneshot(request).await }
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None);
    http.max_buf_size(BUFFER_BYTES_MAX);
    let served = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn router() -> Router {
    let shared = Shared {
        env: Env::real(),
        ids: Arc::default(),
        value: value(0).into_bytes().into(),
    };
    let compressing = CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE));
    Router::new()
        .route("/api/v1/kv/{*key}", get(show).put(store))
        .layer(compressing)
        .layer(middleware::from_fn(deadline))
        .layer(middleware::from_fn(token))
        .layer(middleware::from_fn_with_state(shared.clone(), dress))
        .with_state(shared)
}

async fn show(State(shared): State<Shared>, Path(key): Path<String>) -> Response {
    let data = Entry {
        key,
        value: &shared.value,
        content_type: "text/plain; charset=utf-8",
        ttl: None,
        version: 1,
    };
    ([(header::ETAG, "\"1\"")], Json(Envelope::of(data))).into_response()
}

async fn store(Path(key): Path<String>, body: axum::body::Body) -> Response {
    let read = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let put = read
        .ok()
        .and_then(|body: Bytes| serde_json::from_slice::<Put>(&body).ok());
    if put.is_none_or(|put| put.value.is_empty()) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let data = Written {
        key,
        message: "stored",
        created: false,
        version: 1,
    };
    let headers = [
        (header::ETAG, "\"1\""),
        (HeaderName::from_static("x-mantis-seq"), "1"),
        (HeaderName::from_static("x-mantis-durability"), "none"),
    ];
    (headers, Json(Envelope::of(data))).into_response()
}

async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

async fn token(request: Request, next: Next) -> Result<Response, StatusCode> {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.and_then(|line| line.to_str().ok()?.strip_prefix("Bearer "));
    if shown != Some(TOKEN) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(next.run(request).await)
}

/// Request id, headers and access log.
async fn dress(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Infallible> {
    let from = shared.env.clock().monotonic();
    let method = request.method().clone();
    let id = shared.ids.fetch_add(1, Relaxed);
    let request_id = format!("{:016x}{id:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let trace_id = format!("{id:016x}{:016x}", id.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(line) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, line);
    }
    for (name, text) in HEADERS {
        headers.insert(name, HeaderValue::from_static(text));
    }
    let took = shared.env.clock().monotonic().saturating_sub(from);
    tracing::info!(
        target: "mantis_http::access",
        method = method.as_str(),
        route = "/api/v1/kv/{*key}",
        status = response.status().as_u16(),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        peer = %peer.ip(),
        request_id,
        trace_id,
        "answered"
    );
    Ok(response)
}
