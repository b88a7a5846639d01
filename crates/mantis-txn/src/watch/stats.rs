//! What the index of watched reads says about itself.

use mantis_types::Seq;

/// Watched reads now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchStats {
    /// Registrations.
    pub watches: u64,
    /// Different keys that they watch.
    pub keys: u64,
    /// Ranges that they watch.
    pub ranges: u64,
    /// The newest commit that has been held against them; 0 when nothing was ever watched.
    pub told: Seq,
}
