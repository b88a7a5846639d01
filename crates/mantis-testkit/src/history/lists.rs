//! How lists of numbers stand in a store: a key with leading zeros, the numbers as text.

use crate::door::Refusal;
use crate::rig::target::WRONG;

/// The key of a list; keys are in the order of their numbers.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    format!("list-{number:010}").into_bytes()
}

/// The number of such a key.
#[must_use]
pub fn number(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(b"list-")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The value that holds a list.
#[must_use]
pub fn encode(list: &[u64]) -> Vec<u8> {
    let texts: Vec<String> = list.iter().map(u64::to_string).collect();
    texts.join(",").into_bytes()
}

/// The list that a value holds; nothing is an empty list.
///
/// # Errors
/// When it is none: a finding.
pub fn decode(value: Option<&[u8]>) -> Result<Vec<u64>, Refusal> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let wrong = || Refusal::new(WRONG, format!("no list: {}", value.escape_ascii()));
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let numbers = text.split(',').map(str::parse);
    numbers.collect::<Result<_, _>>().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back() {
        for list in [vec![7], vec![1, 20, 300]] {
            assert_eq!(decode(Some(&encode(&list))), Ok(list));
        }
        assert_eq!(decode(None), Ok(Vec::new()));
        assert_eq!(decode(Some(b"1,x")).unwrap_err().code, WRONG);
        assert!(key(9) < key(10));
        assert_eq!(number(&key(123)), Some(123));
    }
}
