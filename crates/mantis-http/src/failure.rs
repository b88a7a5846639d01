//! Failures: what went wrong, before it takes the shape of an answer.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use mantis_session::{FeedBounds, SessionError};
use mantis_types::{Code, ErrorKind};
use serde::Serialize;
use serde_json::{Map, Value};

/// Seconds after which a refused caller may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Result of everything that answers a request.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// One failure. Becomes an answer at the edge, which knows the request's id and shape.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    details: Map<String, Value>,
    retryable: bool,
    kind: ErrorKind,
    headers: HeaderMap,
    /// The inner text, for the log only.
    cause: Option<String>,
}

impl Failure {
    /// A failure with a code of the shared table.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let status =
            StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut failure = Self::bare(status, code.as_str(), message.into(), code.kind());
        let waits = matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if waits {
            failure = failure.header(header::RETRY_AFTER, RETRY_AFTER);
        }
        failure
    }

    /// A refusal that only HTTP knows, and that never becomes a command.
    pub(crate) fn http(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let code = match status {
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::NOT_ACCEPTABLE => "not_acceptable",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "too_large",
            _ => "invalid_request",
        };
        Self::bare(status, code, message.into(), ErrorKind::Invalid)
    }

    fn bare(
        status: StatusCode,
        code: &'static str,
        message: Cow<'static, str>,
        kind: ErrorKind,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            message,
            details: Map::new(),
            retryable: kind.retryable(),
            kind,
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// 400 with code `invalid_request`.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// 400 with code `invalid_value`.
    pub(crate) fn invalid_value(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidValue, message)
    }

    /// 413 with the limit's name.
    pub(crate) fn too_large(limit: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::TooLarge, message).detail("limit", limit)
    }

    /// Adds a member of `details`.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header of the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Takes a header away.
    pub(crate) fn without_header(mut self, name: &HeaderName) -> Self {
        self.0.headers.remove(name);
        self
    }

    /// Keeps the inner text for the log.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The machine word.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// What kind of error it is, for the metrics.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The inner text, if there is one that only the log may have.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The headers it adds to the answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body of the envelope of `/api/v1/**`.
    pub(crate) fn envelope<'a>(&'a self, request_id: &'a str) -> FailureEnvelope<'a> {
        let bare = self.bare_object(request_id);
        FailureEnvelope {
            success: bare.success,
            data: None,
            error: bare.error,
            meta: None,
            code: bare.code,
            details: bare.details,
            request_id,
            retryable: self.0.retryable,
        }
    }

    /// The body of a failure of `/api/**`.
    pub(crate) fn bare_object<'a>(&'a self, request_id: &'a str) -> BareFailure<'a> {
        let Parts {
            message,
            code,
            details,
            ..
        } = &*self.0;
        BareFailure {
            success: false,
            error: message,
            code,
            details,
            request_id,
        }
    }

    /// A member of `details`.
    #[cfg(test)]
    pub(crate) fn shown_detail(&self, name: &str) -> Option<&Value> {
        self.0.details.get(name)
    }

    /// The text for the outside.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }
}

/// A failure in the envelope; all members are always there.
#[derive(Debug, Serialize)]
pub(crate) struct FailureEnvelope<'a> {
    success: bool,
    data: Option<()>,
    error: &'a str,
    meta: Option<()>,
    code: &'static str,
    details: &'a Map<String, Value>,
    request_id: &'a str,
    retryable: bool,
}

/// A failure of the admin API.
#[derive(Debug, Serialize)]
pub(crate) struct BareFailure<'a> {
    success: bool,
    error: &'a str,
    code: &'static str,
    details: &'a Map<String, Value>,
    request_id: &'a str,
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let mut failure = match error.kind() {
            // What is inside such an error is nobody's business but the operator's.
            ErrorKind::Internal => Self::new(error.code(), "internal error"),
            ErrorKind::Corrupt => Self::new(error.code(), "stored data is damaged"),
            ErrorKind::ReadOnly => Self::new(error.code(), "the database takes no more writes"),
            _ => Self::new(error.code(), outside_text(&error)),
        };
        if let Some(limit) = error.limit_name() {
            failure = failure.detail("limit", limit);
        }
        if let Some(index) = error.index() {
            failure = failure.detail("index", index);
        }
        if let SessionError::Finished { state } = &error {
            failure = failure.detail("state", state.as_str());
        }
        match error.feed_bounds() {
            Some(FeedBounds::Oldest(seq)) => failure = failure.detail("oldest_seq", seq.get()),
            Some(FeedBounds::Newest(seq)) => failure = failure.detail("newest_seq", seq.get()),
            None => {}
        }
        if error.is_undecided() {
            failure = failure.detail("outcome", "unknown");
        }
        failure.because(chain(&error))
    }
}

/// The innermost sentence that means something to the caller: the wrappers only say which layer it
/// passed through.
fn outside_text(error: &SessionError) -> String {
    let mut text = error.to_string();
    let mut inner = std::error::Error::source(error);
    while let Some(cause) = inner {
        if error.index().is_some() {
            text = format!("{text}: {cause}");
        } else {
            text = cause.to_string();
        }
        inner = cause.source();
    }
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        text = format!("{text}: {cause}");
        inner = cause.source();
    }
    text
}

impl IntoResponse for Failure {
    /// An empty answer that carries the failure; the edge writes the body.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
