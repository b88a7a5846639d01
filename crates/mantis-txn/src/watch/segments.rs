//! Marks of stretches of keys: between two neighbouring ends of watched ranges there is one mark.
//!
//! A key lies in one stretch, so a commit sets one mark for it, however many ranges hold the stretch;
//! a range looks at the marks between its ends. The ends stand in sorted blocks, each with the newest
//! of its marks, so that a range looks at two blocks and at one number for each block between them.
//! Cost with n ends: a binary search to set a mark, n / 512 numbers for the widest range to look at,
//! and the move of at most 512 ends to add one.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mantis_types::Seq;

use super::set::Range;

/// A block that grows beyond this is cut into two.
const BLOCK_MAX: usize = 512;

/// All ends of watched ranges, and the marks between them.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// None is empty; their ends ascend.
    blocks: Vec<Block>,
}

#[derive(Debug, Default)]
struct Block {
    segments: Vec<Segment>,
    /// That of the first end.
    prefix: u128,
    /// The newest of their marks.
    newest: AtomicU64,
}

/// The keys from one end up to the next.
#[derive(Debug)]
struct Segment {
    /// The first bytes of `from`, which decide most comparisons without a look elsewhere.
    prefix: u128,
    from: Box<[u8]>,
    /// How many ranges begin or end here.
    ends: usize,
    /// The newest commit that has touched it.
    touched: AtomicU64,
}

/// The first 16 bytes of a key, as a number that is ordered like them.
fn prefix_of(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(bytes.len());
    if let (Some(place), Some(given)) = (bytes.get_mut(..len), key.get(..len)) {
        place.copy_from_slice(given);
    }
    u128::from_be_bytes(bytes)
}

/// Where a segment stands: its block, and its place there.
type Place = (usize, usize);

impl Segments {
    pub(super) fn add(&mut self, range: &Range) {
        self.add_end(&range.from);
        if let Some(to) = &range.to {
            self.add_end(to);
        }
    }

    pub(super) fn remove(&mut self, range: &Range) {
        self.remove_end(&range.from);
        if let Some(to) = &range.to {
            self.remove_end(to);
        }
    }

    /// Marks the stretch that holds a key.
    pub(super) fn touch(&self, key: &[u8], seq: Seq) {
        let Some((block, at)) = self.place_of(key) else {
            return;
        };
        let Some(block) = self.blocks.get(block) else {
            return;
        };
        if let Some(segment) = block.segments.get(at) {
            // Commits come in order.
            segment.touched.store(seq.get(), SeqCst);
            block.newest.store(seq.get(), SeqCst);
        }
    }

    /// The newest mark from one end up to another. Both are ends of a range that is watched.
    pub(super) fn touched(&self, from: &[u8], to: Option<&[u8]>) -> Seq {
        let Some((first, at)) = self.place_of(from) else {
            return Seq::ZERO;
        };
        let (last, until) = match to.map(|to| self.place_of(to)) {
            Some(Some(place)) => place,
            Some(None) => return Seq::ZERO,
            None => (self.blocks.len(), 0),
        };
        let of = |(number, block): (usize, &Block)| {
            let start = if number == first { at } else { 0 };
            match number == last {
                true => block.newest_between(start, until),
                false if start == 0 => block.newest.load(SeqCst),
                false => block.newest_between(start, usize::MAX),
            }
        };
        let blocks = self.blocks.iter().enumerate().skip(first);
        let newest = blocks.take_while(|(number, _)| *number <= last).map(of);
        Seq::new(newest.max().unwrap_or(0))
    }

    /// The last segment that begins at `key` or before.
    fn place_of(&self, key: &[u8]) -> Option<Place> {
        let prefix = prefix_of(key);
        let begins_by = |block: &Block| {
            block.prefix < prefix || (block.prefix == prefix && block.begins_by(key))
        };
        let block = self.blocks.partition_point(begins_by).checked_sub(1)?;
        let segments = &self.blocks.get(block)?.segments;
        let at = segments.partition_point(|segment| {
            segment.prefix < prefix || (segment.prefix == prefix && *segment.from <= *key)
        });
        Some((block, at.checked_sub(1)?))
    }

    fn add_end(&mut self, key: &[u8]) {
        let place = self.place_of(key);
        let Some((number, at)) = place else {
            // Before everything: a stretch that nobody has watched.
            return self.insert(0, 0, key, 0);
        };
        let Some(segment) = self.segment(number, at) else {
            return;
        };
        if *segment.from == *key {
            segment.ends += 1;
            return;
        }
        // Both parts have what the whole had.
        let touched = *segment.touched.get_mut();
        self.insert(number, at + 1, key, touched);
    }

    fn insert(&mut self, number: usize, at: usize, key: &[u8], touched: u64) {
        if self.blocks.is_empty() {
            self.blocks.push(Block::default());
        }
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        let segment = Segment {
            prefix: prefix_of(key),
            from: key.into(),
            ends: 1,
            touched: AtomicU64::new(touched),
        };
        block.segments.insert(at, segment);
        block.count_again();
        if block.segments.len() > BLOCK_MAX {
            let mut behind = Block {
                segments: block.segments.split_off(BLOCK_MAX / 2),
                ..Block::default()
            };
            block.count_again();
            behind.count_again();
            self.blocks.insert(number + 1, behind);
        }
    }

    fn remove_end(&mut self, key: &[u8]) {
        let Some((number, at)) = self.place_of(key) else {
            return;
        };
        let Some(segment) = self.segment(number, at) else {
            return;
        };
        if *segment.from != *key {
            return;
        }
        segment.ends -= 1;
        if segment.ends > 0 {
            return;
        }
        let touched = *segment.touched.get_mut();
        let before = match (number, at) {
            (0, 0) => None,
            (number, 0) => self.last_of(number - 1),
            (number, at) => Some((number, at - 1)),
        };
        // What was before it reaches over it now.
        if let Some((number, at)) = before
            && let Some(before) = self.segment(number, at)
        {
            let newest = before.touched.get_mut();
            *newest = touched.max(*newest);
            self.count_again(number);
        }
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        block.segments.remove(at);
        block.count_again();
        if block.segments.is_empty() {
            self.blocks.remove(number);
        }
    }

    fn segment(&mut self, number: usize, at: usize) -> Option<&mut Segment> {
        self.blocks.get_mut(number)?.segments.get_mut(at)
    }

    fn last_of(&self, number: usize) -> Option<Place> {
        let len = self.blocks.get(number)?.segments.len();
        Some((number, len.checked_sub(1)?))
    }

    fn count_again(&mut self, number: usize) {
        if let Some(block) = self.blocks.get_mut(number) {
            block.count_again();
        }
    }
}

impl Block {
    fn begins_by(&self, key: &[u8]) -> bool {
        let first = self.segments.first();
        first.is_some_and(|first| *first.from <= *key)
    }

    fn newest_between(&self, from: usize, to: usize) -> u64 {
        let wanted = self.segments.iter().take(to).skip(from);
        let marks = wanted.map(|segment| segment.touched.load(SeqCst));
        marks.max().unwrap_or(0)
    }

    fn count_again(&mut self) {
        *self.newest.get_mut() = self.newest_between(0, usize::MAX);
        self.prefix = self.segments.first().map_or(0, |first| first.prefix);
    }
}
