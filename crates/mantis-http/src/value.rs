//! The forms of a value: what a client may send, and how it is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::body::members;
use crate::failure::{Failure, Outcome};

pub(crate) const OCTETS: &str = "application/octet-stream";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";

/// How a value in JSON is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueType {
    /// Bytes: an array of integers 0 to 255, a string, or `{"base64": "..."}`.
    Bytes,
    /// Text: a string.
    String,
    /// JSON, stored as it was written.
    Json,
}

/// Bytes with their media type, as they go into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: String,
}

impl Stored {
    fn new(bytes: impl Into<Bytes>, content_type: &str) -> Self {
        Self {
            bytes: bytes.into(),
            content_type: content_type.to_owned(),
        }
    }

    /// Reads a JSON value: an array of integers 0 to 255 is bytes, a string is its UTF-8 text,
    /// everything else is kept as JSON text, digit by digit.
    ///
    /// # Errors
    /// 400 when the value is not of the type that it is said to be.
    pub(crate) fn from_json(value: &RawValue, said: Option<ValueType>) -> Outcome<Self> {
        match said {
            Some(ValueType::Json) => Ok(Self::json(value)),
            Some(ValueType::String) => text_of(value)
                .map(|text| Self::new(text, TEXT))
                .ok_or_else(|| wrong("string", "a JSON string")),
            Some(ValueType::Bytes) => octets_of(value)
                .or_else(|| text_of(value).map(String::into_bytes))
                .or_else(|| wrapped(value))
                .map(|bytes| Self::new(bytes, OCTETS))
                .ok_or_else(|| {
                    wrong(
                        "bytes",
                        "an array of integers 0 to 255, a string, or {\"base64\": ...}",
                    )
                }),
            None => {
                let octets = octets_of(value).map(|bytes| Self::new(bytes, OCTETS));
                let guess = octets.or_else(|| text_of(value).map(|text| Self::new(text, TEXT)));
                // A string that is no text (half of a surrogate pair) must not turn into JSON.
                if guess.is_none() && value.get().starts_with('"') {
                    return Err(wrong("string", "text without unpaired surrogates"));
                }
                Ok(guess.unwrap_or_else(|| Self::json(value)))
            }
        }
    }

    /// As the admin API reads a value: text stays text, `{"base64": ...}` is bytes, and everything
    /// else is JSON.
    ///
    /// # Errors
    /// 400 for a string that is no text.
    pub(crate) fn from_admin_json(value: &RawValue) -> Outcome<Self> {
        if let Some(bytes) = wrapped(value) {
            return Ok(Self::new(bytes, OCTETS));
        }
        let said = if value.get().starts_with('"') {
            ValueType::String
        } else {
            ValueType::Json
        };
        Self::from_json(value, Some(said))
    }

    fn json(value: &RawValue) -> Self {
        Self::new(value.get().to_owned(), JSON)
    }
}

fn wrong(said: &str, expected: &str) -> Failure {
    Failure::invalid_value(format!("value must be {expected} for value_type {said}"))
        .detail("member", "value")
}

fn octets_of(value: &RawValue) -> Option<Vec<u8>> {
    if value.get().starts_with('[') {
        serde_json::from_str(value.get()).ok()
    } else {
        None
    }
}

fn text_of(value: &RawValue) -> Option<String> {
    if value.get().starts_with('"') {
        serde_json::from_str(value.get()).ok()
    } else {
        None
    }
}

fn wrapped(value: &RawValue) -> Option<Vec<u8>> {
    if !value.get().starts_with('{') {
        return None;
    }
    serde_json::from_str::<Wrapped>(value.get()).ok()?.bytes()
}

/// Bytes in JSON that are no text.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    /// The bytes in base64 with padding.
    #[schema(example = "AP8=", pattern = r"^([A-Za-z0-9+/]{4})*$")]
    base64: String,
}

impl Wrapped {
    fn bytes(&self) -> Option<Vec<u8>> {
        BASE64.decode(&self.base64).ok()
    }
}

