//! Writes JSON as answers carry it: without blanks, and arrays of bytes in one go.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Largest room that is made beforehand; longer texts grow into theirs.
const ROOM_MAX: usize = 64 << 10;
/// Bytes of text that are put together before they are written.
const PIECE_BYTES: usize = 256;
/// Most bytes that one number takes: three digits and a comma.
const NUMBER_BYTES_MAX: usize = 4;

/// Writes `value` into a buffer that has room for `room` bytes.
///
/// # Errors
/// What the value answers.
pub(crate) fn to_vec<T: Serialize>(value: &T, room: usize) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(room.min(ROOM_MAX));
    let mut serializer = Serializer::with_formatter(&mut text, Compact);
    value.serialize(&mut serializer)?;
    Ok(text)
}

/// As serde_json's own, but for bytes: it writes each of their numbers by itself, which for a value of
/// 128 bytes cost as much as all the rest of the text.
struct Compact;

impl Formatter for Compact {
    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        writer.write_all(b"[")?;
        let mut comma: &[u8] = b"";
        for piece in value.chunks(PIECE_BYTES / NUMBER_BYTES_MAX) {
            writer.write_all(comma)?;
            comma = b",";
            let mut text = [0; PIECE_BYTES];
            let mut len = 0;
            for byte in piece {
                let (digits, count) = DECIMALS[usize::from(*byte)];
                text[len..len + NUMBER_BYTES_MAX].copy_from_slice(&digits);
                len += count;
            }
            // Without the comma of the last.
            writer.write_all(&text[..len - 1])?;
        }
        writer.write_all(b"]")
    }
}

/// Each byte in decimal with a comma behind it, and how long that is.
const DECIMALS: [([u8; NUMBER_BYTES_MAX], usize); 256] = {
    let mut table = [([0; NUMBER_BYTES_MAX], 0); 256];
    let mut number = 0_usize;
    let mut byte = 0_u8;
    loop {
        let (hundreds, tens, ones) = (b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10);
        table[number] = match byte {
            0..=9 => ([ones, b',', 0, 0], 2),
            10..=99 => ([tens, ones, b',', 0], 3),
            100..=255 => ([hundreds, tens, ones, b','], 4),
        };
        if byte == u8::MAX {
            break table;
        }
        (number, byte) = (number + 1, byte + 1);
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    struct Octets<'a>(&'a [u8]);

    impl Serialize for Octets<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    #[test]
    fn bytes_are_written_as_the_library_writes_them() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for len in [0, 1, 2, 63, 64, 65, 128, 129, all.len()] {
            let part = &all[..len];
            let expected = serde_json::to_vec(part).unwrap();
            assert_eq!(to_vec(&Octets(part), 0).unwrap(), expected, "{len}");
        }
        let mixed = serde_json::json!({"a": [1, null, "x\n"], "b": {"c": 1.5}});
        let expected = serde_json::to_vec(&mixed).unwrap();
        assert_eq!(to_vec(&mixed, 7).unwrap(), expected);
    }
}
