//! Requests as they come over the wire: arrays of bulk strings, and lines for people.
//!
//! The reader takes what there is and keeps its place, so that a request may come in any pieces, and no
//! byte is looked at twice. Arguments share the memory that was read; nothing is allocated for a length
//! before its bytes are there.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use thiserror::Error;

use crate::inline;

/// Digits of a length, its sign and its kind; a longer line is broken.
const HEAD_BYTES_MAX: usize = 32;
/// Room for arguments that is made at once; more come as they arrive.
const ARGS_AT_ONCE: usize = 64;

/// Lengths beyond which a request is refused, before memory is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of one argument (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Arguments of one request.
    pub args_max: usize,
    /// Bytes of a request in a line.
    pub inline_bytes_max: usize,
    /// Bytes of all arguments of one request (`client-query-buffer-limit`).
    pub request_bytes_max: usize,
    /// Whether they are those of clients that have not signed in, which errors then say.
    pub are_for_strangers: bool,
}

impl RequestLimits {
    /// For clients that have said who they are.
    pub const TRUSTED: Self = Self {
        bulk_bytes_max: 512 << 20,
        args_max: 1 << 20,
        inline_bytes_max: 64 << 10,
        request_bytes_max: 1 << 30,
        are_for_strangers: false,
    };
    /// For all others: enough for AUTH and HELLO.
    pub const STRANGER: Self = Self {
        bulk_bytes_max: 16 << 10,
        args_max: 10,
        inline_bytes_max: 64 << 10,
        request_bytes_max: 64 << 10,
        are_for_strangers: true,
    };
}

/// What is wrong with a request. The connection cannot go on: nobody knows where the next one begins.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Protocol error: {0}")]
pub struct ProtocolError(String);

impl ProtocolError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Reads requests out of a buffer that is filled from elsewhere.
#[derive(Debug, Default)]
pub struct RequestReader {
    array: Option<Array>,
    /// So much of the line at the front has been searched for its end.
    searched: usize,
}

/// An array whose head has been read.
#[derive(Debug)]
struct Array {
    args: Vec<Bytes>,
    args_left: usize,
    bytes: usize,
    /// The length of the next argument, once it is known.
    bulk: Option<usize>,
}

impl RequestReader {
    /// The next request, with at least one argument; `None` until more bytes have come.
    ///
    /// # Errors
    /// [`ProtocolError`]; nothing more can be read then.
    pub fn next(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            let step = match (&self.array, buffer.first()) {
                (Some(_), _) => self.go_on(buffer, limits)?,
                (None, None) => Step::Waits,
                (None, Some(b'*')) => self.begin(buffer, limits)?,
                (None, Some(_)) => self.line(buffer, limits)?,
            };
            match step {
                Step::Request(args) if args.is_empty() => {}
                Step::Request(args) => return Ok(Some(args)),
                Step::Begun => {}
                Step::Waits => return Ok(None),
            }
        }
    }

    fn begin(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Step, ProtocolError> {
        let count = head(buffer, &mut self.searched, "too big mbulk count string")?;
        let Some(count) = count else {
            return Ok(Step::Waits);
        };
        self.array = Array::of(count, limits)?;
        Ok(Step::Begun)
    }

    fn go_on(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Step, ProtocolError> {
        let Some(mut array) = self.array.take() else {
            return Ok(Step::Begun);
        };
        if array.fill(buffer, &mut self.searched, limits)? {
            return Ok(Step::Request(array.args));
        }
        self.array = Some(array);
        Ok(Step::Waits)
    }

    fn line(
        &mut self,
        buffer: &mut BytesMut,
        limits: &RequestLimits,
    ) -> Result<Step, ProtocolError> {
        let Some(line) = line(buffer, &mut self.searched, limits.inline_bytes_max) else {
            return match buffer.len() > limits.inline_bytes_max {
                true => Err(ProtocolError::new("too big inline request")),
                false => Ok(Step::Waits),
            };
        };
        let unbalanced = || ProtocolError::new("unbalanced quotes in request");
        let args = inline::split(&line).ok_or_else(unbalanced)?;
        Ok(Step::Request(args))
    }
}

/// How far a look at the buffer has come.
enum Step {
    /// A request, or none when it is empty.
    Request(Vec<Bytes>),
    /// The head of an array.
    Begun,
    /// There is not enough.
    Waits,
}

impl Array {
    /// `None` for an empty one, which is no request.
    fn of(count: Option<i64>, limits: &RequestLimits) -> Result<Option<Self>, ProtocolError> {
        let invalid = || ProtocolError::new("invalid multibulk length");
        let count = count.ok_or_else(invalid)?;
        if count <= 0 {
            return Ok(None);
        }
        let count = usize::try_from(count).map_err(|_| invalid())?;
        if count > limits.args_max {
            return Err(match limits.are_for_strangers {
                true => ProtocolError::new("unauthenticated multibulk length"),
                false => invalid(),
            });
        }
        Ok(Some(Self {
            args: Vec::with_capacity(count.min(ARGS_AT_ONCE)),
            args_left: count,
            bytes: 0,
            bulk: None,
        }))
    }

    /// Takes arguments; answers whether all are there.
    fn fill(
        &mut self,
        buffer: &mut BytesMut,
        searched: &mut usize,
        limits: &RequestLimits,
    ) -> Result<bool, ProtocolError> {
        while self.args_left > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => match self.bulk_len(buffer, searched, limits)? {
                    Some(len) => *self.bulk.insert(len),
                    None => return Ok(false),
                },
            };
            if buffer.len() < len + 2 {
                return Ok(false);
            }
            self.args.push(buffer.split_to(len).freeze());
            buffer.advance(2);
            self.bulk = None;
            self.args_left -= 1;
        }
        Ok(true)
    }

    fn bulk_len(
        &mut self,
        buffer: &mut BytesMut,
        searched: &mut usize,
        limits: &RequestLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some(&first) = buffer.first() else {
            return Ok(None);
        };
        if first != b'$' {
            let first = char::from(first);
            return Err(ProtocolError::new(format!("expected '$', got '{first}'")));
        }
        let Some(len) = head(buffer, searched, "too big bulk count string")? else {
            return Ok(None);
        };
        let len = len.and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|len| *len <= limits.bulk_bytes_max);
        let Some(len) = len else {
            return Err(match limits.are_for_strangers {
                true => ProtocolError::new("unauthenticated bulk length"),
                false => ProtocolError::new("invalid bulk length"),
            });
        };
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > limits.request_bytes_max {
            return Err(ProtocolError::new("too big request"));
        }
        Ok(Some(len))
    }
}

