//! Seeded dice: the only randomness of the rig, so that a seed repeats a run.

/// A small generator (SplitMix64): fast, good enough for tests, the same on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for the same `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for one place of a run; the parts name the place.
    #[must_use]
    pub fn at(seed: u64, parts: &[u64]) -> Self {
        let mixed = parts.iter().fold(seed, |state, &part| {
            Self(state.rotate_left(17) ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93)).next_u64()
        });
        Self(mixed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// An index below `bound`; 0 when the bound is 0.
    pub fn index(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// True `share` times out of a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// Fills `out` with bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            for (place, byte) in chunk.iter_mut().zip(word) {
                *place = byte;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way_and_another_does_not() {
        let roll = |mut dice: Dice| (0..8).map(|_| dice.next_u64()).collect::<Vec<_>>();
        assert_eq!(roll(Dice::at(1, &[2, 3])), roll(Dice::at(1, &[2, 3])));
        assert_ne!(roll(Dice::at(1, &[2, 3])), roll(Dice::at(1, &[3, 2])));
        assert_ne!(roll(Dice::at(1, &[2, 3])), roll(Dice::at(2, &[2, 3])));
    }
}
