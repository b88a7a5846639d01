//! Randomness: the operating system's, and a seeded generator for simulation.

use std::fmt::Debug;

use parking_lot::Mutex;

/// Draws random numbers.
pub trait Rng: Debug + Send + Sync {
    /// Any 64 bits.
    fn next_u64(&self) -> u64;

    /// Fills a buffer.
    fn fill(&self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}

/// The operating system's generator, fit for tokens and salts.
#[derive(Debug)]
pub(crate) struct RealRng;

impl Rng for RealRng {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the kernel's generator does not fail once it has started")
    }

    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the kernel's generator does not fail once it has started");
    }
}

/// The generator xoshiro256++, seeded through splitmix64: the same seed gives the same numbers on
/// every machine. Not fit for secrets.
#[derive(Debug)]
pub struct SeededRng {
    /// Guards the generator's state. Last in every lock order; held for some instructions.
    state: Mutex<[u64; 4]>,
}

impl SeededRng {
    /// A generator that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        let state = std::array::from_fn(|_| splitmix64(&mut mix));
        Self {
            state: Mutex::new(state),
        }
    }

    /// A number below `bound`, evenly enough for tests; zero for a bound of zero.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.next_u64() % bound
        }
    }

    /// A number that tells generators in different states apart, without drawing.
    pub(crate) fn fingerprint(&self) -> u64 {
        let state = self.state.lock();
        state
            .iter()
            .fold(0, |mix, word| splitmix64(&mut (mix ^ word)))
    }

    /// True once in `times` draws on average.
    pub fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        let mut s = self.state.lock();
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }
}

/// One step of splitmix64: spreads a seed or a running hash over all 64 bits.
pub(crate) fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_numbers() {
        let mut state = 1_234_567;
        let drawn: Vec<u64> = (0..3).map(|_| splitmix64(&mut state)).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        let draw = |seed| {
            let rng = SeededRng::new(seed);
            (0..8).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn fill_covers_odd_lengths() {
        let mut bytes = [0; 13];
        SeededRng::new(1).fill(&mut bytes);
        assert!(bytes.iter().filter(|b| **b == 0).count() < 4);
    }
}
