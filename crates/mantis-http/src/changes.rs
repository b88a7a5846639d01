//! `GET /api/v1/changes`: the commits, one after the other, live and from any that is kept.

mod lines;
mod stream;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use mantis_session::{ChangeFilter, FeedFrom};
use mantis_types::{Code, Seq};

use crate::answer::typed;
use crate::app::App;
use crate::call::{Call, Head};
use crate::failure::{Failure, Outcome};
use crate::negotiate::{self, StreamForm};
use crate::openapi::{ChangeSetShape, FailureAnswer};
use crate::params::Params;

use stream::Following;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";

/// What somebody wants to follow.
struct Wish {
    from: FeedFrom,
    filter: ChangeFilter,
    /// Goes on when everything there is has been told.
    live: bool,
}

/// Follow the commits
///
/// Every commit in order and without a gap, one event or line for each. Server-sent events have the
/// commit's Seq as `id`, so that a client that comes back goes on behind it; with
/// `Accept: application/x-ndjson` each line is one JSON object. A stream does not end by itself; one
/// that is too slow for what is kept ends with `gone`.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "changes", operation_id = "changes",
    params(
        ("since" = Option<u64>, Query, description = "The Seq to begin behind; 0 for everything that is kept. Without it from now on.", minimum = 0, maximum = 9_007_199_254_740_991_u64),
        ("Last-Event-ID" = Option<String>, Header, description = "The same; counts before `since`, since browsers send it when they come back.", pattern = r"^[0-9]{1,19}$"),
        ("space" = Option<String>, Query, description = "Only this model's changes: `kv`, the only one so far.", pattern = "^kv$"),
        ("prefix" = Option<String>, Query, description = "Only keys that begin so; commits without one are left out."),
        ("values" = Option<bool>, Query, description = "Values, too."),
        ("old" = Option<bool>, Query, description = "What was there before, too: `old` is the former version, null when there was none, and left out when it is not known, which `old_unknown` says."),
        ("live" = Option<bool>, Query, description = "`false`: ends with the newest commit."),
    ),
    responses(
        (status = 200, description = "The stream.", content((ChangeSetShape = "text/event-stream"), (ChangeSetShape = "application/x-ndjson"))),
        (status = 410, description = "No longer kept: `details.oldest_seq` is where it begins. Or a commit that this store does not have: `details.newest_seq`.", body = FailureAnswer),
    ),
)]
pub(crate) async fn follow(
    State(app): State<App>,
    call: Call,
    Head { headers, uri }: Head,
) -> Outcome<Response> {
    let wish = read_wish(&headers, Params::parse(uri.query())?)?;
    let form = negotiate::stream_form(&headers)?;
    let place = Arc::clone(&app.streams)
        .try_acquire_owned()
        .map_err(|_| Failure::new(Code::PoolExhausted, "too many event streams are open"))?;
    let session = app.session(&call);
    let Wish { from, filter, live } = wish;
    let opened = app.blocking(&call, move || session.changes(from, filter));
    let feed = opened.await?.map_err(Failure::from)?;
    let following = Following::new(&app, feed, form, live, place);
    let media = match form {
        StreamForm::Sse => SSE,
        StreamForm::Lines => NDJSON,
    };
    let body = Body::from_stream(following.into_stream().map(Ok::<Bytes, std::io::Error>));
    let mut response = typed(media, body);
    *response.status_mut() = StatusCode::OK;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

fn read_wish(headers: &HeaderMap, mut params: Params) -> Outcome<Wish> {
    let since = params.number("since")?;
    let again = headers.get(LAST_EVENT_ID).map(|id| {
        let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
        id.ok_or_else(|| Failure::invalid_value("Last-Event-ID must be the id of an event"))
    });
    let since = again.transpose()?.or(since).map(Seq::new);
    let space = params.text("space")?;
    if space.is_some_and(|space| space != "kv") {
        return Err(Failure::invalid_value("space must be kv").detail("parameter", "space"));
    }
    let wish = Wish {
        from: since.map_or(FeedFrom::Now, FeedFrom::After),
        filter: ChangeFilter {
            prefix: params.bytes("prefix").unwrap_or_default(),
            values: params.flag("values")?.unwrap_or(false),
            old: params.flag("old")?.unwrap_or(false),
        },
        live: params.flag("live")?.unwrap_or(true),
    };
    params.finish()?;
    Ok(wish)
}
