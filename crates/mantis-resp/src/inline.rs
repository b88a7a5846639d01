//! Requests that people type: words in a line, with quotes.

use bytes::{Bytes, BytesMut};

/// Splits a line into words; `None` when quotes are not balanced.
pub(crate) fn split(line: &Bytes) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line.as_ref();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = BytesMut::new();
        rest = take_word(rest, &mut word)?;
        words.push(word.freeze());
    }
}

/// Takes the word at the front; answers what is left.
fn take_word<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        match rest.split_first() {
            None => return Some(rest),
            Some((byte, _)) if byte.is_ascii_whitespace() || *byte == 0 => {
                // A zero byte ends a word, as it ends a line in C.
                return Some(rest.get(1..).unwrap_or_default());
            }
            Some((b'"', after)) => return end_of_quoted(take_quoted(after, word)?),
            Some((b'\'', after)) => return end_of_quoted(take_plain(after, word)?),
            Some((byte, after)) => {
                word.extend_from_slice(&[*byte]);
                rest = after;
            }
        }
    }
}

/// Behind a closing quote a word must end.
fn end_of_quoted(rest: &[u8]) -> Option<&[u8]> {
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    ends.then_some(rest)
}

/// Up to `"`, with escapes.
fn take_quoted<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        let byte = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
                hex(*high) << 4 | hex(*low)
            }
            [b'\\', escaped, after @ ..] => {
                rest = after;
                match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                }
            }
            [byte, after @ ..] => {
                rest = after;
                *byte
            }
            [] => return None,
        };
        word.extend_from_slice(&[byte]);
    }
}

/// Up to `'`; only that can be escaped.
fn take_plain<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        let byte = match rest {
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => {
                rest = after;
                b'\''
            }
            [byte, after @ ..] => {
                rest = after;
                *byte
            }
            [] => return None,
        };
        word.extend_from_slice(&[byte]);
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &'static str) -> Option<Vec<Vec<u8>>> {
        let words = split(&Bytes::from_static(line.as_bytes()))?;
        Some(words.into_iter().map(Vec::from).collect())
    }

    #[test]
    fn quotes_and_escapes_are_taken_as_redis_cli_writes_them() {
        let found = words(r#"set "a\x41\n\"" 'it\'s' plain"#).unwrap();
        assert_eq!(found, [&b"set"[..], b"aA\n\"", b"it's", b"plain"]);
        assert_eq!(words("  a   b "), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(words(r#""""#), Some(vec![Vec::new()]));
        assert_eq!(words(r#""\xzz""#), Some(vec![b"xzz".to_vec()]));
    }

    #[test]
    fn what_is_not_closed_or_goes_on_is_unbalanced() {
        for line in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
