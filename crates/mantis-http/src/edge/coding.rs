//! Content codings: inflates requests, compresses answers, each only where it was asked for.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompression;

use crate::failure::{Failure, Outcome};

/// Shortest answer that is compressed, in bytes.
const COMPRESS_ABOVE: u64 = 1024;
/// What request bodies may be encoded with.
const CODINGS: &str = "gzip, br, zstd";

/// What a handler does.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler under way between the codings that the request asks for.
pub(super) struct Coded {
    answering: Answering,
    /// Every `Accept-Encoding`; empty when the client names none.
    accepted: Vec<HeaderValue>,
}

impl Coded {
    /// Starts a handler.
    ///
    /// # Errors
    /// 415 for a coding of the body that is not known.
    pub(super) fn begin<F>(request: Request, handler: F) -> Outcome<Self>
    where
        F: Fn(Request) -> Answering + Clone + Send + 'static,
    {
        let accepted = request.headers().get_all(header::ACCEPT_ENCODING);
        let accepted = accepted.iter().cloned().collect();
        let answering = if is_encoded(request.headers())? {
            Box::pin(inflated(request, handler))
        } else {
            handler(request)
        };
        Ok(Self {
            answering,
            accepted,
        })
    }

    /// The handler's answer, compressed where that pays.
    pub(super) async fn finish(self) -> Response {
        let response = self.answering.await;
        if stays_as_it_is(&response, &self.accepted) {
            response
        } else {
            Box::pin(compressed(response, self.accepted)).await
        }
    }
}

/// Whether the layer would hand the answer on untouched. Most answers are short, and then it need
/// not be built. With qualities the client may even refuse an answer that is not compressed: that is
/// for the layer to say.
fn stays_as_it_is(response: &Response, accepted: &[HeaderValue]) -> bool {
    let has_qualities = |value: &HeaderValue| value.as_bytes().contains(&b';');
    accepted.is_empty()
        || (!accepted.iter().any(has_qualities) && !predicate().should_compress(response))
}

fn predicate() -> impl Predicate {
    let streams = NotForContentType::SSE.and(NotForContentType::const_new("application/x-ndjson"));
    SizeAbove::new(COMPRESS_ABOVE).and(streams)
}

async fn compressed(response: Response, accepted: Vec<HeaderValue>) -> Response {
    let mut asked = Request::new(Body::empty());
    for value in accepted {
        asked.headers_mut().append(header::ACCEPT_ENCODING, value);
    }
    let mut response = Some(response);
    let service = service_fn(move |_: Request| {
        let response = response.take().expect("one request is made");
        ready(Ok::<_, Infallible>(response))
    });
    let compressing = Compression::new(service).compress_when(predicate());
    match compressing.oneshot(asked).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

async fn inflated<F>(request: Request, handler: F) -> Response
where
    F: Fn(Request) -> Answering + Clone + Send + 'static,
{
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
fn is_encoded(headers: &HeaderMap) -> Outcome<bool> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
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
