//! What stands around every handler: admission of the request, and the last touches of the answer.

mod coding;
mod cors;
mod dress;
mod terms;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::poll_immediate;
use http::{HeaderValue, StatusCode, header};
use mantis_types::Code;

use crate::access::{self, Caller, Door};
use crate::app::App;
use crate::body::over_limit;
use crate::call::Call;
use crate::config::HttpSettings;
use crate::failure::{Failure, Outcome};
use crate::negotiate;
use crate::once;
use crate::peers::{client_address, subscriber};
use crate::rate::{Allowance, Payer, RouteClass};
use crate::routes::{Route, Routes};
use crate::surfaces::{self, Found, Rule, SURFACES, Shape, Verb};
use crate::trace::Trace;

use coding::Coded;
pub(crate) use dress::{SECURITY_HEADERS, failure_body};

/// The addresses of a connection, and whether it is encrypted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Both ends are loopback addresses.
    pub(crate) loopback: bool,
    pub(crate) tls: bool,
}

/// Everything between a connection and the handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    app: App,
    routes: Arc<Routes>,
}

/// What is known about a request before its handler runs.
struct Arrival {
    trace: Trace,
    shape: Shape,
    verb: Option<Verb>,
    found: Found,
    /// The listed origin that it names.
    origin: Option<String>,
    settings: Arc<HttpSettings>,
    peer: Peer,
    /// When it came, by the monotonic clock.
    from: Duration,
    /// What is left to its payer.
    allowance: Option<Allowance>,
}

/// How far a request came at once.
enum Begun {
    Answered(Response),
    Running(Running),
}

/// A handler under way.
struct Running {
    call: Call,
    /// The client takes JSON.
    json_welcome: bool,
    coded: Coded,
}

impl Running {
    /// Its answer, within the deadline and in a form that is welcome.
    async fn finish(self) -> Outcome<Response> {
        let Self {
            call, json_welcome, ..
        } = self;
        let mut answering = std::pin::pin!(self.coded.finish());
        // Most answers are there at once, and a timer costs more than a look.
        let response = match poll_immediate(answering.as_mut()).await {
            Some(response) => response,
            None => tokio::time::timeout_at(call.deadline, answering)
                .await
                .map_err(|_| call.terms(false).late())?,
        };
        if json_welcome || !dress::is_json(&response) {
            return Ok(response);
        }
        Err(Failure::http(
            StatusCode::NOT_ACCEPTABLE,
            "the answer comes as application/json",
        ))
    }
}

