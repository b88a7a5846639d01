//! Keys, values and the choice among them: the same in every run.

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;

/// A key as stores are given it.
pub(crate) type Key = [u8; KEY_BYTES];

/// Keys whose order is that of their numbers.
#[must_use]
pub(crate) fn ordered(number: u64) -> Key {
    u128::from(number).to_be_bytes()
}

/// Keys whose order has nothing to do with that of their numbers: all bits multiplied over each
/// other.
#[must_use]
pub(crate) fn scattered(number: u64) -> Key {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (u128::from(z) << 64 | u128::from(number)).to_be_bytes()
}

/// A small generator of choices.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a thread.
    #[must_use]
    pub const fn new(thread: u64) -> Self {
        Self(0x2545_F491_4F6C_DD1D ^ (thread + 1))
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Values of one length, half of whose bytes are random: they compress to about half.
#[derive(Debug)]
pub(crate) struct Values(Vec<Vec<u8>>);

impl Values {
    /// How many there are; neighbours in a table's block differ.
    const COUNT: u64 = 1024;

    pub(crate) fn new(bytes: usize) -> Self {
        let mut dice = Dice::new(7);
        let one = |_| {
            let mut value = vec![b'x'; bytes];
            for place in value.iter_mut().take(bytes / 2) {
                *place = dice.next().to_le_bytes()[3];
            }
            value
        };
        Self((0..Self::COUNT).map(one).collect())
    }

    pub(crate) fn of(&self, number: u64) -> &[u8] {
        let index = usize::try_from(number % Self::COUNT).unwrap_or(0);
        &self.0[index]
    }
}

/// Ranks with Zipf's distribution (0.99), drawn by a table of 65,536 steps.
#[derive(Debug)]
pub(crate) struct Zipf(Vec<u32>);

impl Zipf {
    const STEPS: u32 = 1 << 16;

    pub(crate) fn new(keys: u64) -> Self {
        let mut sum = 0.0;
        let mut sums = Vec::new();
        for rank in 1..=keys {
            sum += 1.0 / (rank as f64).powf(0.99);
            sums.push(sum);
        }
        let rank = |step: u32| {
            let wanted = sum * (f64::from(step) + 0.5) / f64::from(Self::STEPS);
            let rank = sums.partition_point(|upto| *upto < wanted);
            u32::try_from(rank).unwrap_or(u32::MAX)
        };
        Self((0..Self::STEPS).map(rank).collect())
    }

    /// A step at the far end stands for many ranks, which are drawn evenly.
    pub(crate) fn draw(&self, dice: &mut Dice) -> u64 {
        let step = usize::try_from(dice.below(u64::from(Self::STEPS))).unwrap_or(0);
        let low = u64::from(self.0[step]);
        let high = self
            .0
            .get(step + 1)
            .map_or(low + 1, |rank| u64::from(*rank));
        low + dice.below(high.saturating_sub(low).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_keys_ascend_and_scattered_ones_do_not() {
        assert!((0..100).is_sorted_by_key(ordered));
        assert!(!(0..100).is_sorted_by_key(scattered));
    }

    #[test]
    fn zipf_prefers_low_ranks_as_much_as_its_exponent_says() {
        let (zipf, mut dice) = (Zipf::new(10_000), Dice::new(0));
        let draws: Vec<u64> = (0..100_000).map(|_| zipf.draw(&mut dice)).collect();
        let below = |rank| draws.iter().filter(|drawn| **drawn < rank).count();
        assert!(draws.iter().all(|rank| *rank < 10_000));
        // The first rank has 1 / sum(1 / n^0.99), here about 9.7 %.
        assert!((9_000..10_500).contains(&below(1)), "{}", below(1));
        assert!((50_000..60_000).contains(&below(120)), "{}", below(120));
    }

    #[test]
    fn values_have_their_length_and_differ() {
        let values = Values::new(128);
        assert_eq!(values.of(5).len(), 128);
        assert_ne!(values.of(5), values.of(6));
    }
}
