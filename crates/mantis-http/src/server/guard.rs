//! The socket below the HTTP library: checks the form of requests, keeps the time limits of a
//! connection, and answers in the envelope what never becomes a request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mantis_types::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing::{Framing, HeadLimits};
use crate::failure::Failure;

/// How long a refused client may go on sending before the connection is cut; without this it would
/// see a reset in place of the answer.
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes that are thrown away in that time.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// After so long without a request the HTTP library is taken away: its buffers of 16 KiB are most of
/// what a connection costs. Making it anew is some allocations, little beside a request so late.
const REST_AFTER: Duration = Duration::from_millis(500);
/// Bytes that are read at once of a request that ends a rest; more follow as usual.
const EARLY_BYTES_MAX: usize = 1024;

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
    pub(crate) write_stall: Duration,
}

/// What guard and service tell each other about one connection.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Requests that the service was given.
    calls: AtomicU64,
    /// Answers of which the last byte was handed over.
    answers: AtomicU64,
    /// The connection speaks another protocol from here on.
    upgraded: AtomicBool,
    /// Nothing has come for a while, and nothing is under way.
    resting: AtomicBool,
}

impl Exchange {
    /// Counts a request; the answer is over when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        self.calls.fetch_add(1, SeqCst);
        Answering(Arc::clone(self))
    }

    /// From here on the bytes are no HTTP.
    pub(crate) fn upgrade(&self) {
        self.upgraded.store(true, SeqCst);
    }

    /// Whether the connection can do without the HTTP library until the next request.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(SeqCst)
    }

    fn is_upgraded(&self) -> bool {
        self.upgraded.load(SeqCst)
    }

    fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    fn is_quiet(&self) -> bool {
        self.answers.load(SeqCst) == self.calls()
    }
}

/// One answer under way.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Exchange>);

impl Answering {
    /// Whose answer it is.
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.fetch_add(1, SeqCst);
    }
}

/// Writes the whole answer, head and body, to a client whose request never became one.
pub(crate) type Render = Arc<dyn Fn(&Failure) -> Vec<u8> + Send + Sync>;

/// What happens when a client has been silent for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Inside a head: an answer, and the end.
    Refuse,
    /// Between requests: the end.
    Close,
    /// Between requests, for a while: the HTTP library is no longer needed.
    Rest,
}

/// A socket with its guard.
pub(crate) struct Guard<S> {
    socket: S,
    framing: Framing,
    exchange: Arc<Exchange>,
    timeouts: Timeouts,
    render: Render,
    /// What ends the connection, once earlier requests are answered.
    verdict: Option<Failure>,
    /// The rest of our own answer; `None` while the HTTP library writes.
    last_words: Option<(Vec<u8>, usize)>,
    /// Heads that the HTTP library has been given whole.
    handed_heads: u64,
    /// Calls whose answers have all left.
    flushed_calls: u64,
    reader: Option<Waker>,
    /// What ended a rest and has not been handed on.
    early: Vec<u8>,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> std::fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(
        socket: S,
        limits: HeadLimits,
        timeouts: Timeouts,
        exchange: Arc<Exchange>,
        render: Render,
    ) -> Self {
        Self {
            socket,
            framing: Framing::new(limits),
            exchange,
            timeouts,
            render,
            verdict: None,
            last_words: None,
            handed_heads: 0,
            flushed_calls: 0,
            reader: None,
            early: Vec::new(),
            since: Instant::now(),
            timer: None,
            stall: None,
            linger: None,
        }
    }

    /// Everything that was asked is answered, and the answers have left.
    fn is_quiet(&self) -> bool {
        self.exchange.is_quiet() && self.flushed_calls == self.exchange.calls()
    }

