//! One admitted request: who asks, until when, on which terms; and what handlers take from it.

mod turn;

pub(crate) use turn::row_places;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Uri};
use mantis_session::{Command, Reply, Session, TransactionKey};
use mantis_types::{Code, Durability, Origin, Seq};
use tokio::time::Instant;

use crate::access::Caller;
use crate::admission::Terms;
use crate::app::App;
use crate::body;
use crate::failure::{Failure, Outcome};
use crate::metrics::OperationKind;
use crate::once::UnderKey;
use crate::params;
use crate::surfaces::{Pattern, Surface};

/// Longest pause between two looks at the newest visible commit.
const SEQ_POLL_MAX: Duration = Duration::from_millis(10);

/// The terms of one request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) surface: &'static Surface,
    pub(crate) caller: Caller,
    pub(crate) deadline: Instant,
    /// The caller has set the deadline.
    pub(crate) by_caller: bool,
    pub(crate) durability: Durability,
    pub(crate) min_seq: Option<Seq>,
    /// The transaction that it joins; only on routes of data.
    pub(crate) transaction: Option<TransactionKey>,
    /// The transaction of a request with an `Idempotency-Key`.
    pub(crate) under_key: Option<Arc<UnderKey>>,
}

impl Call {
    /// The request's terms for a call that blocks.
    pub(crate) fn terms(&self, writes: bool) -> Terms {
        Terms {
            deadline: self.deadline,
            by_caller: self.by_caller,
            writes,
        }
    }
}

impl App {
    /// Has the session execute a command: at once where memory has the answer, else on a blocking
    /// thread.
    ///
    /// # Errors
    /// What the session answers, and what admission refuses.
    pub(crate) async fn execute(&self, call: &Call, command: Command) -> Outcome<Reply> {
        self.wait_min_seq(call).await?;
        let from = self.monotonic();
        let (kind, writes) = (OperationKind::of(&command), command.writes());
        let answer = match (&call.under_key, call.transaction) {
            (Some(under_key), _) => under_key.execute(self, call, command).await,
            (None, Some(key)) => self.execute_joined(call, key, command).await,
            (None, None) => {
                let session = self.session(call);
                match session.execute_ready(&command) {
                    Some(answer) => answer.map_err(Failure::from),
                    None => self.execute_alone(call, session, command).await,
                }
            }
        };
        let failed = answer
            .as_ref()
            .is_err_and(|failure| failure.status().is_server_error());
        self.operations
            .observe(kind, writes, failed, self.monotonic().saturating_sub(from));
        answer
    }

    /// The caller's door to the database.
    pub(crate) fn session(&self, call: &Call) -> Session {
        let session = self.database.session(call.caller.principal);
        session.through(Origin::Http)
    }

    /// Runs another call that blocks.
    ///
    /// # Errors
    /// What admission refuses.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        self.admission.run(call.terms(false), work).await
    }

    /// Runs a call that blocks and commits: at the deadline its outcome is unknown.
    ///
    /// # Errors
    /// What admission refuses.
    pub(crate) async fn blocking_write<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        self.admission.run(call.terms(true), work).await
    }

    /// Waits for the commit of `X-Mantis-Min-Seq`, without holding a thread: one far in the future must
    /// not keep others from writing.
    ///
    /// # Errors
    /// 408 at the deadline.
    pub(crate) async fn wait_min_seq(&self, call: &Call) -> Outcome<()> {
        let Some(seq) = call.min_seq else {
            return Ok(());
        };
        let mut pause = Duration::from_micros(500);
        while self.database.visible_seq() < seq {
            if Instant::now() >= call.deadline {
                let message = "the commit of X-Mantis-Min-Seq did not become visible in time";
                return Err(Failure::new(Code::DeadlineExceeded, message));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SEQ_POLL_MAX);
        }
        Ok(())
    }
}

/// 500 for an answer that does not belong to the command.
pub(crate) fn strange_reply() -> Failure {
    Failure::new(Code::Internal, "internal error").because("the reply is not of the command's kind")
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Outcome<Self> {
        let call = parts.extensions.get::<Self>().cloned();
        call.ok_or_else(|| {
            Failure::new(Code::Internal, "internal error").because("a request without terms")
        })
    }
}

/// The key in the path, as bytes.
#[derive(Clone, Debug)]
pub(crate) struct PathKey(pub(crate) Bytes);

impl<S: Sync> FromRequestParts<S> for PathKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Outcome<Self> {
        let call = Call::from_request_parts(parts, state).await?;
        let raw = Pattern(call.surface.path).rest(parts.uri.path());
        let raw = raw.ok_or_else(|| {
            Failure::new(Code::Internal, "internal error").because("a path without a key")
        })?;
        params::decode(raw).map(|key| Self(Bytes::from(key)))
    }
}

/// The transaction in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTransaction(pub(crate) TransactionKey);

impl<S: Sync> FromRequestParts<S> for PathTransaction {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Outcome<Self> {
        let id = path_text(parts, state, "id").await?;
        let key = id.parse().map_err(|()| no_such_transaction())?;
        Ok(Self(key))
    }
}

/// The name of a savepoint in the path.
#[derive(Clone, Debug)]
pub(crate) struct PathName(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for PathName {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Outcome<Self> {
        path_text(parts, state, "name").await.map(Self)
    }
}

/// 404: ids are never made up by clients, so one that is not of our form is nobody's.
pub(crate) fn no_such_transaction() -> Failure {
    Failure::new(Code::NotFound, "there is no such transaction")
}

async fn path_text<S: Sync>(parts: &mut Parts, state: &S, name: &str) -> Outcome<String> {
    let call = Call::from_request_parts(parts, state).await?;
    let raw = Pattern(call.surface.path).parameter(name, parts.uri.path());
    let raw = raw.ok_or_else(|| {
        Failure::new(Code::Internal, "internal error").because("a path without its parameter")
    })?;
    let text = String::from_utf8(params::decode(raw)?);
    text.map_err(|_| Failure::invalid_value(format!("{name} in the path must be UTF-8 text")))
}

/// Headers and address of a request whose body does not matter: taken over, not copied, so it stands
/// last among the arguments of a handler.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
}

impl<S: Sync> FromRequest<S> for Head {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let (Parts { headers, uri, .. }, _) = request.into_parts();
        Ok(Self { headers, uri })
    }
}

/// The body, within the limit, and the headers it came with.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl FromRequest<App> for Payload {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Outcome<Self> {
        let max = app.settings.load().body_bytes_max;
        let (parts, stream) = request.into_parts();
        let bytes = body::collect(stream, max).await?;
        Ok(Self {
            headers: parts.headers,
            bytes,
        })
    }
}

impl Payload {
    /// Reads a JSON body strictly.
    ///
    /// # Errors
    /// 415 for another type, 400 for bad JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, app: &App) -> Outcome<T> {
        body::expect_json(&self.headers)?;
        body::parse_json(&self.bytes, app.database.limits().json_depth_max)
    }

    /// The same where no body means that every member is left out.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub(crate) fn json_if_any<T>(&self, app: &App) -> Outcome<T>
    where
        T: serde::de::DeserializeOwned + Default,
    {
        if self.bytes.is_empty() {
            return Ok(T::default());
        }
        self.json(app)
    }
}
