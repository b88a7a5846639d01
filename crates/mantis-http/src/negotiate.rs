//! What form of a single value a client accepts.

use http::{HeaderMap, StatusCode, header};

use crate::failure::{Failure, Outcome};
use crate::value::OCTETS;

/// Most media ranges of an `Accept` that are looked at.
const RANGES_MAX: usize = 32;

/// The chosen form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The JSON envelope.
    Envelope,
    /// The bare bytes as `application/octet-stream`.
    Octets,
    /// The bare bytes with the type they were stored with.
    AsStored,
}

/// Chooses by `Accept`: the envelope where JSON is welcome, else the bare bytes as octets or as
/// what they were stored as.
///
/// # Errors
/// 406 when the client takes neither; 400 for an `Accept` that is no text.
pub(crate) fn choose(headers: &HeaderMap, stored_type: &str) -> Outcome<Form> {
    if takes_anything(headers) {
        return Ok(Form::Envelope);
    }
    let ranges = ranges(headers)?;
    if ranges.is_empty() {
        return Ok(Form::Envelope);
    }
    let stored = stored_type.split(';').next().unwrap_or_default().trim();
    let offers = [
        (Form::Envelope, "application/json"),
        (Form::Octets, OCTETS),
        (Form::AsStored, stored),
    ];
    let weighed = offers.map(|(form, media)| (form, weight(&ranges, media)));
    // The first of equals wins, so that `*/*` is the envelope.
    let best = weighed.into_iter().rev().max_by_key(|(_, weight)| *weight);
    match best {
        Some((form, weight)) if weight > 0 => Ok(form),
        _ => Err(Failure::http(
            StatusCode::NOT_ACCEPTABLE,
            "the answer comes as application/json, application/octet-stream, or as the stored type",
        )),
    }
}

/// Whether plain JSON is welcome.
///
/// # Errors
/// As [`choose`].
pub(crate) fn wants_json(headers: &HeaderMap) -> Outcome<bool> {
    if takes_anything(headers) {
        return Ok(true);
    }
    let ranges = ranges(headers)?;
    Ok(ranges.is_empty() || weight(&ranges, "application/json") > 0)
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamForm {
    /// Server-sent events.
    Sse,
    /// One JSON object in each line.
    Lines,
}

/// Chooses by `Accept`: events, unless lines are asked for.
///
/// # Errors
/// 406 when the client takes neither; 400 for an `Accept` that is no text.
pub(crate) fn stream_form(headers: &HeaderMap) -> Outcome<StreamForm> {
    if takes_anything(headers) {
        return Ok(StreamForm::Sse);
    }
    let ranges = ranges(headers)?;
    let events = weight(&ranges, "text/event-stream");
    let lines = weight(&ranges, "application/x-ndjson");
    match (events, lines) {
        _ if ranges.is_empty() => Ok(StreamForm::Sse),
        (0, 0) => Err(Failure::http(
            StatusCode::NOT_ACCEPTABLE,
            "the answer comes as text/event-stream or application/x-ndjson",
        )),
        _ if lines > events => Ok(StreamForm::Lines),
        _ => Ok(StreamForm::Sse),
    }
}

/// What nearly every client says: nothing, or `*/*`.
fn takes_anything(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::ACCEPT).iter();
    let first = lines.next();
    first.is_none_or(|line| line == "*/*") && lines.next().is_none()
}

struct Range<'a> {
    media: &'a str,
    thousandths: u16,
}

fn ranges(headers: &HeaderMap) -> Outcome<Vec<Range<'_>>> {
    let mut found = Vec::new();
    for line in headers.get_all(header::ACCEPT) {
        let line = line
            .to_str()
            .map_err(|_| Failure::invalid("Accept must be ASCII text"))?;
        for range in line
            .split(',')
            .map(str::trim)
            .filter(|range| !range.is_empty())
        {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let q =
                parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let thousandths = q.map_or(1000, quality);
            if found.len() < RANGES_MAX {
                found.push(Range { media, thousandths });
            }
        }
    }
    Ok(found)
}

/// `0.25` as 250; what is no quality counts as 1.
fn quality(text: &str) -> u16 {
    let Some((whole, part)) = text.split_once('.') else {
        return if text == "0" { 0 } else { 1000 };
    };
    if whole != "0" {
        return 1000;
    }
    let padded = format!("{part:0<3}");
    padded
        .get(..3)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(1000)
}

/// The quality of the most specific range that fits.
fn weight(ranges: &[Range<'_>], media: &str) -> u16 {
    let kind = media.split('/').next().unwrap_or_default();
    let same = |range: &Range<'_>| range.media.eq_ignore_ascii_case(media);
    let same_kind = |range: &Range<'_>| {
        let wanted = range.media.strip_suffix("/*");
        wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind))
    };
    let found = ranges.iter().find(|range| same(range));
    let found = found.or_else(|| ranges.iter().find(|range| same_kind(range)));
    let found = found.or_else(|| ranges.iter().find(|range| range.media == "*/*"));
    found.map_or(0, |range| range.thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str, stored: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        choose(&headers, stored).ok()
    }

    #[test]
    fn the_envelope_comes_first_and_bytes_on_request() {
        use Form::{AsStored, Envelope, Octets};
        assert_eq!(choose(&HeaderMap::new(), "text/plain").unwrap(), Envelope);
        for (accept, stored, expected) in [
            ("*/*", "text/plain", Some(Envelope)),
            ("application/json", "application/json", Some(Envelope)),
            ("application/*", "text/plain", Some(Envelope)),
            ("application/octet-stream", "text/plain", Some(Octets)),
            (
                "application/octet-stream, */*;q=0.1",
                "text/plain",
                Some(Octets),
            ),
            ("text/plain", "text/plain; charset=utf-8", Some(AsStored)),
            ("image/*", "image/png", Some(AsStored)),
            (
                "TEXT/PLAIN;q=0.5, application/json;q=0.4",
                "text/plain",
                Some(AsStored),
            ),
            ("image/png", "text/plain", None),
            ("application/json;q=0", "text/plain", None),
            ("*/*;q=0", "text/plain", None),
            ("application/json;q=0, */*", "text/plain", Some(Octets)),
        ] {
            assert_eq!(form(accept, stored), expected, "{accept} {stored}");
        }
    }

    #[test]
    fn qualities_are_read_as_thousandths() {
        for (text, expected) in [
            ("0", 0),
            ("0.", 0),
            ("0.5", 500),
            ("0.05", 50),
            ("0.123", 123),
            ("1", 1000),
            ("1.0", 1000),
            ("x", 1000),
        ] {
            assert_eq!(quality(text), expected, "{text}");
        }
    }
}
