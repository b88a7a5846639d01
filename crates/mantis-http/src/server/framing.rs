//! Follows the bytes of a connection from request to request, and refuses what two parsers could
//! understand in two ways.
//!
//! The HTTP library below is lenient where the standard lets it be: it takes lines that end in a
//! bare line feed, and a `Content-Length` beside `Transfer-Encoding`. A proxy in front of it may see
//! other borders between requests than it does; so such requests never reach it. The same walk
//! measures target and headers, which makes their limits answers in the envelope.

use http::StatusCode;
use mantis_types::Code;
use memchr::memchr;

use crate::failure::Failure;

/// Longest line that announces a chunk, extensions included.
const CHUNK_LINE_MAX: usize = 256;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 4096;
/// Empty lines that may stand before a request, as the standard asks for.
const BLANK_LINES_MAX: usize = 2;

/// The limits of a request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) target_bytes_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) headers_max: usize,
}

/// What is wrong with a request's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    BareLineFeed,
    RequestLine,
    HeaderLine,
    ContentLength,
    TransferEncoding,
    LengthAndEncoding,
    Host,
    Chunk,
    TargetTooLong,
    HeadersTooLarge,
}

impl Violation {
    /// The answer to it.
    pub(crate) fn failure(self) -> Failure {
        let message = match self {
            Self::BareLineFeed => "a line of the request does not end in CR LF",
            Self::RequestLine => "the request line is malformed",
            Self::HeaderLine => "a header line is malformed",
            Self::ContentLength => "Content-Length must stand once, as a whole number",
            Self::TransferEncoding => "Transfer-Encoding must be chunked, once, in HTTP/1.1",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::Host => "an HTTP/1.1 request needs exactly one Host",
            Self::Chunk => "a chunk of the body is malformed",
            Self::TargetTooLong => {
                return Failure::http(StatusCode::URI_TOO_LONG, "the request target is too long")
                    .detail("limit", "target_bytes_max");
            }
            Self::HeadersTooLarge => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Failure::http(status, "the headers are too large or too many")
                    .detail("limit", "header_bytes_max");
            }
        };
        Failure::new(Code::InvalidRequest, message)
    }
}

/// Where in the stream of requests a connection stands.
#[derive(Debug)]
pub(crate) struct Framing {
    limits: HeadLimits,
    place: Place,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    head: Head,
    /// Heads that were complete.
    heads: u64,
    /// After the last walk: inside a body whose head has been handed on.
    is_in_body: bool,
}

/// Why and where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) violation: Violation,
    /// Bytes of this walk that belong to whole, well-formed requests.
    pub(crate) good: usize,
    /// Heads up to there, since the connection began.
    pub(crate) whole_heads: u64,
    /// The head of the bad request was right and has been handed on by an earlier walk.
    pub(crate) in_body: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    RequestLine,
    HeaderLine,
    Body { left: u64 },
    ChunkLine,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailer { bytes: usize },
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    blank_lines: usize,
    is_http_11: bool,
    headers: usize,
    header_bytes: usize,
    hosts: usize,
    content_length: Option<u64>,
    chunked: bool,
}

