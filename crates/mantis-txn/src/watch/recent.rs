//! The keys of the last commits, for those who register what they have read before.
//!
//! They are copied one behind the other into pieces of memory that stay warm: to keep the commits
//! themselves costs a cold allocation for each.

use std::collections::VecDeque;
use std::sync::Arc;

use mantis_types::{Seq, WriteBatch};

/// Size at which a piece is closed.
const PIECE_BYTES: usize = 64 << 10;
/// Most closed pieces.
const PIECES_MAX: usize = 16;
/// In front of each key: Seq and length.
const HEAD: usize = 8 + 2;

/// The keys of the last commits, without a gap.
#[derive(Debug, Default)]
pub(super) struct Recent {
    closed: VecDeque<Arc<Piece>>,
    open: Piece,
    /// The keys of every commit after this one that was told are here.
    after: Option<Seq>,
}

/// Keys of neighbouring commits, each with its Seq.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    newest: Seq,
}

impl Recent {
    /// Commits after this one will come, if none has come yet.
    pub(super) fn begin(&mut self, after: Seq) {
        self.after.get_or_insert(after);
    }

    pub(super) fn push(&mut self, seq: Seq, batch: &WriteBatch) {
        self.begin(seq.prev());
        let piece = &mut self.open;
        for entry in batch.entries() {
            let key = entry.key();
            piece.bytes.extend(seq.get().to_le_bytes());
            piece.bytes.extend(entry.key_len().to_le_bytes());
            piece.bytes.extend_from_slice(key);
        }
        piece.newest = seq;
        if piece.bytes.len() >= PIECE_BYTES {
            self.close();
        }
    }

    /// Closes the open piece. One that many keys of one commit have made larger counts as several.
    fn close(&mut self) {
        let piece = std::mem::take(&mut self.open);
        self.closed.push_back(Arc::new(piece));
        let bytes = |pieces: &VecDeque<Arc<Piece>>| -> usize {
            pieces.iter().map(|piece| piece.bytes.len()).sum()
        };
        while bytes(&self.closed) > PIECES_MAX * (PIECE_BYTES + HEAD) {
            let Some(oldest) = self.closed.pop_front() else {
                break;
            };
            self.after = Some(oldest.newest);
        }
        self.open.bytes.reserve(PIECE_BYTES);
    }

    /// The keys of told commits after `seq`, and of some before; `None` when some of them are
    /// forgotten. Cost: a copy of the open piece.
    pub(super) fn since(&self, seq: Seq) -> Option<Vec<Arc<Piece>>> {
        if self.after.is_none_or(|after| seq < after) {
            return None;
        }
        let first = self.closed.partition_point(|piece| piece.newest <= seq);
        let mut pieces: Vec<_> = self.closed.range(first..).cloned().collect();
        if self.open.newest > seq {
            pieces.push(Arc::new(self.open.clone()));
        }
        Some(pieces)
    }
}

impl Piece {
    /// Each key with the commit that wrote it, in the order of commits.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (seq, behind) = rest.split_first_chunk::<8>()?;
            let (len, behind) = behind.split_first_chunk::<2>()?;
            let len = usize::from(u16::from_le_bytes(*len));
            let (key, behind) = behind.split_at_checked(len)?;
            rest = behind;
            Some((Seq::new(u64::from_le_bytes(*seq)), key))
        })
    }
}
