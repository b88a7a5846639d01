//! What recovery, check and repair say about a log.

use std::fmt;

use mantis_types::Seq;

use crate::Damage;

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The log was made by this opening.
    pub created: bool,
    /// Segments there are.
    pub segments: u64,
    /// Records that were read and found whole.
    pub records: u64,
    /// The oldest record that can be read; one above `last_seq` when there is none.
    pub oldest_seq: Seq,
    /// The newest record.
    pub last_seq: Seq,
    /// A write that was cut short and never promised: overwritten with zeros.
    pub torn: Option<TornTail>,
    /// What was put aside, in tolerant mode only.
    pub dropped: Vec<Dropped>,
    /// What was odd, and did no harm.
    pub findings: Vec<Finding>,
}

/// Bytes after the last whole record, in which no durable record stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Number of the segment.
    pub segment: u64,
    /// Where they begin.
    pub offset: u64,
    /// Up to the last of them that is not zero.
    pub bytes: u64,
    /// The first Seq that was not completely written.
    pub seq: Seq,
}

/// A part of the log that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Number of the segment.
    pub segment: u64,
    /// Where it begins; 0 for the whole segment.
    pub offset: u64,
    /// Bytes given up.
    pub bytes: u64,
    /// The first Seq in it, as far as can be known.
    pub first_seq: Option<Seq>,
    /// The last Seq in it whose header can still be read.
    pub last_seq: Option<Seq>,
}

/// Something odd that costs nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// One slot of the mark file does not have its checksum; the other one counts.
    BadMarkSlot,
    /// Neither slot has: if the last records are cut short, it cannot be told whether they were
    /// durable, unless later ones say so.
    BadMark,
    /// The mark file is not there: as before.
    MissingMark,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadMarkSlot => "one slot of the mark file is damaged",
            Self::BadMark => "the mark file is damaged",
            Self::MissingMark => "the mark file is missing",
        })
    }
}

/// What a check found in a log. Nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Each segment, oldest first, up to the damage if there is one.
    pub segments: Vec<SegmentReport>,
    /// The place from which on the log cannot be read, if there is one.
    pub damage: Option<Damage>,
    /// A write that was cut short and never promised; the next opening cuts it off.
    pub torn: Option<TornTail>,
    /// What a repair would give up.
    pub would_drop: Vec<Dropped>,
    /// What is odd, and does no harm.
    pub findings: Vec<Finding>,
}

impl LogReport {
    /// Whether a strict opening would succeed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_none()
    }
}

/// What stands in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub number: u64,
    /// Whole records.
    pub records: u64,
    /// Its first record, or the one that would be.
    pub first_seq: Seq,
    /// Its last whole record; the one before the first when there is none.
    pub last_seq: Seq,
    /// Bytes in use, header included.
    pub bytes: u64,
    /// Length of the file.
    pub file_bytes: u64,
}
