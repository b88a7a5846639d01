//! Numbers as Redis reads and writes them.

/// A 64-bit integer in its only spelling: no sign but minus, no spaces, no leading zeros.
#[must_use]
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = std::str::from_utf8(text).ok()?;
    is_canonical.then(|| text.parse().ok()).flatten()
}

/// A finite number, without spaces.
#[must_use]
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_number = !text.is_empty() && !text.contains(|c: char| c.is_whitespace());
    let number: f64 = is_number.then(|| text.parse().ok()).flatten()?;
    (!number.is_nan()).then_some(number)
}

/// How a number is written: 17 digits at most, no exponent, no zeros at the end.
#[must_use]
pub(crate) fn written(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{number:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    // The shortest text that is read as the same number is what people expect.
    let short = format!("{number}");
    let text = if short.len() <= text.len() {
        &short
    } else {
        text
    };
    match text {
        "-0" | "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn floats_are_written_without_exponent_and_zeros() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (10.5, "10.5"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e-5, "0.00001"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(written(number), expected);
        }
        assert_eq!(float(b"1e3"), Some(1000.0));
        for text in ["", " 1", "1 ", "nan", "a"] {
            assert_eq!(float(text.as_bytes()), None, "{text:?}");
        }
    }
}
