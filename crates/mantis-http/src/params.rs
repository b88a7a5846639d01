//! Query parameters: bytes in, typed values out, and nothing unknown is passed over.

use bytes::Bytes;
use mantis_types::Limits;

use crate::failure::{Failure, Outcome};

/// Most parameters of one request. Beyond: 400.
const PARAMS_MAX: usize = 64;

/// The parameters of one request. Each may stand once; what is not taken is refused by
/// [`Params::finish`].
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Params {
    /// Reads a query string: `&` between pairs, percent-encoding, `+` for a blank.
    ///
    /// # Errors
    /// 400 for a broken encoding, a parameter given twice, or too many.
    pub(crate) fn parse(query: Option<&str>) -> Outcome<Self> {
        let mut params = Self::default();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8(decode_form(name)?)
                .map_err(|_| Failure::invalid("a query parameter's name is not UTF-8"))?;
            if params.pairs.iter().any(|(known, _)| *known == name) {
                return Err(Failure::invalid(format!(
                    "query parameter {name} is given twice"
                )));
            }
            if params.pairs.len() == PARAMS_MAX {
                return Err(Failure::invalid(format!(
                    "more than {PARAMS_MAX} query parameters"
                )));
            }
            params.pairs.push((name, decode_form(value)?));
        }
        Ok(params)
    }

    /// The value as bytes.
    pub(crate) fn bytes(&mut self, name: &str) -> Option<Bytes> {
        let index = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(Bytes::from(self.pairs.swap_remove(index).1))
    }

    /// The value as text.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub(crate) fn text(&mut self, name: &str) -> Outcome<Option<String>> {
        let text = self
            .bytes(name)
            .map(|value| String::from_utf8(value.to_vec()))
            .transpose();
        text.map_err(|_| {
            Failure::invalid_value(format!("query parameter {name} must be UTF-8 text"))
        })
    }

    /// The value as a whole number.
    ///
    /// # Errors
    /// 400 for anything else, negative numbers included.
    pub(crate) fn number(&mut self, name: &str) -> Outcome<Option<u64>> {
        let Some(value) = self.bytes(name) else {
            return Ok(None);
        };
        let digits = std::str::from_utf8(&value)
            .ok()
            .filter(|text| is_digits(text));
        // More digits than a u64 has are a number all the same: larger than every cap.
        let number = digits.map(|digits| digits.parse().unwrap_or(u64::MAX));
        let wrong = || {
            Failure::invalid_value(format!(
                "query parameter {name} must be a whole number, at least 0"
            ))
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// The value as a truth.
    ///
    /// # Errors
    /// 400 for anything but `true` and `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Outcome<Option<bool>> {
        match self.bytes(name).as_deref() {
            None => Ok(None),
            Some(b"true" | b"1") => Ok(Some(true)),
            Some(b"false" | b"0") => Ok(Some(false)),
            Some(_) => Err(Failure::invalid_value(format!(
                "query parameter {name} must be true or false"
            ))),
        }
    }

    /// `limit`, cut to the largest page, or its default.
    ///
    /// # Errors
    /// 400 when it is not a whole number.
    pub(crate) fn limit(&mut self, limits: &Limits) -> Outcome<usize> {
        let max = limits.list_limit_max;
        let given = self.number("limit")?;
        Ok(given.map_or(limits.list_limit_default, |limit| {
            usize::try_from(limit).unwrap_or(max).min(max)
        }))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 naming a parameter that nobody took.
    pub(crate) fn finish(self) -> Outcome<()> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().take(64).collect();
                Err(
                    Failure::invalid(format!("unknown query parameter {shown:?}"))
                        .detail("parameter", shown),
                )
            }
        }
    }
}

/// Refuses every parameter.
///
/// # Errors
/// 400 naming the first one.
pub(crate) fn none(query: Option<&str>) -> Outcome<()> {
    Params::parse(query)?.finish()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn decode_form(text: &str) -> Outcome<Vec<u8>> {
    if text.contains('+') {
        decode(&text.replace('+', " "))
    } else {
        decode(text)
    }
}

/// Percent-decodes to bytes.
///
/// # Errors
/// 400 when a `%` is not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Outcome<Vec<u8>> {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('%') {
        let digits = bytes.get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(Failure::invalid(
                "a % must be followed by two hexadecimal digits",
            ));
        }
    }
    Ok(percent_encoding::percent_decode(bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bytes() {
        let mut params = Params::parse(Some("a=%00%ff+x&b&c=%2B=")).unwrap();
        assert_eq!(params.bytes("a").unwrap(), &b"\x00\xff x"[..]);
        assert_eq!(params.bytes("b").unwrap(), &b""[..]);
        assert_eq!(params.bytes("c").unwrap(), &b"+="[..]);
        assert_eq!(params.bytes("d"), None);
        params.finish().unwrap();
    }

    #[test]
    fn mistakes_are_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "a=1&a=2", "%ff=1", "x=1"] {
            let refused = Params::parse(Some(query)).and_then(Params::finish);
            assert_eq!(refused.unwrap_err().status().as_u16(), 400, "{query}");
        }
        for number in ["-1", "1.5", "", "x", "+1"] {
            let mut params =
                Params::parse(Some(&format!("limit={}", number.replace('+', "%2B")))).unwrap();
            assert!(params.limit(&Limits::default()).is_err(), "{number}");
        }
        let many: String = (0..=PARAMS_MAX).map(|n| format!("p{n}=1&")).collect();
        assert!(Params::parse(Some(&many)).is_err());
    }

    #[test]
    fn limits_have_a_default_and_a_cap() {
        let limit = |query| {
            Params::parse(Some(query))
                .unwrap()
                .limit(&Limits::default())
                .unwrap()
        };
        assert_eq!((limit(""), limit("limit=7"), limit("limit=0")), (100, 7, 0));
        assert_eq!(
            (limit("limit=1001"), limit("limit=99999999999999999999")),
            (1000, 1000)
        );
    }
}
