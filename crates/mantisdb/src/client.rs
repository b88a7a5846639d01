//! The verbs that talk to a running server.

mod connection;
mod data;
mod observe;

pub(crate) use connection::{Answer, Ask, Connection, Refusal, path_of_key, query_value};
pub(crate) use data::{delete, get, inspect, list, put};
pub(crate) use observe::{connect, monitor, stats};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// Bytes as JSON shows them: text where they are text, else `{"base64": "..."}`.
pub(crate) fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": BASE64.encode(bytes) }),
    }
}

/// The bytes that [`text_or_base64`] shows.
pub(crate) fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(members) if members.len() == 1 => {
            BASE64.decode(members.get("base64")?.as_str()?).ok()
        }
        _ => None,
    }
}

/// Bytes of an argument.
pub(crate) fn argument_bytes(argument: &OsStr) -> Vec<u8> {
    argument.as_bytes().to_vec()
}

/// Bytes for a terminal: control characters and what is no text are escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("base64:{}", BASE64.encode(bytes));
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_json() {
        for bytes in [&b""[..], b"a/b", b"\xff\x00", "aé\n".as_bytes()] {
            assert_eq!(bytes_of(&text_or_base64(bytes)).unwrap(), bytes);
        }
        for wrong in [
            json!(1),
            json!({"base64": "!"}),
            json!({"base64": "", "x": 1}),
            json!({}),
        ] {
            assert_eq!(bytes_of(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn terminals_get_no_control_characters() {
        assert_eq!(printable(b"a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(printable(b"\xff"), "base64:/w==");
        assert_eq!(printable("é".as_bytes()), "é");
    }
}
