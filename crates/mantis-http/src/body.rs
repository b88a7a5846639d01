//! Bodies of requests: collected within the limit, and JSON that is read strictly.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mantis_types::Code;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::failure::{Failure, Outcome};

/// Name of the limit on bodies.
const BODY_LIMIT: &str = "server.max_body_size";

/// Reads a body, inflated bytes counted.
///
/// # Errors
/// 413 beyond the limit, 400 when it breaks off or does not inflate.
pub(crate) async fn collect(body: Body, max: usize) -> Outcome<Bytes> {
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(over_limit(max)),
        Err(error) => Err(Failure::invalid(
            "the body ended early or is not encoded as its headers say",
        )
        .because(error.to_string())),
    }
}

/// 413 for a body that is too large.
pub(crate) fn over_limit(max: usize) -> Failure {
    Failure::too_large(BODY_LIMIT, format!("{BODY_LIMIT} allows {max} bytes")).detail("max", max)
}

/// Whether the body is declared as JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|media| media == "application/json")
}

/// The media type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
    )
}

/// Demands a JSON body.
///
/// # Errors
/// 415 for any other or no `Content-Type`.
pub(crate) fn expect_json(headers: &HeaderMap) -> Outcome<()> {
    if is_json(headers) {
        return Ok(());
    }
    Err(Failure::http(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send Content-Type: application/json",
    ))
}

/// Reads a JSON object into a type that refuses unknown members.
///
/// # Errors
/// 400: `invalid_json` for text that is no JSON or nests too deep, `invalid_request` for JSON of
/// another form; the message names the member.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8], depth_max: usize) -> Outcome<T> {
    check_depth(body, depth_max)?;
    let mut text = serde_json::Deserializer::from_slice(body);
    let read = members(&mut text).and_then(|read| text.end().map(|()| read));
    read.map_err(|error| json_failure(&error))
}

/// A type with named members, from an object only: serde takes an array for one, too, and its
/// elements for the members in order.
///
/// # Errors
/// For anything but an object.
pub(crate) fn members<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Members(PhantomData))
}

/// A list of such objects.
///
/// # Errors
/// For anything but a list of objects.
pub(crate) fn list_of_members<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(transparent, bound = "T: Deserialize<'de>")]
    struct Item<T>(#[serde(deserialize_with = "members")] T);

    let items = Vec::<Item<T>>::deserialize(deserializer)?;
    Ok(items.into_iter().map(|Item(item)| item).collect())
}

fn json_failure(error: &serde_json::Error) -> Failure {
    match error.classify() {
        serde_json::error::Category::Data => Failure::invalid(error.to_string()),
        _ => Failure::new(
            Code::InvalidJson,
            format!("the body is not valid JSON: {error}"),
        ),
    }
}

/// A member that stands there, be it null: null is a value like any other.
///
/// # Errors
/// For text that is no JSON.
pub(crate) fn present<'de, D>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error>
where
    D: Deserializer<'de>,
{
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// A whole number in JSON: `7` and `7.0` are the same number there.
///
/// # Errors
/// For a fraction, and beyond 64 bits.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(WholeNumber)
}

/// The same, where it may be left out or null.
///
/// # Errors
/// As [`whole`].
pub(crate) fn maybe_whole<'de, D>(deserializer: D) -> Result<Option<i64>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    struct Wrapped(#[serde(deserialize_with = "whole")] i64);

    Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
}

/// A span of time: a whole number that is not negative.
///
/// # Errors
/// As [`whole`], and for negative numbers.
pub(crate) fn maybe_span<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = maybe_whole(deserializer)?;
    let span = number.map(u64::try_from).transpose();
    span.map_err(|_| serde::de::Error::custom("a time to live must not be negative"))
}

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<i64, E> {
        let unexpected = serde::de::Unexpected::Unsigned(number);
        i64::try_from(number).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<i64, E> {
        // Beyond 2^53 the text may have meant another number.
        let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        let digits = if exact {
            format!("{number:.0}").parse().ok()
        } else {
            None
        };
        digits.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(number), &self))
    }
}

/// Refuses JSON that nests deeper than allowed, before anything recurses into it.
///
/// # Errors
/// 400 `invalid_json` with the limit's name.
pub(crate) fn check_depth(text: &[u8], max: usize) -> Outcome<()> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            in_string = *byte != b'"' || escaped;
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            let message = format!("limits.json_depth_max allows {max} levels of nesting");
            let failure = Failure::new(Code::InvalidJson, message);
            return Err(failure.detail("limit", "limits.json_depth_max"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        value: Box<RawValue>,
    }

    fn refused(text: &str) -> (&'static str, String) {
        let failure = parse_json::<Form>(text.as_bytes(), 128).unwrap_err();
        (failure.code(), failure.message().to_owned())
    }

    #[test]
    fn unknown_members_are_named() {
        let (code, message) = refused(r#"{"value":1,"vlaue":2}"#);
        assert_eq!(code, "invalid_request");
        assert!(message.contains("vlaue"), "{message}");
        assert_eq!(refused("{}").0, "invalid_request");
        // Serde itself takes it.
        assert!(serde_json::from_str::<Form>("[1]").is_ok());
        assert_eq!(refused("[1]").0, "invalid_request");
        assert_eq!(refused(r#"{"value":1} x"#).0, "invalid_json");
        assert_eq!(refused(r#"{"value":"#).0, "invalid_json");
        assert_eq!(refused(r#"{"value":1,"value":2}"#).0, "invalid_request");
    }

    #[test]
    fn depth_is_limited_exactly() {
        let nested =
            |levels: usize| format!("{{\"value\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let deepest = parse_json::<Form>(nested(127).as_bytes(), 128).unwrap();
        assert_eq!(deepest.value.get().len(), 254);
        assert_eq!(refused(&nested(128)).0, "invalid_json");
        assert_eq!(refused(&"[".repeat(1_000_000)).0, "invalid_json");
        let quoted = format!("{{\"value\":\"{}\\\"[\"}}", "[".repeat(500));
        assert!(parse_json::<Form>(quoted.as_bytes(), 128).is_ok());
    }

    #[test]
    fn whole_numbers_are_whole() {
        #[derive(Debug, Deserialize)]
        struct Numbers {
            #[serde(deserialize_with = "whole")]
            by: i64,
            #[serde(default, deserialize_with = "maybe_span")]
            ttl: Option<u64>,
        }
        let read = |text: &str| parse_json::<Numbers>(text.as_bytes(), 8).map(|n| (n.by, n.ttl));
        assert_eq!(read(r#"{"by":-7.0,"ttl":3e2}"#).unwrap(), (-7, Some(300)));
        assert_eq!(
            read(r#"{"by":9223372036854775807,"ttl":null}"#).unwrap(),
            (i64::MAX, None)
        );
        for bad in [
            "1.5",
            "9223372036854775808",
            "1e300",
            "\"1\"",
            "null",
            "1e17",
        ] {
            assert!(read(&format!("{{\"by\":{bad}}}")).is_err(), "{bad}");
        }
        assert!(read(r#"{"by":1,"ttl":-1}"#).is_err());
    }

    #[tokio::test]
    async fn bodies_are_cut_off_at_the_limit() {
        assert_eq!(collect(Body::from("12345"), 5).await.unwrap(), "12345");
        let refused = collect(Body::from("123456"), 5).await.unwrap_err();
        assert_eq!(
            (refused.status().as_u16(), refused.code()),
            (413, "too_large")
        );
    }
}