/// A key in a JSON request: text, or wrapped bytes.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(
    untagged,
    expecting = "a key must be a string or {\"base64\": \"...\"}"
)]
pub(crate) enum KeyForm {
    /// A key that is UTF-8 text.
    Text(String),
    /// A key that is not.
    #[serde(deserialize_with = "members")]
    Bytes(Wrapped),
}

impl KeyForm {
    /// The key's bytes.
    ///
    /// # Errors
    /// 400 for broken base64.
    pub(crate) fn into_bytes(self) -> Outcome<Bytes> {
        match self {
            Self::Text(text) => Ok(Bytes::from(text)),
            Self::Bytes(wrapped) => wrapped.bytes().map(Bytes::from).ok_or_else(|| {
                Failure::invalid_value("a key's base64 is not valid").detail("member", "key")
            }),
        }
    }
}

/// Shows bytes as text, or wrapped when they are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextOrBase64<'a>(pub(crate) &'a [u8]);

impl Serialize for TextOrBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64.encode(self.0))?;
                map.end()
            }
        }
    }
}

/// How a value is shown in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// An array of integers 0 to 255.
    #[default]
    Bytes,
    /// Text.
    String,
    /// The JSON that is stored.
    Json,
    /// Base64 with padding.
    Base64,
}

impl Format {
    /// Reads `?format=`.
    ///
    /// # Errors
    /// 400 naming the known ones.
    pub(crate) fn from_word(word: &str) -> Outcome<Self> {
        match word {
            "bytes" => Ok(Self::Bytes),
            "string" => Ok(Self::String),
            "json" => Ok(Self::Json),
            "base64" => Ok(Self::Base64),
            _ => Err(Failure::invalid_value(
                "format must be bytes, string, json or base64",
            )),
        }
    }

    /// The value in this form.
    ///
    /// # Errors
    /// 406 for bytes that are no text or no JSON.
    pub(crate) fn show(self, bytes: &[u8]) -> Outcome<Shown<'_>> {
        let refused = |what: &str| {
            Failure::http(
                StatusCode::NOT_ACCEPTABLE,
                format!("the value is not {what}; ask for format=base64 or bytes"),
            )
        };
        match self {
            Self::Bytes => Ok(Shown::Bytes(bytes)),
            Self::Base64 => Ok(Shown::Base64(BASE64.encode(bytes))),
            Self::String => std::str::from_utf8(bytes)
                .map(Shown::Text)
                .map_err(|_| refused("UTF-8 text")),
            Self::Json => serde_json::from_slice(bytes)
                .map(Shown::Json)
                .map_err(|_| refused("JSON")),
        }
    }
}

