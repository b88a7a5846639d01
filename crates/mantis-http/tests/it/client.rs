//! A blunt HTTP client on a blocking socket: sends exactly what it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `data` of a success.
    pub(crate) fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"], true, "{json}");
        assert!(json["error"].is_null(), "{json}");
        json["data"].clone()
    }

    /// Status and code of a failure in the envelope, all members checked.
    pub(crate) fn failure(&self) -> (u16, String) {
        let json = self.json();
        let members: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let all = [
            "success",
            "data",
            "error",
            "meta",
            "code",
            "details",
            "request_id",
            "retryable",
        ];
        for member in all {
            assert!(
                members.iter().any(|known| known == member),
                "{member} is missing: {json}"
            );
        }
        assert_eq!(members.len(), all.len(), "{json}");
        assert_eq!(
            (&json["success"], &json["data"], &json["meta"]),
            (&false.into(), &Value::Null, &Value::Null)
        );
        assert!(
            json["details"].is_object() && json["retryable"].is_boolean(),
            "{json}"
        );
        assert!(
            json["error"].as_str().is_some_and(|text| !text.is_empty()),
            "{json}"
        );
        assert_eq!(
            json["request_id"].as_str(),
            self.header("x-request-id"),
            "{json}"
        );
        (self.status, json["code"].as_str().unwrap().to_owned())
    }

    /// The same for the admin API.
    pub(crate) fn admin_failure(&self) -> (u16, String) {
        let json = self.json();
        let members: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut all = vec!["success", "error", "code", "details", "request_id"];
        all.sort_unstable();
        assert_eq!(members, all, "{json}");
        (self.status, json["code"].as_str().unwrap().to_owned())
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    /// Adds a header to every request.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, None)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    pub(crate) fn put_json(&self, path: &str, body: &str) -> Answer {
        self.clone().with("Content-Type", "application/json").send(
            "PUT",
            path,
            Some(body.as_bytes()),
        )
    }

    pub(crate) fn post_json(&self, path: &str, body: &str) -> Answer {
        self.clone().with("Content-Type", "application/json").send(
            "POST",
            path,
            Some(body.as_bytes()),
        )
    }

    pub(crate) fn put_raw(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        self.clone()
            .with("Content-Type", content_type)
            .send("PUT", path, Some(body))
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str("Host: 127.0.0.1\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        let mut wire = Wire::connect(self.address);
        wire.send_lenient(&bytes);
        wire.answer(method == "HEAD")
    }
}

/// One connection, byte by byte.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The server may refuse and close before everything is sent.
    pub(crate) fn send_lenient(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Reads until `end` stands in what came, and takes everything up to there.
    pub(crate) fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self
                .read
                .windows(end.len())
                .position(|window| window == end)
            {
                let rest = self.read.split_off(at + end.len());
                return std::mem::replace(&mut self.read, rest);
            }
            assert!(
                self.more() > 0,
                "closed before {:?}, got {:?}",
                String::from_utf8_lossy(end),
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    /// Everything that comes before the server closes.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the server has closed, and sent nothing before.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.read.is_empty() && self.more() == 0
    }

    pub(crate) fn answer(&mut self, is_head: bool) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).unwrap();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        let mut answer = Answer {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        };
        if is_head || status == 304 || status == 204 || status == 101 {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks();
        } else {
            let len: usize = answer
                .header("content-length")
                .map_or(0, |len| len.parse().unwrap());
            answer.body = self.take(len);
        }
        answer
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.until(b"\r\n")).unwrap();
            let len = usize::from_str_radix(line.trim(), 16).unwrap();
            body.extend(self.take(len));
            self.until(b"\r\n");
            if len == 0 {
                return body;
            }
        }
    }

    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            assert!(self.more() > 0, "closed inside a body");
        }
        let rest = self.read.split_off(len);
        std::mem::replace(&mut self.read, rest)
    }

    fn more(&mut self) -> usize {
        let mut room = [0; 16 << 10];
        match self.stream.read(&mut room) {
            Ok(count) => {
                self.read.extend_from_slice(&room[..count]);
                count
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            // A read with a time limit is not taken up again after a signal.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => self.more(),
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}