/// The number in a line `*3` or `$7`: the outer `None` until the line is there, the inner one when it is
/// no number.
fn head(
    buffer: &mut BytesMut,
    searched: &mut usize,
    too_long: &str,
) -> Result<Option<Option<i64>>, ProtocolError> {
    match line(buffer, searched, HEAD_BYTES_MAX) {
        Some(line) => Ok(Some(line.get(1..).and_then(crate::number::integer))),
        None if buffer.len() > HEAD_BYTES_MAX => Err(ProtocolError::new(too_long)),
        None => Ok(None),
    }
}

/// Takes the line at the front, without its end, if it ends within `max` bytes.
fn line(buffer: &mut BytesMut, searched: &mut usize, max: usize) -> Option<Bytes> {
    let window = buffer.len().min(max + 1);
    let found = memchr(b'\n', buffer.get(*searched..window)?);
    let Some(at) = found.map(|at| at + *searched) else {
        *searched = window;
        return None;
    };
    *searched = 0;
    let mut line = buffer.split_to(at + 1).freeze();
    line.truncate(at);
    if line.last() == Some(&b'\r') {
        line.truncate(at - 1);
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(input: &[u8], piece: usize) -> Result<Vec<Vec<Bytes>>, ProtocolError> {
        let (mut reader, mut buffer) = (RequestReader::default(), BytesMut::new());
        let mut requests = Vec::new();
        for piece in input.chunks(piece.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(request) = reader.next(&mut buffer, &RequestLimits::TRUSTED)? {
                requests.push(request);
            }
        }
        Ok(requests)
    }

    fn encode(args: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            out.extend(format!("${}\r\n", arg.len()).into_bytes());
            out.extend(arg);
            out.extend(b"\r\n");
        }
        out
    }

    fn refused(input: &str) -> String {
        all(input.as_bytes(), 7).unwrap_err().to_string()
    }

    #[test]
    fn empty_requests_are_none_and_lines_are_split() {
        let input = b"*0\r\n\r\n  \r\n*-1\r\nping\r\nSET a 'b c'\n";
        let requests = all(input, 3).unwrap();
        assert_eq!(requests, [vec!["ping"], vec!["SET", "a", "b c"]]);
    }

    #[test]
    fn broken_requests_say_what_is_wrong() {
        for (input, expected) in [
            ("*x\r\n", "invalid multibulk length"),
            ("*1048577\r\n", "invalid multibulk length"),
            ("*1\r\n+a\r\n", "expected '$', got '+'"),
            ("*1\r\n$-1\r\n", "invalid bulk length"),
            ("*1\r\n$536870913\r\n", "invalid bulk length"),
            ("*1\r\n$a\r\n", "invalid bulk length"),
            ("set 'a\r\n", "unbalanced quotes in request"),
        ] {
            assert_eq!(
                refused(input),
                format!("Protocol error: {expected}"),
                "{input:?}"
            );
        }
        let long = format!("*{}", "1".repeat(40));
        assert_eq!(refused(&long), "Protocol error: too big mbulk count string");
        let long = format!("*1\r\n${}", "1".repeat(40));
        assert_eq!(refused(&long), "Protocol error: too big bulk count string");
        let long = "x".repeat((64 << 10) + 8);
        assert_eq!(refused(&long), "Protocol error: too big inline request");
    }

    #[test]
    fn strangers_have_smaller_limits() {
        for input in ["*11\r\n", "*1\r\n$16385\r\n"] {
            let mut buffer = BytesMut::from(input);
            let refused = RequestReader::default().next(&mut buffer, &RequestLimits::STRANGER);
            assert!(refused.unwrap_err().to_string().contains("unauthenticated"));
        }
    }

    #[test]
    fn a_length_takes_no_memory_before_its_bytes_come() {
        let mut buffer = BytesMut::from("*1048576\r\n");
        let mut reader = RequestReader::default();
        assert_eq!(reader.next(&mut buffer, &RequestLimits::TRUSTED), Ok(None));
        let room = reader.array.map_or(0, |array| array.args.capacity());
        assert!(room <= ARGS_AT_ONCE, "{room}");
    }

    proptest! {
        #[test]
        fn requests_come_back_in_any_pieces(
            requests in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
                0..6,
            ),
            piece in 1..50_usize,
        ) {
            let input: Vec<u8> = requests.iter().flat_map(|args| encode(args)).collect();
            let found = all(&input, piece).unwrap();
            let found: Vec<Vec<Vec<u8>>> = found
                .into_iter()
                .map(|args| args.into_iter().map(Vec::from).collect())
                .collect();
            prop_assert_eq!(found, requests);
        }

        #[test]
        fn any_bytes_are_read_the_same_in_any_pieces(
            input in proptest::collection::vec(
                prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), any::<u8>()],
                0..200,
            ),
            piece in 1..20_usize,
        ) {
            prop_assert_eq!(all(&input, piece), all(&input, 1000));
        }
    }
}
