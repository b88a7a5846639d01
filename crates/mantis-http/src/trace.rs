//! Identity of a request: its own id, and the trace it belongs to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{HeaderMap, HeaderName, HeaderValue};
use mantis_env::Env;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest request id that is taken over.
const ID_LEN_MAX: usize = 128;
/// Digits of an id that is made.
const ID_DIGITS: usize = 32;

/// Ids of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    request_id: HeaderValue,
    trace_id: Id,
}

impl Trace {
    /// Takes over what the client sent, where it has the right form; makes the rest.
    pub(crate) fn of(headers: &HeaderMap, ids: &IdSource) -> Self {
        let [own, around] = ids.next_pair();
        let given = headers.get(REQUEST_ID);
        let given = given.filter(|id| id.to_str().is_ok_and(is_id));
        let parent = headers.get(TRACEPARENT).and_then(|line| line.to_str().ok());
        Self {
            request_id: given.map_or_else(|| own.header(), HeaderValue::clone),
            trace_id: parent.and_then(trace_id).unwrap_or(around),
        }
    }

    pub(crate) fn request_id(&self) -> &str {
        let id = self.request_id.to_str();
        id.expect("ids are visible ASCII")
    }

    /// 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        self.trace_id.as_str()
    }

    /// The id as a header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.request_id.clone()
    }
}

/// 128 bits as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id([u8; ID_DIGITS]);

impl Id {
    fn of(high: u64, low: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = (u128::from(high) << 64) | u128::from(low);
        let mut text = [0; ID_DIGITS];
        for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hexadecimal digits are a header value")
    }
}

/// Makes ids. Within a process they differ because they are counted, from those of other processes
/// because each begins at a random place. They are names and no secrets: to ask the operating system
/// for new randomness four times in each request cost more than the read of a value.
#[derive(Debug)]
pub(crate) struct IdSource {
    seeds: [u64; 4],
    count: AtomicU64,
}

impl IdSource {
    pub(crate) fn new(env: &Env) -> Self {
        Self {
            seeds: std::array::from_fn(|_| env.rng().next_u64()),
            count: AtomicU64::new(0),
        }
    }

    /// A new id.
    pub(crate) fn next(&self) -> Id {
        let [id, _] = self.next_pair();
        id
    }

    fn next_pair(&self) -> [Id; 2] {
        let number = self.count.fetch_add(1, Relaxed);
        let [a, b, c, d] = self.seeds.map(|seed| spread(seed.wrapping_add(number)));
        [Id::of(a, b), Id::of(c, d)]
    }
}

/// Spreads a number over 64 bits; no two numbers become the same (the last step of splitmix64).
const fn spread(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+=/".contains(&byte);
    !text.is_empty() && text.len() <= ID_LEN_MAX && text.bytes().all(fits)
}

/// The trace id of a `traceparent` of version 00.
fn trace_id(line: &str) -> Option<Id> {
    let mut parts = line.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len| {
        text.len() == len
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let whole = parts.next().is_none() && version == "00" && is_hex(flags, 2);
    let real = trace.bytes().any(|byte| byte != b'0') && span.bytes().any(|byte| byte != b'0');
    let good = whole && real && is_hex(trace, ID_DIGITS) && is_hex(span, 16);
    good.then(|| trace.as_bytes().try_into().ok().map(Id))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_over_or_made() {
        let ids = IdSource::new(&Env::real());
        let mut headers = HeaderMap::new();
        let made = Trace::of(&headers, &ids);
        assert_eq!((made.request_id().len(), made.trace_id().len()), (32, 32));
        assert_ne!(made, Trace::of(&headers, &ids));
        headers.insert(REQUEST_ID, "my-id.1".parse().unwrap());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        let taken = Trace::of(&headers, &ids);
        assert_eq!(taken.request_id(), "my-id.1");
        assert_eq!(taken.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            headers.insert(REQUEST_ID, bad.parse().unwrap());
            assert_ne!(Trace::of(&headers, &ids).request_id(), bad);
        }
        for bad in [
            "",
            "00-0-0-0",
            &parent.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &format!("{parent}-x"),
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_are_all_different() {
        let (one, other) = (IdSource::new(&Env::real()), IdSource::new(&Env::real()));
        let mut seen = std::collections::HashSet::new();
        for source in [&one, &other] {
            for _ in 0..10_000 {
                assert!(
                    source
                        .next_pair()
                        .iter()
                        .all(|id| seen.insert(id.as_str().to_owned()))
                );
            }
        }
        assert_eq!(Id::of(1, 0xff).as_str(), "000000000000000100000000000000ff");
    }
}
