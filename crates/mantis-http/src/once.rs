//! `Idempotency-Key`: a write takes effect once, however often it is sent.
//!
//! The request runs in a transaction that holds the key's row, so that others with the same key wait,
//! also those that come through another connection or after a restart. Its answer goes into the same
//! commit as its effect. The answer names the commit, whose number is not known before: the handler is
//! given a number that occurs nowhere else, and the places where it stands are kept as gaps.

mod stored;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use mantis_session::{Command, Committed, Once, OpDone, Receipt, Reply, UNCOMMITTED};
use mantis_types::{Code, Durability, Seq};
use tokio::sync::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::answer::TTL_HEADER;
use crate::app::App;
use crate::body;
use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::kv::value::TAGS_HEADER;
use crate::routes::Route;
use crate::surfaces::{Shape, Surface};

use stored::Stored;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Headers that change what a write does.
const TELLING: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    TTL_HEADER,
    TAGS_HEADER,
];

/// The transaction of a request under a key, as the handler's commands find it.
#[derive(Debug)]
pub(crate) struct UnderKey {
    /// Stands for the commit to come.
    stand_in: Seq,
    /// Guards the transaction; `None` while a command runs, and once it has failed.
    once: Mutex<Option<Once>>,
}

/// The key of a write, if it has one.
///
/// # Errors
/// 400 for a key of another form, and on a route that has nothing to keep an answer in.
pub(crate) fn key_of(headers: &HeaderMap, call: &Call) -> Outcome<Option<Bytes>> {
    let mut lines = headers.get_all(KEY).iter();
    let Some(key) = lines.next() else {
        return Ok(None);
    };
    let named = |failure: Failure| Err(failure.detail("header", KEY.as_str()));
    let bytes = key.as_bytes();
    let whole = !bytes.is_empty() && bytes.len() <= KEY_BYTES_MAX;
    if !whole || !bytes.iter().all(u8::is_ascii_graphic) || lines.next().is_some() {
        let message = format!("{KEY} must be 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return named(Failure::invalid_value(message));
    }
    if call.transaction.is_some() {
        let message =
            format!("{KEY} has no meaning inside a transaction: its commit is repeatable");
        return named(Failure::invalid(message));
    }
    if ends_a_transaction(call.surface) {
        return Ok(None);
    }
    if !call.surface.is_data() && call.surface.group != "admin_kv" {
        return named(Failure::invalid(format!(
            "{KEY} has no meaning on this route"
        )));
    }
    Ok(Some(Bytes::copy_from_slice(bytes)))
}

/// These can be repeated as they are.
fn ends_a_transaction(surface: &Surface) -> bool {
    let ends = ["/commit", "/rollback"];
    surface.group == "transactions" && ends.iter().any(|end| surface.path.ends_with(end))
}

/// Runs a request under a key, or answers what the first one with this key was answered.
pub(crate) async fn run(app: App, route: Route, request: Request, key: Bytes) -> Response {
    let answered = first_or_again(&app, &route, request, key).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn first_or_again(
    app: &App,
    route: &Route,
    request: Request,
    key: Bytes,
) -> Outcome<Response> {
    let max = app.settings.load().body_bytes_max;
    let (mut parts, body) = request.into_parts();
    let bytes = body::collect(body, max).await?;
    let fingerprint = fingerprint(&parts, &bytes);
    let mut call = parts.extensions.get::<Call>().cloned().ok_or_else(lost)?;
    let session = app.session(&call);
    let begun = app.blocking(&call, move || session.once(&key)).await?;
    let once = begun.map_err(Failure::from)?;
    let claim = |once: &mut Once, until| once.claim(until);
    let claimed = app.on_rows(&call, false, once, claim).await;
    let (once, receipt) = claimed.map_err(still_running)?;
    if let Some(receipt) = receipt {
        drop(once);
        app.counts.replays.fetch_add(1, Relaxed);
        return again(&receipt, &fingerprint);
    }
    let under_key = Arc::new(UnderKey::new(app, once));
    call.under_key = Some(Arc::clone(&under_key));
    let shape = Shape::of(parts.uri.path());
    parts.extensions.insert(call.clone());
    let request = Request::from_parts(parts, Body::from(bytes));
    let response = route(request, app.clone()).await;
    if !response.status().is_success() || response.extensions().get::<Failure>().is_some() {
        // Nothing has happened: the next one with this key is the first.
        return Ok(response);
    }
    under_key
        .commit(app, &call, response, (fingerprint, shape))
        .await
}

impl UnderKey {
    fn new(app: &App, once: Once) -> Self {
        // Always 19 digits, and no number of a commit for a long time.
        let number = app.env().rng().next_u64() >> 2 | 1 << 62;
        Self {
            stand_in: Seq::new(number),
            once: Mutex::new(Some(once)),
        }
    }

    /// Executes a command of the handler.
    ///
    /// # Errors
    /// What the session answers; then nothing of the request happens.
    pub(crate) async fn execute(&self, app: &App, call: &Call, command: Command) -> Outcome<Reply> {
        let mut place = self.once.lock().await;
        let once = place.take().ok_or_else(lost)?;
        let work = move |once: &mut Once, until| once.execute(command.clone(), until);
        let (once, mut reply) = app.on_rows(call, false, once, work).await?;
        *place = Some(once);
        drop(place);
        stamp(&mut reply, self.stand_in);
        Ok(reply)
    }

    /// Commits effect and answer.
    async fn commit(
        &self,
        app: &App,
        call: &Call,
        response: Response,
        (fingerprint, shape): (String, Shape),
    ) -> Outcome<Response> {
        let once = self.once.lock().await.take().ok_or_else(lost)?;
        let stored = Stored::of(response, fingerprint, self.stand_in).await?;
        let receipt = stored.bytes(shape)?;
        let keep = app.database.limits().idempotency_ttl;
        let durability = call.durability;
        let commit = move || once.commit(&receipt, keep, durability);
        let committed = app.blocking_write(call, commit).await?;
        let Committed { seq, durability } = committed.map_err(Failure::from)?;
        stored.answer(seq, durability)
    }
}

/// The answer of the first request once more.
fn again(receipt: &Receipt, fingerprint: &str) -> Outcome<Response> {
    let stored = Stored::parse(&receipt.bytes)?;
    if stored.fingerprint() != fingerprint {
        let message = format!("{KEY} was used for another request");
        let failure = Failure::new(Code::IdempotencyMismatch, message);
        return Err(failure.detail("header", KEY.as_str()));
    }
    let mut response = stored.answer(receipt.seq, receipt.durability)?;
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, replayed);
    Ok(response)
}

/// What makes two requests the same one.
fn fingerprint(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(parts.method.as_str().as_bytes());
    let target = parts.uri.path_and_query().map(|target| target.as_str());
    part(target.unwrap_or_default().as_bytes());
    for name in TELLING {
        for line in parts.headers.get_all(&name) {
            part(name.as_str().as_bytes());
            part(line.as_bytes());
        }
    }
    part(body);
    format!("{:032x}", hash.digest128())
}

/// The stand-in for every version that the commit will write.
fn stamp(reply: &mut Reply, stand_in: Seq) {
    let committed = Committed {
        seq: stand_in,
        durability: Durability::None,
    };
    match reply {
        Reply::KvPut(done) => done.committed = committed,
        Reply::KvIncrement(done) => done.committed = committed,
        Reply::KvDelete(done) => done.committed = done.committed.map(|_| committed),
        Reply::KvBatch(done) => {
            done.committed = done.committed.map(|_| committed);
            done.results
                .iter_mut()
                .flatten()
                .for_each(|op| stamp_op(op, stand_in));
        }
        _ => {}
    }
}

fn stamp_op(op: &mut OpDone, stand_in: Seq) {
    match op {
        OpDone::Set { version, .. } | OpDone::Incremented { version, .. } => *version = stand_in,
        OpDone::Got(Some(entry)) if entry.version == UNCOMMITTED => entry.version = stand_in,
        _ => {}
    }
}

/// The wait for the first request took all the time there was.
fn still_running(failure: Failure) -> Failure {
    let late = [Code::Timeout.as_str(), Code::DeadlineExceeded.as_str()];
    if !late.contains(&failure.code()) {
        return failure;
    }
    let message = format!("a request with this {KEY} is still running");
    Failure::new(Code::InProgress, message)
}

fn lost() -> Failure {
    Failure::new(Code::Internal, "internal error")
        .because("a request under a key lost its transaction")
}
