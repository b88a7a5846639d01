//! Replies, in both versions of the protocol.

use bytes::{BufMut, Bytes, BytesMut};

use crate::number;

/// The version that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// A reply. What RESP2 has no form for is written there as older clients expect it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK` and the like.
    Status(&'static str),
    /// An error: its prefix, a space, the text.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// There is nothing.
    Null,
    /// There is no list.
    NullArray,
    /// Several replies.
    Array(Vec<Self>),
    /// Names and values; in RESP2 a flat array.
    Map(Vec<(Self, Self)>),
    /// A number with a fraction; in RESP2 bytes.
    Double(f64),
    /// Text that is only shown; in RESP2 bytes.
    Text(String),
}

impl Reply {
    /// `+OK`.
    pub const OK: Self = Self::Status("OK");

    /// Bytes of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// A count.
    #[must_use]
    pub fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// One for yes, zero for no.
    #[must_use]
    pub fn whether(yes: bool) -> Self {
        Self::Integer(i64::from(yes))
    }

    /// Writes it behind what is in `out`.
    pub fn write(&self, protocol: Protocol, out: &mut BytesMut) {
        let is_new = protocol == Protocol::Resp3;
        match self {
            Self::Status(text) => line(out, b'+', text),
            Self::Error(text) => line(out, b'-', &text.replace(['\r', '\n'], " ")),
            Self::Integer(number) => line(out, b':', &number.to_string()),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Null | Self::NullArray if is_new => out.put_slice(b"_\r\n"),
            Self::Null => out.put_slice(b"$-1\r\n"),
            Self::NullArray => out.put_slice(b"*-1\r\n"),
            Self::Array(replies) => {
                line(out, b'*', &replies.len().to_string());
                replies.iter().for_each(|reply| reply.write(protocol, out));
            }
            Self::Map(pairs) => {
                let (kind, count) = if is_new {
                    (b'%', pairs.len())
                } else {
                    (b'*', pairs.len() * 2)
                };
                line(out, kind, &count.to_string());
                for (name, value) in pairs {
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
            Self::Double(number) if is_new => line(out, b',', &number::written(*number)),
            Self::Double(number) => bulk(out, number::written(*number).as_bytes()),
            Self::Text(text) if is_new => {
                line(out, b'=', &(text.len() + 4).to_string());
                out.put_slice(b"txt:");
                out.put_slice(text.as_bytes());
                out.put_slice(b"\r\n");
            }
            Self::Text(text) => bulk(out, text.as_bytes()),
        }
    }
}

fn line(out: &mut BytesMut, kind: u8, text: &str) {
    out.put_u8(kind);
    out.put_slice(text.as_bytes());
    out.put_slice(b"\r\n");
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    line(out, b'$', &bytes.len().to_string());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut out = BytesMut::new();
            reply.write(protocol, &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        })
    }

    #[test]
    fn each_reply_has_its_form_in_both_versions() {
        for (reply, old, new) in [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::Integer(-3), ":-3\r\n", ":-3\r\n"),
            (Reply::text("a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (Reply::Double(0.5), "$3\r\n0.5\r\n", ",0.5\r\n"),
            (Reply::Text("a".into()), "$1\r\na\r\n", "=5\r\ntxt:a\r\n"),
            (
                Reply::Map(vec![(Reply::text("a"), Reply::Integer(1))]),
                "*2\r\n$1\r\na\r\n:1\r\n",
                "%1\r\n$1\r\na\r\n:1\r\n",
            ),
            (
                Reply::Array(vec![Reply::Null, Reply::whether(true)]),
                "*2\r\n$-1\r\n:1\r\n",
                "*2\r\n_\r\n:1\r\n",
            ),
        ] {
            assert_eq!(written(&reply), [old, new]);
        }
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let [old, new] = written(&Reply::Error("ERR a\r\n+OK".into()));
        assert_eq!(
            (old.as_str(), new.as_str()),
            ("-ERR a  +OK\r\n", "-ERR a  +OK\r\n")
        );
    }
}
