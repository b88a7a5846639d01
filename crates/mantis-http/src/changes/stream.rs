//! One client that follows: portions of the feed, read on a thread that may block, and signs of life.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use mantis_session::ChangeFeed;
use mantis_types::{Code, Seq};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::lines;
use crate::app::App;
use crate::failure::Failure;
use crate::negotiate::StreamForm;

/// Time between two signs of life of a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Most commits and bytes that are read ahead of a client.
const PORTION_COMMITS: usize = 256;
const PORTION_BYTES: usize = 256 << 10;

/// A feed on its way to a client.
pub(super) struct Following {
    app: App,
    /// `None` when the stream ends.
    feed: Option<ChangeFeed>,
    form: StreamForm,
    live: bool,
    /// What the client knows as its position.
    told: Seq,
    stopped: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// What was read in one go.
struct Portion {
    feed: Option<ChangeFeed>,
    text: String,
    /// There was no more.
    at_end: bool,
}

impl Following {
    pub(super) fn new(
        app: &App,
        feed: ChangeFeed,
        form: StreamForm,
        live: bool,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            app: app.clone(),
            told: feed.position(),
            feed: Some(feed),
            form,
            live,
            stopped: app.tasks.stopped(),
            _place: place,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut following| async move {
            let stopped = following.stopped.clone();
            tokio::select! {
                text = following.next() => text.map(|text| (Bytes::from(text), following)),
                () = stopped.cancelled() => None,
            }
        })
    }

    /// The next piece of text; `None` at the end. Dropped when the server stops: then nothing of it
    /// matters any more.
    async fn next(&mut self) -> Option<String> {
        loop {
            let feed = self.feed.take()?;
            let form = self.form;
            let read = self.app.tasks.block(move || Portion::read(feed, form));
            let portion = read.await?;
            self.feed = portion.feed;
            let Some(feed) = &self.feed else {
                return Some(portion.text);
            };
            let position = feed.position();
            if !portion.text.is_empty() {
                self.told = position;
                return Some(portion.text);
            }
            if portion.at_end && !self.live {
                self.feed = None;
                return self.sign_of_life(position);
            }
            if portion.at_end && !ready(feed).await {
                return self.sign_of_life(position).or_else(|| Some(self.silence()));
            }
        }
    }

    /// The position, if the client does not know it.
    fn sign_of_life(&mut self, position: Seq) -> Option<String> {
        let moved = position > self.told;
        self.told = position;
        moved.then(|| lines::position(self.form, position))
    }

    /// Nothing, so that both sides see whether the other one is there.
    fn silence(&self) -> String {
        match self.form {
            StreamForm::Sse => ":\n\n".to_owned(),
            StreamForm::Lines => "\n".to_owned(),
        }
    }
}

/// Waits until there may be something; false when it is time for a sign of life.
async fn ready(feed: &ChangeFeed) -> bool {
    let there = poll_fn(|context| match feed.poll_ready(context.waker()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    tokio::time::timeout(KEEP_ALIVE, there).await.is_ok()
}

impl Portion {
    fn read(mut feed: ChangeFeed, form: StreamForm) -> Self {
        let mut text = String::new();
        for _ in 0..PORTION_COMMITS {
            let before = feed.position();
            let read = feed.next(Duration::ZERO);
            let written = match read {
                Ok(Some(set)) => lines::commit(form, &set).map_err(|error| {
                    Failure::new(Code::Internal, "internal error").because(error.to_string())
                }),
                // It may have passed over some, and there may be more.
                Ok(None) => {
                    let at_end = feed.position() == before;
                    return Self::more(feed, text, at_end);
                }
                Err(error) => Err(Failure::from(error)),
            };
            match written {
                Ok(line) => text.push_str(&line),
                Err(failure) => {
                    // The log has its cause; a stream has no head left to carry a request's id.
                    tracing::warn!(
                        code = failure.code(),
                        cause = failure.cause().unwrap_or("-"),
                        "a stream of changes ended"
                    );
                    text.push_str(&lines::failed(form, &failure, ""));
                    return Self {
                        feed: None,
                        text,
                        at_end: true,
                    };
                }
            }
            if text.len() >= PORTION_BYTES {
                break;
            }
        }
        Self::more(feed, text, false)
    }

    fn more(feed: ChangeFeed, text: String, at_end: bool) -> Self {
        Self {
            feed: Some(feed),
            text,
            at_end,
        }
    }
}
