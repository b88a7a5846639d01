//! One connection: requests in, replies out, in order.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mantis_session::{Command, Reply as Done};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::commands::Client;
use crate::reply::{Protocol, Reply};
use crate::request::{RequestLimits, RequestReader};
use crate::server::Shared;

/// Most requests whose replies are held before the client has taken them.
const PORTION_REQUESTS: usize = 128;
/// Room for reading that is made at once.
const READ_BYTES: usize = 16 << 10;
/// A buffer that has grown beyond this is given back.
const KEPT_BYTES: usize = 64 << 10;
/// A client that takes nothing for so long is cut off.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a client that is sent away may take to hear it.
const REFUSE_PATIENCE: Duration = Duration::from_secs(1);

/// Tells a client that there is no room.
pub(crate) async fn refuse(mut stream: TcpStream) {
    let text = b"-ERR max number of clients reached\r\n";
    // It is sent away in any case.
    drop(tokio::time::timeout(REFUSE_PATIENCE, stream.write_all(text)).await);
}

/// Serves a connection until one side ends it.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: IpAddr,
    id: u64,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let mut connection = Connection {
        stream,
        reader: RequestReader::default(),
        input: BytesMut::new(),
        output: BytesMut::new(),
        client: Some(Client {
            session: shared.stranger(peer),
            shared: Arc::clone(shared),
            id,
            peer,
            protocol: Protocol::default(),
            name: Bytes::new(),
            is_leaving: false,
        }),
    };
    if let Err(error) = connection.run(&mut stopped).await {
        tracing::debug!(%error, "a connection of the Redis wire ended");
    }
}

struct Connection {
    stream: TcpStream,
    reader: RequestReader,
    input: BytesMut,
    output: BytesMut,
    /// With a thread that may block, or here.
    client: Option<Client>,
}

impl Connection {
    async fn run(&mut self, stopped: &mut watch::Receiver<bool>) -> std::io::Result<()> {
        loop {
            let broken = self.answer_what_is_there().await;
            self.flush().await?;
            if broken || *stopped.borrow() || self.client.as_ref().is_none_or(|c| c.is_leaving) {
                return self.stream.shutdown().await;
            }
            self.input.reserve(READ_BYTES);
            tokio::select! {
                read = self.stream.read_buf(&mut self.input) => if read? == 0 {
                    return Ok(());
                },
                // An error says that the server is gone.
                _ = stopped.changed() => return self.stream.shutdown().await,
            }
        }
    }

    /// Answers whether the connection cannot go on.
    async fn answer_what_is_there(&mut self) -> bool {
        loop {
            let Some(client) = self.client.as_ref() else {
                return true;
            };
            // Who signs in may send more from the next portion on.
            let (limits, count) = match client.is_stranger() {
                true => (RequestLimits::STRANGER, 1),
                false => (client.shared.limits, PORTION_REQUESTS),
            };
            let (requests, error) = self.take(&limits, count);
            let is_all = requests.len() < count;
            if !requests.is_empty() && !self.answer(requests).await {
                return true;
            }
            if let Some(error) = error {
                let reply = Reply::Error(format!("ERR {error}"));
                reply.write(Protocol::Resp2, &mut self.output);
                return true;
            }
            let leaving = self.client.as_ref().is_none_or(|client| client.is_leaving);
            if is_all || leaving || self.flush().await.is_err() {
                return leaving;
            }
        }
    }

    fn take(
        &mut self,
        limits: &RequestLimits,
        count: usize,
    ) -> (Vec<Vec<Bytes>>, Option<crate::ProtocolError>) {
        let mut requests = Vec::new();
        while requests.len() < count {
            match self.reader.next(&mut self.input, limits) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        (requests, None)
    }

    /// Answers requests, those that need nobody else at once; false when a thread panicked.
    async fn answer(&mut self, requests: Vec<Vec<Bytes>>) -> bool {
        let mut requests = requests.into_iter().peekable();
        while let Some(request) = requests.peek() {
            if !self.answer_at_once(request) {
                break;
            }
            requests.next();
        }
        if requests.peek().is_none() {
            return true;
        }
        let (Some(mut client), mut output) = (self.client.take(), self.output.split()) else {
            return false;
        };
        let shared = Arc::clone(&client.shared);
        // It is never closed.
        let thread = shared.threads.acquire().await;
        let work = move || {
            requests
                .take_while(|request| {
                    let reply = client.answer(request);
                    reply.write(client.protocol, &mut output);
                    !client.is_leaving
                })
                .for_each(drop);
            (client, output)
        };
        let done = tokio::task::spawn_blocking(work).await;
        drop(thread);
        match done {
            Ok((client, output)) => {
                self.client = Some(client);
                self.output = output;
                true
            }
            Err(error) => {
                tracing::error!(%error, "a command of the Redis wire panicked");
                false
            }
        }
    }

    /// A GET whose answer is in memory.
    fn answer_at_once(&mut self, request: &[Bytes]) -> bool {
        let ([name, key], Some(client)) = (request, self.client.as_ref()) else {
            return false;
        };
        if !name.eq_ignore_ascii_case(b"get") {
            return false;
        }
        let command = Command::KvGet { key: key.clone() };
        let Some(Ok(Done::KvGet(entry))) = client.session.execute_ready(&command) else {
            return false;
        };
        client.shared.counts.count_command();
        let reply = entry.map_or(Reply::Null, |entry| Reply::Bulk(entry.value));
        reply.write(client.protocol, &mut self.output);
        true
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = self.stream.write_all(&self.output);
        match tokio::time::timeout(WRITE_PATIENCE, written).await {
            Ok(written) => written?,
            Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
        }
        match self.output.capacity() > KEPT_BYTES {
            true => self.output = BytesMut::new(),
            false => self.output.clear(),
        }
        Ok(())
    }
}