impl Edge {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            routes: Arc::new(Routes::all()),
        }
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Answers a request, whatever it is. What can be done at once is done before the future is
    /// made: it holds what is left of the request, and is small enough to be moved about.
    pub(crate) fn serve(
        self: &Arc<Self>,
        request: Request,
        peer: Peer,
    ) -> impl Future<Output = Response> + Send + use<> {
        let from = self.app.monotonic();
        let verb = Verb::of(request.method());
        let settings = self.app.settings.load_full();
        let origin = cors::allowed(request.headers(), &settings.cors_origins);
        let mut arrival = Arrival {
            trace: Trace::of(request.headers(), &self.app.ids),
            shape: Shape::of(request.uri().path()),
            verb,
            found: surfaces::find(request.uri().path(), verb),
            origin: origin.map(str::to_owned),
            settings,
            peer,
            from,
            allowance: None,
        };
        let begun = self.begin(request, &mut arrival);
        let edge = Arc::clone(self);
        async move {
            let answered = match begun {
                Ok(Begun::Answered(response)) => Ok(response),
                Ok(Begun::Running(running)) => running.finish().await,
                Err(failure) => Err(failure),
            };
            edge.finish(&arrival, answered)
        }
    }

    /// Admits the request and starts its handler.
    fn begin(&self, request: Request, arrival: &mut Arrival) -> Outcome<Begun> {
        if let Some(origin) = &arrival.origin
            && let Some(answer) = cors::preflight(&request, origin, &arrival.found)
        {
            return Ok(Begun::Answered(answer));
        }
        let caller = self.admit(&request, arrival)?;
        let (row, verb) = match (arrival.found, arrival.verb) {
            (Found::Surface(row), Some(verb)) => (row, verb),
            (Found::WrongVerb { allowed, .. }, _) => return Err(wrong_verb(allowed)),
            _ => return Err(Failure::new(Code::NotFound, "there is no such path")),
        };
        let surface = &SURFACES[row];
        let route = match self.routes.get(row, verb) {
            Some(route) if surface.available => Arc::clone(route),
            _ => return Err(not_built(surface.group)),
        };
        let writes = !matches!(verb, Verb::Get | Verb::Head);
        check_length(&request, arrival.settings.body_bytes_max)?;
        let call = terms::of(request.headers(), &arrival.settings, surface, caller)?;
        let json_welcome = writes || negotiate::wants_json(request.headers())?;
        let key = match writes {
            true => once::key_of(request.headers(), &call)?,
            false => None,
        };
        let coded = self.start(request, call.clone(), route, key)?;
        Ok(Begun::Running(Running {
            call,
            json_welcome,
            coded,
        }))
    }

    /// The last touches: failures get their body, every answer its headers, the log its line.
    fn finish(&self, arrival: &Arrival, answered: Outcome<Response>) -> Response {
        let (mut response, failure) = match answered {
            Ok(mut response) => {
                let failure = response.extensions_mut().remove::<Failure>();
                (response, failure)
            }
            Err(failure) => (Response::new(Body::empty()), Some(failure)),
        };
        if let Some(failure) = &failure {
            self.app.operations.count_error(failure.kind());
            response = dress::refusal(failure, &arrival.trace, arrival.shape);
        }
        if let (Some(allowance), None) = (arrival.allowance, &failure) {
            response.headers_mut().extend(Allowance::headers(allowance));
        }
        dress::finish(&mut response, &arrival.trace, arrival.peer.tls);
        let origins = &arrival.settings.cors_origins;
        cors::label(&mut response, arrival.origin.as_deref(), origins);
        self.record(arrival, &response, failure.as_ref());
        response
    }

    /// Who calls, within its rate.
    fn admit(&self, request: &Request, arrival: &mut Arrival) -> Outcome<Caller> {
        let rule = match arrival.found {
            Found::Surface(row) => SURFACES[row].rule,
            Found::WrongVerb { rule, .. } | Found::Nothing { rule } => rule,
        };
        let settings = &arrival.settings;
        let headers = request.headers();
        let door = Door {
            headers,
            uri: request.uri(),
            loopback: arrival.peer.loopback,
        };
        let admitted = access::admit(rule, door, &settings.credentials);
        if admitted.is_err() {
            self.app.counts.auth_failures.fetch_add(1, Relaxed);
        }
        let address = client_address(arrival.peer.address, headers, &settings.trusted_proxies);
        let credential = admitted.as_ref().ok().and_then(|caller| caller.credential);
        let payer =
            credential.map_or_else(|| Payer::Address(subscriber(address)), Payer::Credential);
        arrival.allowance = self.spend(rule, payer, settings.rate_limit)?;
        admitted
    }

    fn spend(&self, rule: Rule, payer: Payer, limit: u32) -> Outcome<Option<Allowance>> {
        let Some(class) = RouteClass::of(rule).filter(|_| limit > 0) else {
            return Ok(None);
        };
        let spent = self
            .app
            .limiter
            .spend(class, payer, limit, self.app.monotonic());
        spent.map_err(|allowance| {
            self.app.counts.rate_limited(class).fetch_add(1, Relaxed);
            allowance.refusal()
        })
    }

    fn start(
        &self,
        mut request: Request,
        call: Call,
        route: Route,
        key: Option<Bytes>,
    ) -> Outcome<Coded> {
        request.extensions_mut().insert(call);
        let app = self.app.clone();
        if let Some(key) = key {
            return Coded::begin(request, move |request| {
                Box::pin(once::run(
                    app.clone(),
                    Arc::clone(&route),
                    request,
                    key.clone(),
                ))
            });
        }
        Coded::begin(request, move |request| route(request, app.clone()))
    }

    /// Counts and logs. Never a key, a value or a secret: the route is the pattern.
    fn record(&self, arrival: &Arrival, response: &Response, failure: Option<&Failure>) {
        let took = self.app.monotonic().saturating_sub(arrival.from);
        let row = match arrival.found {
            Found::Surface(row) => Some(row),
            _ => None,
        };
        let status = response.status();
        self.app.requests.observe(row, arrival.verb, status, took);
        let route = row.map_or("unknown", |row| SURFACES[row].path);
        let (request_id, trace_id) = (arrival.trace.request_id(), arrival.trace.trace_id());
        if let Some(failure) = failure.filter(|failure| failure.status().is_server_error()) {
            let cause = failure.cause().unwrap_or("-");
            tracing::warn!(
                request_id,
                route,
                code = failure.code(),
                cause,
                "request failed"
            );
        }
        let slow = arrival.settings.slow_after.filter(|after| took > *after);
        if slow.is_some() {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(request_id, route, duration_ms, "slow request");
        }
        tracing::info!(
            target: "mantis_http::access",
            method = arrival.verb.map_or("other", Verb::as_str),
            route,
            status = status.as_u16(),
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            peer = %arrival.peer.address,
            request_id,
            trace_id,
            "answered"
        );
    }
}

fn wrong_verb(allowed: [bool; Verb::ALL.len()]) -> Failure {
    let list = surfaces::allow_list(allowed);
    let value = HeaderValue::try_from(list.as_str()).expect("names of methods are a header value");
    let message = format!("this path answers to {list}");
    Failure::http(StatusCode::METHOD_NOT_ALLOWED, message).header(header::ALLOW, value)
}

fn not_built(group: &'static str) -> Failure {
    Failure::new(
        Code::NotImplemented,
        "this surface is not built in this version",
    )
    .detail("surface", group)
}

/// Refuses a body by its declared length, before a byte of it is read.
fn check_length(request: &Request, max: usize) -> Outcome<()> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let max_bytes = u64::try_from(max).unwrap_or(u64::MAX);
    if declared.is_some_and(|length| length > max_bytes) {
        Err(over_limit(max))
    } else {
        Ok(())
    }
}