    /// Waits for the first bytes of the next request, without the HTTP library; false when none will
    /// come: the client has left, or has said nothing for too long.
    pub(crate) async fn wait(&mut self) -> bool {
        let bytes_came = poll_fn(|cx| self.poll_early(cx)).await;
        self.exchange.resting.store(false, SeqCst);
        bytes_came
    }

    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut room = [0; EARLY_BYTES_MAX];
        let mut buffer = ReadBuf::new(&mut room);
        match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                self.early = buffer.filled().to_vec();
                Poll::Ready(!self.early.is_empty())
            }
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending => {
                let idle = Some((self.since + self.timeouts.idle, Due::Close));
                match self.poll_due(cx, idle) {
                    Some(_) => Poll::Ready(false),
                    None => Poll::Pending,
                }
            }
        }
    }

    /// What is due when nothing comes, and when.
    fn deadline(&self) -> Option<(Instant, Due)> {
        if self.framing.is_in_head() {
            return Some((self.since + self.timeouts.head, Due::Refuse));
        }
        let idle = self.framing.is_between_requests() && self.is_quiet();
        idle.then(|| {
            if self.timeouts.idle > REST_AFTER {
                (self.since + REST_AFTER, Due::Rest)
            } else {
                (self.since + self.timeouts.idle, Due::Close)
            }
        })
    }

    /// What is due now; registers to be woken when it will be.
    fn poll_due(&mut self, cx: &mut Context<'_>, next: Option<(Instant, Due)>) -> Option<Due> {
        let (deadline, due) = next?;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Some(due);
            }
            timer.as_mut().reset(deadline);
        }
        None
    }

    /// Reads what a rest has left, else the socket.
    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let count = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early[..count]);
        if count == self.early.len() {
            self.early = Vec::new();
        } else {
            self.early.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection with an answer of our own, once the earlier answers have left.
    fn poll_verdict(&mut self, cx: &mut Context<'_>, foreign: bool) -> Poll<io::Result<()>> {
        if self.last_words.is_none() {
            let is_next = foreign || self.exchange.calls() >= self.handed_heads;
            if !self.is_quiet() || !is_next {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Some(verdict) = &self.verdict else {
                return Poll::Ready(Ok(()));
            };
            self.last_words = Some(((self.render)(verdict), 0));
        }
        while let Some((words, sent)) = &mut self.last_words {
            if *sent == words.len() {
                break;
            }
            match Pin::new(&mut self.socket).poll_write(cx, &words[*sent..])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => *sent += count,
                Poll::Pending => {
                    return poll_stall(&mut self.stall, self.timeouts.write_stall, cx).map(Err);
                }
            }
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Throws away what a refused client still sends, for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (timer, taken) = self
            .linger
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), 0));
        let mut room = [0_u8; 4096];
        while *taken < LINGER_BYTES_MAX && timer.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *taken += buffer.filled().len()
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Whether the HTTP library, and not the service, is about to write: an error of its own.
    fn is_foreign_answer(&self) -> bool {
        self.flushed_calls == self.exchange.calls() && !self.exchange.is_upgraded()
    }
}

/// An error when the client has taken nothing for too long.
fn poll_stall(
    stall: &mut Option<Pin<Box<Sleep>>>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
    timer
        .as_mut()
        .poll(cx)
        .map(|()| io::ErrorKind::TimedOut.into())
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.exchange.is_upgraded() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        if this.verdict.is_some() {
            // After our last words the library sees the end of the stream.
            return this.poll_verdict(cx, false);
        }
        let before = buffer.filled().len();
        if this.poll_source(cx, buffer)?.is_pending() {
            return match this.poll_due(cx, this.deadline()) {
                None => Poll::Pending,
                Some(Due::Rest) => {
                    // Whoever polls the HTTP library looks at this next, and takes it away.
                    this.exchange.resting.store(true, SeqCst);
                    Poll::Pending
                }
                Some(Due::Close) => Poll::Ready(Ok(())),
                Some(Due::Refuse) => {
                    let message = "the head of the request took too long";
                    this.verdict = Some(Failure::new(Code::Timeout, message));
                    this.poll_verdict(cx, false)
                }
            };
        }
        let fresh = &buffer.filled()[before..];
        if this.framing.is_between_requests() || !this.framing.is_in_head() {
            // A head's time runs from its first byte on.
            this.since = Instant::now();
        }
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match this.framing.advance(fresh) {
            Ok(()) => {
                this.handed_heads = this.framing.heads();
                Poll::Ready(Ok(()))
            }
            // The service has the request: its body fails, and it answers that.
            Err(refused) if refused.in_body => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            Err(refused) => {
                buffer.set_filled(before + refused.good);
                this.verdict = Some(refused.violation.failure());
                if refused.good > 0 {
                    this.handed_heads = refused.whole_heads;
                    return Poll::Ready(Ok(()));
                }
                this.poll_verdict(cx, false)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_foreign_answer() {
            // Nothing was asked of the service: swallow the library's bare error, say our own.
            this.verdict
                .get_or_insert_with(|| Failure::invalid("the request is malformed"));
            return match this.poll_verdict(cx, true)? {
                Poll::Ready(()) => Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum())),
                Poll::Pending => Poll::Pending,
            };
        }
        match Pin::new(&mut this.socket).poll_write_vectored(cx, pieces) {
            Poll::Ready(written) => {
                this.stall = None;
                Poll::Ready(written)
            }
            Poll::Pending => poll_stall(&mut this.stall, this.timeouts.write_stall, cx).map(Err),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if Pin::new(&mut this.socket).poll_flush(cx)?.is_pending() {
            return poll_stall(&mut this.stall, this.timeouts.write_stall, cx).map(Err);
        }
        this.stall = None;
        // The library's own buffer is empty when it flushes ours.
        if this.exchange.is_quiet() && this.flushed_calls != this.exchange.calls() {
            this.flushed_calls = this.exchange.calls();
            this.since = Instant::now();
            // The library has tried to read before it wrote, and need not try again before bytes come:
            // the time of an idle connection begins here.
            if this.poll_due(cx, this.deadline()).is_some() {
                // The machine stood still meanwhile: the next read says what is due.
                cx.waker().wake_by_ref();
            }
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() && Pin::new(&mut this.socket).poll_shutdown(cx)?.is_pending() {
            return Poll::Pending;
        }
        let unread = this.verdict.is_some() || !this.framing.is_between_requests();
        if unread && !this.exchange.is_upgraded() {
            return this.poll_linger(cx).map(Ok);
        }
        Poll::Ready(Ok(()))
    }
}
