//! `/api/ws/metrics` and `/api/ws/events`: server-sent events, or WebSocket on upgrade.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode, Uri, header};
use mantis_types::Code;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::measures::detailed_view;
use crate::app::App;
use crate::events::{Event, Stamped};
use crate::failure::{Failure, Outcome};
use crate::params;

/// Time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two signs of life of a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest message that a WebSocket client may send; none is expected.
const CLIENT_MESSAGE_BYTES_MAX: usize = 4096;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// A sample every two seconds
///
/// Server-sent events `sample` with the shape of `/api/metrics/detailed`; over WebSocket the same
/// JSON as text messages.
#[utoipa::path(
    get, path = "/api/ws/metrics", tag = "admin", operation_id = "streamMetrics",
    responses((status = 200, description = "A stream that does not end.", content_type = "text/event-stream", body = String), (status = 101, description = "WebSocket.")),
)]
pub(crate) async fn metrics(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    answer(&app, &headers, upgrade, Source::Samples(Box::new(ticks)))
}

/// What happens in the server
///
/// Server-sent events `commit` `{from_seq, to_seq}` and `config` `{applied, restart_required}`, each
/// with `type` and `timestamp`; `lagged` says how many a slow listener missed. Over WebSocket the
/// same JSON as text messages.
#[utoipa::path(
    get, path = "/api/ws/events", tag = "admin", operation_id = "streamEvents",
    responses((status = 200, description = "A stream that does not end.", content_type = "text/event-stream", body = String), (status = 101, description = "WebSocket.")),
)]
pub(crate) async fn events(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Outcome<Response> {
    params::none(uri.query())?;
    let listener = app.events.listen();
    answer(&app, &headers, upgrade, Source::Events(listener))
}

fn answer(app: &App, headers: &HeaderMap, upgrade: Upgrade, source: Source) -> Outcome<Response> {
    let place = Arc::clone(&app.streams)
        .try_acquire_owned()
        .map_err(|_| Failure::new(Code::PoolExhausted, "too many event streams are open"))?;
    let stopped = app.tasks.stopped();
    let feed = Feed {
        app: app.clone(),
        source,
        stopped,
        _place: place,
    };
    if !headers.contains_key(header::UPGRADE) {
        let items = feed
            .into_stream()
            .map(|line| Ok::<_, Infallible>(SseEvent::default().event(line.name).data(line.json)));
        let sse = Sse::new(items).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
        return Ok(sse.into_response());
    }
    let upgrade = upgrade.map_err(|rejection| {
        let failure = Failure::invalid("the WebSocket handshake is not valid");
        failure.because(rejection.body_text())
    })?;
    let (counted, stall) = (app.tasks.count(), app.config.write_stall_timeout);
    let upgrade = upgrade.max_message_size(CLIENT_MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        talk(socket, feed, stall).await;
        drop(counted);
    }))
}

/// Sends the feed until either side ends.
async fn talk(mut socket: WebSocket, feed: Feed, stall: Duration) {
    let mut lines = Box::pin(feed.into_stream());
    loop {
        tokio::select! {
            line = lines.next() => {
                let Some(line) = line else { break };
                let sent = tokio::time::timeout(stall, socket.send(Message::text(line.json))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            said = socket.recv() => match said {
                // A farewell is answered by the library while it is asked for more.
                None | Some(Err(_)) => return,
                Some(Ok(_)) => {}
            },
        }
    }
    // The client may be gone already: then nobody needs the farewell.
    drop(tokio::time::timeout(stall, socket.send(Message::Close(None))).await);
}

/// One line of a stream.
#[derive(Debug)]
struct Line {
    name: &'static str,
    json: String,
}

#[derive(Debug)]
enum Source {
    Samples(Box<Interval>),
    Events(broadcast::Receiver<Arc<Event>>),
}

/// A source with what it needs while it runs.
struct Feed {
    app: App,
    source: Source,
    stopped: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = Line> + Send {
        stream::unfold(self, |mut feed| async move {
            let stopped = feed.stopped.clone();
            tokio::select! {
                line = feed.next() => line.map(|line| (line, feed)),
                () = stopped.cancelled() => None,
            }
        })
    }

    async fn next(&mut self) -> Option<Line> {
        match &mut self.source {
            Source::Samples(ticks) => {
                ticks.tick().await;
                let json = serde_json::to_string(&detailed_view(&self.app)).ok()?;
                Some(Line {
                    name: "sample",
                    json,
                })
            }
            Source::Events(listener) => match listener.recv().await {
                Ok(event) => {
                    let name = match *event {
                        Event::Commit { .. } => "commit",
                        Event::Config { .. } => "config",
                    };
                    let timestamp = self.app.timestamp();
                    let stamped = Stamped {
                        timestamp,
                        event: (*event).clone(),
                    };
                    Some(Line {
                        name,
                        json: serde_json::to_string(&stamped).ok()?,
                    })
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let json = serde_json::json!({"type": "lagged", "missed": missed});
                    Some(Line {
                        name: "lagged",
                        json: json.to_string(),
                    })
                }
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

/// Whether an answer hands the connection over to another protocol.
pub(crate) fn is_upgrade(response: &Response) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}
