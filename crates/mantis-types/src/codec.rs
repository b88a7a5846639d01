//! Order-preserving integers, and the error of everything that decodes bytes.

use thiserror::Error;

/// The largest number that stands in one byte.
const ONE_BYTE_MAX: u64 = 0xF7;

/// Why bytes are not what they should be, or why a value does not fit its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends before its own length says so.
    #[error("the input ends too early")]
    Truncated,
    /// A number is longer than it needs to be, or longer than 64 bits.
    #[error("a number is not in its shortest form")]
    NotCanonical,
    /// A space, value kind, operation or attribute has a number that is not known.
    #[error("unknown tag {0}")]
    UnknownTag(u8),
    /// Bytes of a later format version.
    #[error("format version {0} is not known")]
    UnknownVersion(u8),
    /// The encoded key is longer than the engine takes.
    #[error("encoded key of {len} bytes, at most {max} fit")]
    KeyTooLong {
        /// Encoded length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A value, attribute block or batch is larger than its length field can say.
    #[error("{len} bytes, at most {max} fit")]
    TooLong {
        /// Length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Keys of a batch are not strictly ascending.
    #[error("keys of a batch must be strictly ascending")]
    Unsorted,
}

/// Appends `number` so that the bytes of two numbers compare as the numbers do.
///
/// Up to 247 in one byte; above, a byte `0xF7 + n` and `n` big-endian bytes (1 to 8), always the
/// shortest form. The idea is that of SQLite4's ordered varints.
pub fn encode_ordered(number: u64, out: &mut Vec<u8>) {
    if let Some(byte) = u8::try_from(number).ok().filter(|_| number <= ONE_BYTE_MAX) {
        out.push(byte);
        return;
    }
    let bytes = number.to_be_bytes();
    let skipped = number.leading_zeros() / 8;
    let mut tag = 0xFF_u8;
    for _ in 0..skipped {
        tag -= 1;
    }
    out.push(tag);
    out.extend(bytes.iter().skip(skipped as usize));
}

/// Reads a number written by [`encode_ordered`]; answers it and the rest of the input.
///
/// # Errors
/// `Truncated` when the input ends inside the number, `NotCanonical` when a shorter form exists.
pub fn decode_ordered(input: &[u8]) -> Result<(u64, &[u8]), CodecError> {
    let (&first, rest) = input.split_first().ok_or(CodecError::Truncated)?;
    if u64::from(first) <= ONE_BYTE_MAX {
        return Ok((u64::from(first), rest));
    }
    let len = usize::from(first) - 0xF7;
    let (digits, rest) = rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
    let number = digits.iter().fold(0_u64, |n, &b| (n << 8) | u64::from(b));
    let shortest = number > ONE_BYTE_MAX && digits.first().is_some_and(|&b| b != 0);
    if shortest {
        Ok((number, rest))
    } else {
        Err(CodecError::NotCanonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_keep_their_order() {
        let mut last: Option<Vec<u8>> = None;
        let edges = (0..=64).flat_map(|bit: u32| {
            let n = 1_u64.checked_shl(bit).unwrap_or(0);
            [n.wrapping_sub(1), n, n.wrapping_add(1)]
        });
        let mut numbers: Vec<u64> = edges.chain([247, 248, 255, 256]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for n in numbers {
            let mut bytes = Vec::new();
            encode_ordered(n, &mut bytes);
            assert_eq!(decode_ordered(&bytes), Ok((n, &[][..])));
            assert!(
                last.as_ref().is_none_or(|l| *l < bytes),
                "{n} sorts after its predecessor"
            );
            last = Some(bytes);
        }
    }

    #[test]
    fn long_and_short_forms_are_refused() {
        assert_eq!(decode_ordered(&[0xF8, 0x05]), Err(CodecError::NotCanonical));
        assert_eq!(
            decode_ordered(&[0xF9, 0x00, 0xFF]),
            Err(CodecError::NotCanonical)
        );
        assert_eq!(decode_ordered(&[0xFF, 1]), Err(CodecError::Truncated));
        assert_eq!(decode_ordered(&[]), Err(CodecError::Truncated));
    }
}
