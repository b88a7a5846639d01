//! One key with its value, as import and export know it, and as the batch route takes it.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::text_or_base64;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const OCTETS: &str = "application/octet-stream";
pub(super) const JSON: &str = "application/json";

/// One key with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: Vec<u8>,
    /// The value.
    pub(super) value: Vec<u8>,
    /// The media type of the value.
    pub(super) content_type: String,
    /// How long it lives from now on.
    pub(super) ttl_ms: Option<u64>,
    /// Its labels.
    pub(super) tags: Vec<String>,
}

impl Entry {
    /// Whether the batch route can store it with its type. What it cannot is put on its own.
    pub(super) fn fits_batch(&self) -> bool {
        match self.content_type.as_str() {
            TEXT => std::str::from_utf8(&self.value).is_ok(),
            OCTETS => true,
            JSON => self.as_json().is_some(),
            _ => false,
        }
    }

    /// The value as JSON that comes through a request byte by byte: blanks around it would not.
    pub(super) fn as_json(&self) -> Option<&RawValue> {
        let value: &RawValue = serde_json::from_slice(&self.value).ok()?;
        (value.get().len() == self.value.len()).then_some(value)
    }

    /// An operation of the batch route, put together by hand so that JSON keeps its digits.
    pub(super) fn write_operation(&self, body: &mut Vec<u8>) {
        let text = || String::from_utf8_lossy(&self.value);
        let (value, value_type) = match self.content_type.as_str() {
            JSON => (text().into_owned(), "json"),
            TEXT => (json!(text()).to_string(), "string"),
            _ => (wrapped(&self.value).to_string(), "bytes"),
        };
        let key = text_or_base64(&self.key);
        let start =
            format!("{{\"op\":\"set\",\"key\":{key},\"value_type\":\"{value_type}\",\"value\":");
        body.extend_from_slice(start.as_bytes());
        body.extend_from_slice(value.as_bytes());
        if let Some(ttl_ms) = self.ttl_ms {
            body.extend_from_slice(format!(",\"ttl_ms\":{ttl_ms}").as_bytes());
        }
        if !self.tags.is_empty() {
            body.extend_from_slice(format!(",\"tags\":{}", json!(self.tags)).as_bytes());
        }
        body.push(b'}');
    }
}

/// Bytes in base64, whether or not they are text.
pub(super) fn wrapped(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) })
}

/// The media type of a value for which none is said.
pub(super) fn guessed_type(value: &[u8]) -> &'static str {
    if std::str::from_utf8(value).is_ok() {
        TEXT
    } else {
        OCTETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &[u8], content_type: &str) -> Entry {
        Entry {
            key: b"k".to_vec(),
            value: value.to_vec(),
            content_type: content_type.to_owned(),
            ..Entry::default()
        }
    }

    #[test]
    fn the_batch_route_gets_what_it_can_store_exactly() {
        assert!(entry(b"a", TEXT).fits_batch());
        assert!(entry(b"\xff", OCTETS).fits_batch());
        assert!(entry(b"{\"a\": 1.0}", JSON).fits_batch());
        assert!(!entry(b" {}", JSON).fits_batch(), "the blank would be lost");
        assert!(!entry(b"{", JSON).fits_batch());
        assert!(!entry(b"\xff", TEXT).fits_batch());
        assert!(!entry(b"x", "image/png").fits_batch());
    }

    #[test]
    fn operations_are_valid_json_with_exact_values() {
        for (entry, value) in [
            (entry(b"a\"\n", TEXT), json!("a\"\n")),
            (entry(b"\xff", OCTETS), json!({"base64": "/w=="})),
            (entry(b"[1, 2]", JSON), json!([1, 2])),
        ] {
            let mut body = Vec::new();
            let tags = vec!["a,b".to_owned()];
            Entry {
                ttl_ms: Some(5),
                tags,
                ..entry
            }
            .write_operation(&mut body);
            let operation: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&operation["value"], &operation["ttl_ms"]),
                (&value, &json!(5))
            );
            assert_eq!(operation["tags"], json!(["a,b"]));
        }
    }
}
