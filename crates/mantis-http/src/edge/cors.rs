//! Scripts of other origins: only those that the operator listed.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::surfaces::{Found, SURFACES, Verb};

const ALLOWED_HEADERS: &str = "Authorization, apikey, Content-Type, If-Match, If-None-Match, \
     X-Request-Id, traceparent, X-Mantis-Durability, X-Mantis-Timeout-Ms, X-Mantis-Min-Seq, \
     X-Mantis-TTL, X-Mantis-Tags";
const EXPOSED_HEADERS: &str = "ETag, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, \
     RateLimit-Reset, X-Request-Id, X-Mantis-Seq, X-Mantis-Durability, X-Mantis-TTL";

/// The listed origin that the request names; never what the request itself says.
pub(super) fn allowed<'a>(headers: &HeaderMap, origins: &'a [String]) -> Option<&'a str> {
    let origin = headers.get(header::ORIGIN)?.as_bytes();
    let known = origins
        .iter()
        .map(String::as_str)
        .filter(|known| *known != "*");
    known.into_iter().find(|known| known.as_bytes() == origin)
}

/// The answer to a browser that asks before it calls; `None` for any other request.
pub(super) fn preflight(request: &Request, origin: &str, found: &Found) -> Option<Response> {
    let asks = request
        .headers()
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() != Method::OPTIONS || !asks || origin.is_empty() {
        return None;
    }
    let methods = match found {
        Found::Surface(row) => SURFACES
            .get(*row)?
            .verbs
            .iter()
            .map(|verb| verb.as_str())
            .collect(),
        Found::WrongVerb { allowed, .. } => {
            let verbs = Verb::ALL
                .into_iter()
                .zip(allowed)
                .filter(|(_, allowed)| **allowed);
            verbs.map(|(verb, _)| verb.as_str()).collect::<Vec<_>>()
        }
        Found::Nothing { .. } => return None,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::try_from(methods.join(", ")).ok()?;
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static(ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    Some(response)
}

/// Lets the origin read the answer.
pub(super) fn label(response: &mut Response, origin: Option<&str>, origins: &[String]) {
    if origins.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
