//! Requests cut into pieces in every way, and every violation.

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    target_bytes_max: 40,
    header_bytes_max: 200,
    headers_max: 5,
};

/// Feeds the bytes in pieces of every size: the verdict must not depend on where reads end.
fn walk(bytes: &[u8]) -> Result<(u64, bool), Violation> {
    let mut verdicts = Vec::new();
    for size in 1..=bytes.len() {
        let mut framing = Framing::new(LIMITS);
        let verdict = bytes
            .chunks(size)
            .try_for_each(|chunk| framing.advance(chunk));
        let verdict = verdict.map_err(|refused| refused.violation);
        verdicts.push(verdict.map(|()| (framing.heads(), framing.is_between_requests())));
    }
    let first = verdicts[0];
    for (size, verdict) in verdicts.iter().enumerate() {
        assert_eq!(*verdict, first, "pieces of {} bytes", size + 1);
    }
    first
}

#[test]
fn well_formed_requests_are_followed_from_one_to_the_next() {
    for (bytes, heads, between) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, true),
        ("GET / HTTP/1.0\r\n\r\n", 1, true),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, true),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
            true,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
            1,
            false,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\nGET / \nX:\r\n\r\n",
            1,
            true,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\na\nb\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            1,
            true,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\nGET /x",
            1,
            false,
        ),
    ] {
        assert_eq!(walk(bytes.as_bytes()), Ok((heads, between)), "{bytes:?}");
    }
}

#[test]
fn every_malformed_head_is_refused() {
    use Violation::{BareLineFeed, HeaderLine, HeadersTooLarge, Host, RequestLine, TargetTooLong};
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(40));
    let endless = "G".repeat(200);
    let big = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(200)
    );
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(5));
    for (bytes, expected) in [
        ("GET / HTTP/1.1\nHost: a\n\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed),
        ("GET /\r\n", RequestLine),
        ("GET  / HTTP/1.1\r\n", RequestLine),
        ("GET / HTTP/2.0\r\n", RequestLine),
        ("G@T / HTTP/1.1\r\n", RequestLine),
        ("GET health HTTP/1.1\r\n", RequestLine),
        ("GET *x HTTP/1.1\r\n", RequestLine),
        ("GET /\u{e9} HTTP/1.1\r\n", RequestLine),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\n", RequestLine),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestLine),
        ("GET / HTTP/1.1\r\nHost : a\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\n Host: a\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nno colon\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\n\r\n", Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Host),
        (long.as_str(), TargetTooLong),
        (endless.as_str(), TargetTooLong),
        (big.as_str(), HeadersTooLarge),
        (many.as_str(), HeadersTooLarge),
    ] {
        assert_eq!(walk(bytes.as_bytes()), Err(expected), "{bytes:?}");
    }
}

#[test]
fn every_doubt_about_the_body_is_refused() {
    use Violation::{ContentLength, LengthAndEncoding, TransferEncoding};
    for (bytes, expected) in [
        (
            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            ContentLength,
        ),
        ("PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n", ContentLength),
        ("PUT / HTTP/1.1\r\nContent-Length: +1\r\n", ContentLength),
        ("PUT / HTTP/1.1\r\nContent-Length: -1\r\n", ContentLength),
        (
            "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n",
            ContentLength,
        ),
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n",
            TransferEncoding,
        ),
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            TransferEncoding,
        ),
        (
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
            TransferEncoding,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthAndEncoding,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            LengthAndEncoding,
        ),
    ] {
        assert_eq!(walk(bytes.as_bytes()), Err(expected), "{bytes:?}");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    use Violation::{BareLineFeed, Chunk, HeaderLine};
    let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "3\nabc",
        "3\r\nabcd\r\n",
        "3 \r\n",
        "1\r\na\n",
        "0\r\nno colon\r\n",
        "11111111111111111\r\n",
    ] {
        let verdict = walk(format!("{chunked}{chunks}").as_bytes());
        assert!(
            matches!(verdict, Err(Chunk | BareLineFeed | HeaderLine)),
            "{chunks:?} {verdict:?}"
        );
    }
    let endless = format!("{chunked}1;{}", "x".repeat(CHUNK_LINE_MAX));
    assert_eq!(walk(endless.as_bytes()), Err(Chunk));
}

#[test]
fn what_is_right_before_a_violation_is_known() {
    let good = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let bad = [good.as_slice(), b"d\n"].concat();
    let refused = |violation, good, whole_heads, in_body| {
        Err(Refused {
            violation,
            good,
            whole_heads,
            in_body,
        })
    };
    let whole = Framing::new(LIMITS).advance(&bad);
    assert_eq!(
        whole,
        refused(Violation::BareLineFeed, good.len(), 1, false)
    );
    let mut framing = Framing::new(LIMITS);
    framing.advance(&good[..good.len() - 1]).unwrap();
    assert_eq!(
        framing.advance(b"cd\n"),
        refused(Violation::BareLineFeed, 1, 1, false)
    );
    let chunked = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut framing = Framing::new(LIMITS);
    framing.advance(chunked).unwrap();
    assert_eq!(
        framing.advance(b"x\r\n"),
        refused(Violation::Chunk, 0, 1, true)
    );
    let at_once = Framing::new(LIMITS).advance(&[chunked.as_slice(), b"x\r\n"].concat());
    assert_eq!(at_once, refused(Violation::Chunk, 0, 0, false));
}

#[test]
fn violations_answer_in_their_status() {
    for (violation, status) in [
        (Violation::BareLineFeed, 400),
        (Violation::LengthAndEncoding, 400),
        (Violation::TargetTooLong, 414),
        (Violation::HeadersTooLarge, 431),
    ] {
        assert_eq!(violation.failure().status().as_u16(), status);
    }
}

#[test]
fn any_bytes_end_in_a_verdict() {
    // A small generator of our own: each run walks over other bytes, none may panic or hang.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let alphabet =
        b"GETPUT / HTTP/1.1\r\n\r\n:;0123abcContent-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    for _ in 0..20_000 {
        let mut framing = Framing::new(LIMITS);
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let from = usize::try_from(state >> 33).unwrap() % alphabet.len();
            let len = usize::try_from((state >> 20) & 31).unwrap();
            let piece = &alphabet[from..(from + len).min(alphabet.len())];
            if framing.advance(piece).is_err() {
                break;
            }
        }
    }
}

#[test]
fn tokens_are_letters_digits_and_some_punctuation() {
    for byte in 0..=u8::MAX {
        let fits = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert_eq!(is_token(&[b'a', byte]), fits, "{byte}");
    }
    assert!(!is_token(b""));
}
