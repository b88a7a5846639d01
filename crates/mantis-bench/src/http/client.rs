//! A small HTTP/1.1 client on a blocking socket: one keep-alive connection, one request at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::server::TOKEN;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Room for a head and a small body.
const BUFFER_BYTES: usize = 4096;

/// One connection.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    /// What was read and belongs to the next answer; empty between requests.
    buffer: Vec<u8>,
    request: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The content coding, in lower case; empty for none.
    pub coding: String,
    /// The body as it came: coded, without the framing of chunks.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            buffer: Vec::new(),
            request: Vec::new(),
        })
    }

    /// Sends a request with the token of the measurement and waits for the answer. `headers` are
    /// whole lines with their ends.
    ///
    /// # Errors
    /// When the connection breaks, or the answer has a form that this client does not read.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        self.request.clear();
        write!(
            self.request,
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{headers}"
        )?;
        if !body.is_empty() {
            write!(self.request, "content-length: {}\r\n", body.len())?;
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        self.socket.write_all(&self.request)?;
        self.receive()
    }

    fn receive(&mut self) -> anyhow::Result<Answer> {
        self.buffer.clear();
        let head_len = self.end_of(b"\r\n\r\n", 0)? + 4;
        let head = std::str::from_utf8(&self.buffer[..head_len])?.to_ascii_lowercase();
        let status = head.get(9..12).context("no status line")?.parse()?;
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.map_or("", str::trim)
        };
        let coding = header("content-encoding:").to_owned();
        let body = if header("transfer-encoding:") == "chunked" {
            self.chunks(head_len)?
        } else {
            let len = header("content-length:").parse().unwrap_or(0);
            self.fill(head_len + len)?;
            self.buffer[head_len..head_len + len].to_vec()
        };
        Ok(Answer {
            status,
            coding,
            body,
        })
    }

    /// The data of all chunks from `at` on.
    fn chunks(&mut self, mut at: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = self.end_of(b"\r\n", at)?;
            let digits = std::str::from_utf8(&self.buffer[at..line_end])?;
            let len = usize::from_str_radix(digits, 16).context("no chunk")?;
            let data = line_end + 2;
            self.fill(data + len + 2)?;
            body.extend_from_slice(&self.buffer[data..data + len]);
            at = data + len + 2;
            if len == 0 {
                return Ok(body);
            }
        }
    }

    /// Where `mark` stands, at or behind `from`.
    fn end_of(&mut self, mark: &[u8], from: usize) -> anyhow::Result<usize> {
        loop {
            let rest = &self.buffer[from..];
            let found = rest.windows(mark.len()).position(|part| part == mark);
            if let Some(found) = found {
                return Ok(from + found);
            }
            self.more()?;
        }
    }

    fn fill(&mut self, len: usize) -> anyhow::Result<()> {
        while self.buffer.len() < len {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> anyhow::Result<()> {
        let old = self.buffer.len();
        self.buffer.resize(old + BUFFER_BYTES.max(old), 0);
        let count = self.socket.read(&mut self.buffer[old..])?;
        self.buffer.truncate(old + count);
        ensure!(count > 0, "the connection was closed");
        Ok(())
    }
}
