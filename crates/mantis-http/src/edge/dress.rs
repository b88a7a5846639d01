//! The last touches: bodies of failures, security headers, request ids.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use crate::failure::Failure;
use crate::surfaces::Shape;
use crate::trace::{REQUEST_ID, Trace};

/// Headers of every answer. Stored bytes that a browser opens may not act in this origin's name.
pub(crate) const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
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
];
/// The documentation page has a style sheet of its own, and no script.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'none'";
const HSTS: &str = "max-age=31536000";

/// The body of a failure.
pub(crate) fn failure_body(failure: &Failure, request_id: &str, shape: Shape) -> String {
    let written = match shape {
        Shape::Envelope => serde_json::to_string(&failure.envelope(request_id)),
        Shape::Bare => serde_json::to_string(&failure.bare_object(request_id)),
    };
    written.expect("text and JSON values can be written")
}

/// Whether an answer's body is JSON.
pub(super) fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media| media == "application/json")
}

/// A failure as an answer.
pub(super) fn refusal(failure: &Failure, trace: &Trace, shape: Shape) -> Response {
    let body = failure_body(failure, trace.request_id(), shape);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    for (name, value) in failure.headers() {
        headers.append(name, value.clone());
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What every answer carries.
pub(super) fn finish(response: &mut Response, trace: &Trace, tls: bool) {
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, trace.header());
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|media| media == crate::admin::docs::PAGE_TYPE);
    if is_page {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGE_POLICY),
        );
    }
    if tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(HSTS),
        );
    }
    // Answers belong to their caller, and the next one may differ.
    let private = HeaderValue::from_static("private, no-cache");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
}