impl Framing {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        let (line, head) = (Vec::new(), Head::default());
        Self {
            limits,
            place: Place::RequestLine,
            line,
            head,
            heads: 0,
            is_in_body: false,
        }
    }

    /// How many heads were complete so far.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Between two requests: no byte of the next one has come.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.place == Place::RequestLine && self.line.is_empty()
    }

    /// Inside a head.
    pub(crate) fn is_in_head(&self) -> bool {
        match self.place {
            Place::RequestLine => !self.line.is_empty(),
            place => place == Place::HeaderLine,
        }
    }

    /// Walks over the next bytes.
    ///
    /// # Errors
    /// What is wrong, and how much is right before it; no further byte may be looked at.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut whole = None;
        let heads_before = self.heads;
        let verdict = self.walk(bytes, &mut whole);
        verdict.map_err(|violation| match whole {
            Some((good, whole_heads)) => Refused {
                violation,
                good,
                whole_heads,
                in_body: false,
            },
            None => {
                let in_body = self.is_in_body;
                Refused {
                    violation,
                    good: 0,
                    whole_heads: heads_before,
                    in_body,
                }
            }
        })?;
        self.is_in_body = !self.is_in_head() && !self.is_between_requests();
        Ok(())
    }

    /// `whole` becomes how many bytes belong to requests that have ended, and their count.
    fn walk(&mut self, all: &[u8], whole: &mut Option<(usize, u64)>) -> Result<(), Violation> {
        let mut bytes = all;
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Body { left } | Place::ChunkData { left } => self.advance_data(bytes, left),
                _ => self.advance_line(bytes)?,
            };
            if self.is_between_requests() {
                *whole = Some((all.len() - bytes.len(), self.heads));
            }
        }
        Ok(())
    }

    /// Passes over data of which so much is left.
    fn advance_data<'a>(&mut self, bytes: &'a [u8], left: u64) -> &'a [u8] {
        let take = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - u64::try_from(take).unwrap_or(left);
        self.place = match self.place {
            Place::ChunkData { .. } if left > 0 => Place::ChunkData { left },
            Place::ChunkData { .. } => Place::ChunkEnd,
            _ if left > 0 => Place::Body { left },
            _ => Place::RequestLine,
        };
        let (_, rest) = bytes.split_at(take);
        rest
    }

    /// Takes one line, or the part of it that has come.
    fn advance_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Violation> {
        let end = memchr(b'\n', bytes);
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
        self.check_line_length(self.line.len() + part.len())?;
        if end.is_none() {
            self.line.extend_from_slice(part);
            return Ok(rest);
        }
        if self.line.is_empty() {
            self.take_line(part)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(part);
            self.take_line(&line)?;
        }
        Ok(rest)
    }

    fn check_line_length(&self, len: usize) -> Result<(), Violation> {
        // Method, version and blanks beside the target.
        let (max, violation) = match self.place {
            Place::RequestLine => (self.limits.target_bytes_max + 64, Violation::TargetTooLong),
            Place::HeaderLine => {
                let left = self
                    .limits
                    .header_bytes_max
                    .saturating_sub(self.head.header_bytes);
                (left, Violation::HeadersTooLarge)
            }
            Place::Trailer { bytes } => (TRAILER_BYTES_MAX - bytes, Violation::Chunk),
            _ => (CHUNK_LINE_MAX, Violation::Chunk),
        };
        if len > max { Err(violation) } else { Ok(()) }
    }

    /// A whole line with its end.
    fn take_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let line = line.strip_suffix(b"\r\n").ok_or(Violation::BareLineFeed)?;
        match self.place {
            Place::RequestLine => self.request_line(line),
            Place::HeaderLine if line.is_empty() => self.head_ended(),
            Place::HeaderLine => self.header_line(line),
            Place::ChunkLine => self.chunk_line(line),
            Place::ChunkEnd if line.is_empty() => {
                self.place = Place::ChunkLine;
                Ok(())
            }
            Place::Trailer { .. } if line.is_empty() => {
                self.place = Place::RequestLine;
                Ok(())
            }
            Place::Trailer { bytes } => {
                header_name(line)?;
                self.place = Place::Trailer {
                    bytes: bytes + line.len() + 2,
                };
                Ok(())
            }
            _ => Err(Violation::Chunk),
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        if line.is_empty() {
            self.head.blank_lines += 1;
            let few = self.head.blank_lines <= BLANK_LINES_MAX;
            return if few {
                Ok(())
            } else {
                Err(Violation::RequestLine)
            };
        }
        let mut parts = line.split(|byte| *byte == b' ');
        let (method, target, version) = (parts.next(), parts.next(), parts.next());
        let (Some(method), Some(target), Some(version), None) =
            (method, target, version, parts.next())
        else {
            return Err(Violation::RequestLine);
        };
        if target.len() > self.limits.target_bytes_max {
            return Err(Violation::TargetTooLong);
        }
        let is_clean = all(target, u8::is_ascii_graphic) && is_target(target, method);
        if !is_token(method) || !is_clean || !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
            return Err(Violation::RequestLine);
        }
        self.head = Head {
            is_http_11: version == b"HTTP/1.1",
            ..Head::default()
        };
        self.place = Place::HeaderLine;
        Ok(())
    }

    fn header_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.head.headers += 1;
        self.head.header_bytes += line.len() + 2;
        if self.head.headers > self.limits.headers_max {
            return Err(Violation::HeadersTooLarge);
        }
        let (name, value) = header_name(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.head.content_length.is_some() {
                return Err(Violation::ContentLength);
            }
            self.head.content_length = Some(whole_number(value).ok_or(Violation::ContentLength)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let fits = value.eq_ignore_ascii_case(b"chunked") && self.head.is_http_11;
            if !fits || self.head.chunked {
                return Err(Violation::TransferEncoding);
            }
            self.head.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.head.hosts += 1;
        }
        Ok(())
    }

    fn head_ended(&mut self) -> Result<(), Violation> {
        let head = self.head;
        if head.hosts > 1 || (head.is_http_11 && head.hosts == 0) {
            return Err(Violation::Host);
        }
        self.place = match (head.chunked, head.content_length) {
            (true, Some(_)) => return Err(Violation::LengthAndEncoding),
            (true, None) => Place::ChunkLine,
            (false, None | Some(0)) => Place::RequestLine,
            (false, Some(left)) => Place::Body { left },
        };
        self.heads += 1;
        self.head = Head::default();
        Ok(())
    }

    fn chunk_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).map_err(|_| Violation::Chunk)?;
        let left = u64::from_str_radix(text, 16).map_err(|_| Violation::Chunk)?;
        let extension = &line[digits.len()..];
        if !is_hex || extension.iter().any(|byte| byte.is_ascii_control()) {
            return Err(Violation::Chunk);
        }
        self.place = if left == 0 {
            Place::Trailer { bytes: 0 }
        } else {
            Place::ChunkData { left }
        };
        Ok(())
    }
}

/// Name and trimmed value of a header line.
fn header_name(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let colon = memchr(b':', line).ok_or(Violation::HeaderLine)?;
    let (name, value) = line.split_at(colon);
    let value = value[1..].trim_ascii();
    let is_clean = all(value, |byte| *byte == b'\t' || !byte.is_ascii_control());
    if is_token(name) && is_clean {
        Ok((name, value))
    } else {
        Err(Violation::HeaderLine)
    }
}

/// A path, a whole address, the server itself, or the host of CONNECT.
fn is_target(target: &[u8], method: &[u8]) -> bool {
    match target.first() {
        None => false,
        Some(b'/') => true,
        Some(b'*') => target == b"*",
        Some(_) => {
            method == b"CONNECT"
                || target.starts_with(b"http://")
                || target.starts_with(b"https://")
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all(text, |byte| TOKEN_BYTES[usize::from(*byte)])
}

/// The bytes that names of headers and methods are made of.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let punctuation = matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        );
        table[byte as usize] = byte.is_ascii_alphanumeric() || punctuation;
        byte += 1;
    }
    table
};

/// Whether all bytes fit. It looks at every one: without a way out the compiler does many at once,
/// and a line is nearly always good.
fn all(bytes: &[u8], fits: impl Fn(&u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, byte| good & fits(byte))
}

fn whole_number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits {
        std::str::from_utf8(text).ok()?.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