/// A value in the form that was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Shown<'a> {
    Bytes(#[serde(serialize_with = "as_array")] &'a [u8]),
    Base64(String),
    Text(&'a str),
    Json(&'a RawValue),
}

impl Shown<'_> {
    /// About how many bytes it takes in JSON.
    pub(crate) fn room(&self) -> usize {
        match self {
            // Up to three digits and a comma.
            Self::Bytes(bytes) => 4 * bytes.len() + 2,
            Self::Base64(text) => text.len() + 2,
            Self::Text(text) => text.len() + text.len() / 8 + 2,
            Self::Json(json) => json.get().len(),
        }
    }
}

/// A value as the admin API shows it: stored JSON as JSON, text as text, other bytes wrapped.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Readable<'a> {
    Json(&'a RawValue),
    Text(TextOrBase64<'a>),
}

impl<'a> Readable<'a> {
    pub(crate) fn of(bytes: &'a [u8], content_type: &str) -> Self {
        let json = content_type
            .starts_with(JSON)
            .then(|| serde_json::from_slice(bytes).ok());
        json.flatten()
            .map_or(Self::Text(TextOrBase64(bytes)), Self::Json)
    }
}

/// In JSON an array of numbers; see `json::Compact` for how it is written.
fn as_array<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, said: Option<ValueType>) -> Outcome<(Vec<u8>, String)> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        Stored::from_json(&raw, said).map(|stored| (stored.bytes.to_vec(), stored.content_type))
    }

    #[test]
    fn json_values_are_guessed_or_told() {
        use ValueType::{Bytes, Json, String};
        for (json, said, bytes, content_type) in [
            ("[0,255]", None, &b"\x00\xff"[..], OCTETS),
            ("[]", None, b"", OCTETS),
            ("[0,256]", None, b"[0,256]", JSON),
            ("[1.0]", None, b"[1.0]", JSON),
            ("[1,2]", Some(Json), b"[1,2]", JSON),
            ("\"a\\u00e9\"", None, "aé".as_bytes(), TEXT),
            ("\"a\"", Some(Bytes), b"a", OCTETS),
            ("\"a\"", Some(String), b"a", TEXT),
            ("\"a\"", Some(Json), b"\"a\"", JSON),
            ("{\"base64\":\"AP8=\"}", Some(Bytes), b"\x00\xff", OCTETS),
            (
                "{\"base64\":\"AP8=\"}",
                None,
                b"{\"base64\":\"AP8=\"}",
                JSON,
            ),
            ("null", None, b"null", JSON),
            (
                "1.50000000000000000001",
                None,
                b"1.50000000000000000001",
                JSON,
            ),
            (
                "{ \"b\" : 1, \"a\" : 2 }",
                None,
                b"{ \"b\" : 1, \"a\" : 2 }",
                JSON,
            ),
        ] {
            let expected = (bytes.to_vec(), content_type.to_owned());
            assert_eq!(read(json, said).unwrap(), expected, "{json} {said:?}");
        }
        for (json, said) in [
            ("1", String),
            ("[300]", Bytes),
            ("{}", Bytes),
            ("{\"base64\":\"!\"}", Bytes),
        ] {
            let failure = read(json, Some(said)).unwrap_err();
            assert_eq!(
                (failure.status().as_u16(), failure.code()),
                (400, "invalid_value"),
                "{json}"
            );
        }
        assert!(read("\"\\ud800\"", None).is_err());
    }

    #[test]
    fn values_are_shown_as_asked_or_refused() {
        let json = |format: Format, bytes: &[u8]| {
            format
                .show(bytes)
                .map(|shown| serde_json::to_string(&shown).unwrap())
                .map_err(|f| f.status().as_u16())
        };
        assert_eq!(json(Format::Bytes, b"\x00\xffa").unwrap(), "[0,255,97]");
        assert_eq!(json(Format::Base64, b"\x00\xff").unwrap(), "\"AP8=\"");
        assert_eq!(json(Format::String, b"a\"b").unwrap(), "\"a\\\"b\"");
        assert_eq!(json(Format::Json, b"{\"a\": 1.0}").unwrap(), "{\"a\": 1.0}");
        assert_eq!(json(Format::String, b"\xff"), Err(406));
        assert_eq!(json(Format::Json, b"{"), Err(406));
        assert!(Format::from_word("xml").is_err());
    }

    #[test]
    fn keys_that_are_no_text_are_wrapped() {
        assert_eq!(
            serde_json::to_string(&TextOrBase64(b"a/b")).unwrap(),
            "\"a/b\""
        );
        assert_eq!(
            serde_json::to_string(&TextOrBase64(b"\xff")).unwrap(),
            "{\"base64\":\"/w==\"}"
        );
        let key = serde_json::from_str::<KeyForm>("{\"base64\":\"/w==\"}").unwrap();
        assert_eq!(key.into_bytes().unwrap(), &b"\xff"[..]);
        assert!(serde_json::from_str::<KeyForm>("1").is_err());
        assert!(
            serde_json::from_str::<KeyForm>("{\"base64\":\"!\"}")
                .unwrap()
                .into_bytes()
                .is_err()
        );
    }
}
