//! What the fuzz targets check, and a mutation run in process that every test run makes.
//!
//! `fuzz/` calls these functions under libFuzzer; the tests call them with seeds that are mutated
//! here, so that the checks run on machines without cargo-fuzz, too.

mod batch;
mod key;
mod log;
mod record;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dice::Dice;

/// One fuzz target: a name, what it checks, and inputs to begin with.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// As in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Panics when something is wrong with what is made of the input.
    pub check: fn(&[u8]),
    /// Well-formed inputs, among which mutations find more than in noise.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target of this crate.
pub const TARGETS: [FuzzTarget; 4] = [
    FuzzTarget {
        name: "key_codec",
        check: key::check,
        seeds: key::seeds,
    },
    FuzzTarget {
        name: "record_codec",
        check: record::check,
        seeds: record::seeds,
    },
    FuzzTarget {
        name: "write_batch",
        check: batch::check,
        seeds: batch::seeds,
    },
    FuzzTarget {
        name: "log_recovery",
        check: log::check,
        seeds: log::seeds,
    },
];

/// Gives an input to the target of that name.
///
/// # Panics
/// When the check finds something wrong, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target's name");
    (target.check)(input);
}

/// The control of libFuzzer: it must find the magic prefix by itself.
///
/// # Panics
/// On inputs that begin with `MANTIS`.
pub fn planted(input: &[u8]) {
    assert!(!input.starts_with(b"MANTIS"), "the planted panic was found");
}

/// The control of the mutation run: a record of a kind and with flags that no seed has.
///
/// # Panics
/// On records of kind `Meta` with an expiry.
pub fn planted_record(input: &[u8]) {
    if let Ok(view) = mantis_types::RecordView::parse(input) {
        let odd = view.kind() == mantis_types::ValueKind::Meta && view.expiry_ms().is_some();
        assert!(!odd, "the planted panic was found");
    }
}

/// Gives `rounds` mutated inputs to the target; answers the first one that makes it panic.
#[must_use]
pub fn mutate(target: &FuzzTarget, seed: u64, rounds: u64) -> Option<Vec<u8>> {
    let mut dice = Dice::at(seed, &[6]);
    let mut pool = (target.seeds)();
    (0..rounds).find_map(|_| {
        let mut input = pool
            .get(dice.index(pool.len()))
            .cloned()
            .unwrap_or_default();
        let other = pool
            .get(dice.index(pool.len()))
            .cloned()
            .unwrap_or_default();
        for _ in 0..=dice.below(5) {
            change(&mut input, &other, &mut dice);
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| (target.check)(&input))).is_err();
        if dice.percent(2) && pool.len() < 500 {
            pool.push(input.clone());
        }
        panicked.then_some(input)
    })
}

fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    const ODD: [u8; 8] = [0, 1, 7, 0x40, 0x7F, 0x80, 0xF7, 0xFF];
    let at = dice.index(input.len() + 1);
    let odd = ODD.get(dice.index(ODD.len())).copied().unwrap_or(0);
    match dice.below(9) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = odd;
            }
        }
        3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = byte.wrapping_add(1);
            }
        }
        4 => input.insert(at, odd),
        5 => drop(input.drain(at..input.len().min(at + 1 + dice.index(8)))),
        6 => input.truncate(at),
        7 => {
            let from = dice.index(other.len() + 1);
            let piece = other.get(from..).unwrap_or_default();
            input.truncate(at);
            input.extend_from_slice(piece);
        }
        _ => {
            let piece = input.get(at..).unwrap_or_default().to_vec();
            input.extend(piece.into_iter().take(64));
        }
    }
}

/// Cuts values of all kinds off an input.
struct Cutter<'a>(&'a [u8]);

impl<'a> Cutter<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn number(&mut self) -> u64 {
        self.bytes(8).iter().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// A short piece, its length first.
    fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.bytes(len)
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
