//! Content codings: inflates requests, compresses answers, each only where it was asked for.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompression;

use crate::failure::{Failure, Outcome};

/// Shortest answer that is compressed, in bytes.
const COMPRESS_ABOVE: u64 = 1024;
/// What request bodies may be encoded with.
const CODINGS: &str = "gzip, br, zstd";

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Runs a handler between the codings that the request asks for.
///
/// # Errors
/// 415 for a coding of the body that is not known.
pub(super) async fn run<F>(request: Request, handler: F) -> Outcome<Response>
where
    F: Fn(Request) -> Answering + Clone + Send + 'static,
{
    let inflates = is_encoded(&request)?;
    if !request.headers().contains_key(header::ACCEPT_ENCODING) {
        return Ok(inflated(request, handler, inflates).await);
    }
    let service = service_fn(move |request: Request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(inflated(request, handler, inflates).await) }
    });
    let predicate = SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::SSE);
    let compressing = Compression::new(service).compress_when(predicate);
    match compressing.oneshot(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(never) => match never {},
    }
}

async fn inflated<F>(request: Request, handler: F, inflates: bool) -> Response
where
    F: Fn(Request) -> Answering + Clone + Send + 'static,
{
    if !inflates {
        return handler(request).await;
    }
    let service = service_fn(move |request: http::Request<_>| {
        let answering = handler(request.map(Body::new));
        async move { Ok::<_, Infallible>(answering.await) }
    });
    match RequestDecompression::new(service).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Whether the body is encoded.
///
/// # Errors
/// 415 for several codings, or one that is not known.
fn is_encoded(request: &Request) -> Outcome<bool> {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    let known = matches!(coding.as_bytes(), b"gzip" | b"br" | b"zstd");
    if coding == "identity" && codings.next().is_none() {
        return Ok(false);
    }
    if known && codings.next().is_none() {
        return Ok(true);
    }
    let message = "Content-Encoding must be one of gzip, br and zstd";
    Err(Failure::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static(CODINGS)))
}
