//! What transactions read and write: drawn by dice, the same on every store.

use crate::keys::{Dice, Zipf};

/// A kind of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Two reads and two writes, four different keys.
    TwoAndTwo,
    /// One get or one put, half and half, keys by Zipf 0.99.
    YcsbA,
    /// One put.
    OnePut,
}

/// The keys of one transaction, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    TwoAndTwo([u64; 4]),
    Get(u64),
    Put(u64),
}

impl Step {
    pub(super) fn reads(&self) -> &[u64] {
        match self {
            Self::TwoAndTwo(keys) => &keys[..2],
            Self::Get(key) => std::slice::from_ref(key),
            Self::Put(_) => &[],
        }
    }

    pub(super) fn writes(&self) -> &[u64] {
        match self {
            Self::TwoAndTwo(keys) => &keys[2..],
            Self::Get(_) => &[],
            Self::Put(key) => std::slice::from_ref(key),
        }
    }
}

impl Mix {
    /// Transaction `number` of a load over `keys` keys.
    pub(super) fn draw(self, number: u64, dice: &mut Dice, keys: u64, zipf: &Zipf) -> Step {
        match self {
            Self::OnePut => Step::Put(number),
            Self::YcsbA => {
                let key = zipf.draw(dice);
                if dice.below(2) == 0 {
                    Step::Get(key)
                } else {
                    Step::Put(key)
                }
            }
            Self::TwoAndTwo => Step::TwoAndTwo(four_of(keys, dice)),
        }
    }
}

/// Four different keys; there must be as many.
fn four_of(keys: u64, dice: &mut Dice) -> [u64; 4] {
    let mut drawn = [u64::MAX; 4];
    for place in 0..drawn.len() {
        let mut key = dice.below(keys);
        while drawn[..place].contains(&key) {
            key = (key + 1) % keys;
        }
        drawn[place] = key;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_keys_of_a_transaction_differ_however_few_there_are() {
        let (zipf, mut dice) = (Zipf::new(4), Dice::new(0));
        for number in 0..100 {
            let step = Mix::TwoAndTwo.draw(number, &mut dice, 4, &zipf);
            let mut keys = [step.reads(), step.writes()].concat();
            keys.sort_unstable();
            assert_eq!(keys, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn half_of_ycsb_a_are_gets() {
        let (zipf, mut dice) = (Zipf::new(1000), Dice::new(0));
        let steps = (0..10_000).map(|number| Mix::YcsbA.draw(number, &mut dice, 1000, &zipf));
        let gets = steps.filter(|step| matches!(step, Step::Get(_))).count();
        assert!((4800..5200).contains(&gets), "{gets}");
    }
}
