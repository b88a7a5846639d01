//! Answers of handlers: the envelope, bare objects, and the headers of single values and writes.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mantis_session::{Committed, UNCOMMITTED};
use mantis_types::{Code, Seq};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::json;

pub(crate) const TTL_HEADER: HeaderName = HeaderName::from_static("x-mantis-ttl");
pub(crate) const SEQ_HEADER: HeaderName = HeaderName::from_static("x-mantis-seq");
pub(crate) const DURABILITY_HEADER: HeaderName = HeaderName::from_static("x-mantis-durability");

/// Headers of an answer, those that the edge adds included: their table is made once.
const HEADERS_USUAL: usize = 12;
/// Room for a short text.
const ROOM: usize = 256;

/// `meta` of a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Meta {
    pub(crate) count: usize,
    pub(crate) total: Option<u64>,
    pub(crate) page: u64,
    pub(crate) per_page: usize,
    pub(crate) next_cursor: Option<String>,
}

/// All four members are always there.
#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    data: &'a T,
    error: Option<()>,
    meta: Option<&'a Meta>,
}

/// 200 with `data` in the envelope.
///
/// # Errors
/// 500 when the data cannot be written as JSON.
pub(crate) fn enveloped<T: Serialize>(data: &T, meta: Option<&Meta>) -> Outcome<Response> {
    enveloped_in(data, meta, ROOM)
}

/// The same for data that takes about `room` bytes.
///
/// # Errors
/// As [`enveloped`].
pub(crate) fn enveloped_in<T: Serialize>(
    data: &T,
    meta: Option<&Meta>,
    room: usize,
) -> Outcome<Response> {
    let whole = Envelope {
        success: true,
        data,
        error: None,
        meta,
    };
    written(&whole, room)
}

/// 200 with a bare object.
///
/// # Errors
/// As [`enveloped`].
pub(crate) fn bare<T: Serialize>(object: &T) -> Outcome<Response> {
    written(object, ROOM)
}

fn written<T: Serialize>(object: &T, room: usize) -> Outcome<Response> {
    let text = json::to_vec(object, room).map_err(|error| {
        Failure::new(Code::Internal, "internal error").because(format!("writing JSON: {error}"))
    })?;
    Ok(typed("application/json", Bytes::from(text)))
}

/// 200 with bytes of a media type that is known to be a valid header value.
pub(crate) fn typed(media: &'static str, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.reserve(HEADERS_USUAL);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// 304: the client has this version.
pub(crate) fn not_modified(version: Seq) -> Response {
    with_etag(StatusCode::NOT_MODIFIED.into_response(), version)
}

/// The strong validator of a version.
pub(crate) fn etag(version: Seq) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header value")
}

/// A version as answers show it; `None` for what only its own transaction sees yet.
pub(crate) fn shown_version(version: Seq) -> Option<u64> {
    (version != UNCOMMITTED).then(|| version.get())
}

/// Adds the validator of a version, if it is one.
pub(crate) fn with_etag(response: Response, version: Seq) -> Response {
    if version == UNCOMMITTED {
        return response;
    }
    with_header(response, header::ETAG, etag(version))
}

/// Says which commit a write was, and what it has survived. Inside a transaction it is none yet.
pub(crate) fn with_commit(mut response: Response, committed: Option<Committed>) -> Response {
    if let Some(committed) = committed.filter(|committed| committed.seq != UNCOMMITTED) {
        let headers = response.headers_mut();
        headers.insert(SEQ_HEADER, HeaderValue::from(committed.seq.get()));
        let class = HeaderValue::from_static(committed.durability.as_str());
        headers.insert(DURABILITY_HEADER, class);
    }
    response
}

/// Adds a header.
pub(crate) fn with_header(
    mut response: Response,
    name: HeaderName,
    value: HeaderValue,
) -> Response {
    response.headers_mut().insert(name, value);
    response
}
