//! Identity of a request: its own id, and the trace it belongs to.

use http::{HeaderMap, HeaderName, HeaderValue};
use mantis_env::Env;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest request id that is taken over.
const ID_LEN_MAX: usize = 128;

/// Ids of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) request_id: String,
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
}

impl Trace {
    /// Takes over what the client sent, where it has the right form; makes the rest.
    pub(crate) fn of(headers: &HeaderMap, env: &Env) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(|id| is_id(id));
        let request_id = given.map_or_else(|| new_id(env), str::to_owned);
        let parent = headers.get(TRACEPARENT).and_then(|line| line.to_str().ok());
        let trace_id = parent
            .and_then(trace_id)
            .map_or_else(|| new_id(env), str::to_owned);
        Self {
            request_id,
            trace_id,
        }
    }

    /// The id as a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.request_id).expect("ids are visible ASCII")
    }
}

/// A new id: 128 random bits.
pub(crate) fn new_id(env: &Env) -> String {
    format!("{:016x}{:016x}", env.rng().next_u64(), env.rng().next_u64())
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+=/".contains(&byte);
    !text.is_empty() && text.len() <= ID_LEN_MAX && text.bytes().all(fits)
}

/// The trace id of a `traceparent` of version 00.
fn trace_id(line: &str) -> Option<&str> {
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
    (whole && real && is_hex(trace, 32) && is_hex(span, 16)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_over_or_made() {
        let env = Env::real();
        let mut headers = HeaderMap::new();
        let made = Trace::of(&headers, &env);
        assert_eq!((made.request_id.len(), made.trace_id.len()), (32, 32));
        assert_ne!(made, Trace::of(&headers, &env));
        headers.insert(REQUEST_ID, "my-id.1".parse().unwrap());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        let taken = Trace::of(&headers, &env);
        assert_eq!(taken.request_id, "my-id.1");
        assert_eq!(taken.trace_id, "0af7651916cd43dd8448eb211c80319c");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            headers.insert(REQUEST_ID, bad.parse().unwrap());
            assert_ne!(Trace::of(&headers, &env).request_id, bad);
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
}
