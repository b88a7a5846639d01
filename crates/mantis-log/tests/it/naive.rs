//! The control for the checksums: a reader written from the layout's description that believes
//! everything it reads. Flips must get past it, or the sweep over flips proves nothing.

use crate::fixture::{Files, segments};

fn number(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
}

/// The bodies of all records, without any check.
pub(crate) fn believe(files: &Files) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for index in segments(files) {
        let bytes = &files[index].1;
        let mut at = 4096;
        while at + 40 <= bytes.len() && number(bytes, at + 4) & 0xff == 1 {
            let len = number(bytes, at);
            let Some(body) = bytes.get(at + 40..at + 40 + len) else {
                break;
            };
            bodies.push(body.to_vec());
            at = (at + 40 + len).next_multiple_of(8);
        }
    }
    bodies
}
