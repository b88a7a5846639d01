//! The script: what writer W does as its step I in epoch E, as a pure function of the seed.
//!
//! Writer and checker compute the same steps apart from each other, so that the pipe between them
//! carries acknowledgements only, and the oracle is exact: each writer owns its keys and does one
//! step after the other.

use mantis_types::Durability;
use xxhash_rust::xxh3::xxh3_64;

use crate::dice::Dice;

/// The counter that every writer adds to.
pub const SHARED_COUNTER: &[u8] = b"shared/total";

/// The size and mixture of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Everything else follows from it.
    pub seed: u64,
    /// How many writers run side by side.
    pub writers: u32,
    /// Keys for values, for each writer.
    pub keys: u64,
    /// Ordinary values are at most this long.
    pub value_bytes_max: u64,
    /// Large values are at most this long.
    pub large_bytes_max: u64,
    /// Large values in a hundred steps.
    pub large_percent: u64,
    /// Writers other than the first use the weaker classes, too.
    pub mixed_classes: bool,
}

impl Script {
    /// Eight writers of small values with some large ones: the mixture of the kill loop.
    #[must_use]
    pub const fn mixed(seed: u64) -> Self {
        Self {
            seed,
            writers: 8,
            keys: 400,
            value_bytes_max: 600,
            large_bytes_max: 600 << 10,
            large_percent: 1,
            mixed_classes: false,
        }
    }

    /// The durability that writer `writer` asks for.
    #[must_use]
    pub const fn class(&self, writer: u32) -> Durability {
        if !self.mixed_classes {
            return Durability::Sync;
        }
        match writer % 4 {
            1 => Durability::Interval,
            3 => Durability::None,
            _ => Durability::Sync,
        }
    }

    /// The keys of `writer` begin with this.
    #[must_use]
    pub fn prefix(writer: u32) -> Vec<u8> {
        format!("w{writer:02}/").into_bytes()
    }

    /// Step `index` of `writer` in `epoch` (one epoch for each start of the writing process).
    #[must_use]
    pub fn step(&self, epoch: u64, writer: u32, index: u64) -> Step {
        let mut dice = Dice::at(self.seed, &[epoch, u64::from(writer), index]);
        let roll = dice.below(100);
        let one = |change| Step {
            changes: vec![change],
            batch: false,
        };
        if roll < self.large_percent {
            return one(self.put(&mut dice, writer, self.large_bytes_max));
        }
        match roll {
            0..=49 => one(self.put(&mut dice, writer, self.value_bytes_max)),
            50..=61 => one(Change::Delete {
                key: self.key(&mut dice, writer),
            }),
            62..=67 => one(Change::PutIfAbsent {
                key: self.key(&mut dice, writer),
                value: Value::draw(&mut dice, self.value_bytes_max),
            }),
            68..=79 => one(counter_add(&mut dice, writer)),
            80..=83 => one(shared_add(&mut dice)),
            _ => self.batch(&mut dice, writer),
        }
    }

    fn batch(&self, dice: &mut Dice, writer: u32) -> Step {
        let count = 2 + dice.below(7);
        let mut changes: Vec<Change> = (0..count)
            .map(|_| match dice.below(10) {
                0..=5 => self.put(dice, writer, self.value_bytes_max),
                6..=7 => Change::Delete {
                    key: self.key(dice, writer),
                },
                _ => counter_add(dice, writer),
            })
            .collect();
        if dice.percent(40) {
            changes.push(shared_add(dice));
        }
        // A key stands in a batch once: what a second change of it answers is another test's subject.
        let mut seen = Vec::new();
        changes.retain(|change| {
            let fresh = !seen.contains(&change.key().to_vec());
            seen.push(change.key().to_vec());
            fresh
        });
        Step {
            changes,
            batch: true,
        }
    }

    fn put(&self, dice: &mut Dice, writer: u32, bytes_max: u64) -> Change {
        Change::Put {
            key: self.key(dice, writer),
            value: Value::draw(dice, bytes_max),
        }
    }

    /// Mostly short keys; some with many bytes, zeros and 0xFF at the end.
    fn key(&self, dice: &mut Dice, writer: u32) -> Vec<u8> {
        let number = dice.below(self.keys);
        let mut key = Self::prefix(writer);
        key.extend(format!("k{number:05}").into_bytes());
        match number % 16 {
            3 => key.extend([0, 0xFF, 0]),
            7 => key.resize(key.len() + 700, b'x'),
            11 => key.extend([0xFF; 4]),
            _ => {}
        }
        key
    }
}

fn counter_add(dice: &mut Dice, writer: u32) -> Change {
    let mut key = Script::prefix(writer);
    key.extend(format!("c{}", dice.below(5)).into_bytes());
    Change::Add {
        key,
        by: small_signed(dice),
    }
}

fn shared_add(dice: &mut Dice) -> Change {
    Change::Add {
        key: SHARED_COUNTER.to_vec(),
        by: i64::from(dice.below(9) > 0) + 1,
    }
}

fn small_signed(dice: &mut Dice) -> i64 {
    let size = i64::try_from(dice.below(1000)).unwrap_or(0) + 1;
    if dice.percent(30) { -size } else { size }
}

/// What one call to the store does: a single change, or an atomic batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In the order in which they are given to the store.
    pub changes: Vec<Change>,
    /// Whether they go through the batch call.
    pub batch: bool,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Value,
    },
    /// Writes a value if the key is absent.
    PutIfAbsent {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Value,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Adds to a counter; an absent one counts as 0.
    Add {
        /// The key.
        key: Vec<u8>,
        /// What to add.
        by: i64,
    },
}

impl Change {
    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. }
            | Self::PutIfAbsent { key, .. }
            | Self::Delete { key }
            | Self::Add { key, .. } => key,
        }
    }
}

/// A value as it is drawn: its bytes follow from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    seed: u64,
    bytes_len: u64,
}

impl Value {
    fn draw(dice: &mut Dice, bytes_max: u64) -> Self {
        Self {
            seed: dice.next_u64(),
            bytes_len: dice.below(bytes_max + 1),
        }
    }

    /// The bytes; every second value can be compressed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let len = usize::try_from(self.bytes_len).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        if self.seed & 1 == 0 {
            Dice::new(self.seed).fill(&mut bytes);
        } else {
            let pattern = self.seed.to_le_bytes();
            for (place, byte) in bytes.iter_mut().zip(pattern.iter().cycle()) {
                *place = *byte;
            }
        }
        bytes
    }

    /// What the checker compares.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes())
    }
}

/// Length and hash of a value: enough to tell any two values of a script apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Length in bytes.
    pub len: u64,
    /// xxh3 of the bytes.
    pub hash: u64,
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            hash: xxh3_64(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_of_a_script_is_the_same_step_and_every_kind_occurs() {
        let script = Script::mixed(7);
        let mut kinds = [0_u32; 5];
        for index in 0..2000 {
            let step = script.step(3, 1, index);
            assert_eq!(step, script.step(3, 1, index));
            let kind = match step.changes[0] {
                _ if step.batch => 0,
                Change::Put { .. } => 1,
                Change::PutIfAbsent { .. } => 2,
                Change::Delete { .. } => 3,
                Change::Add { .. } => 4,
            };
            kinds[kind] += 1;
        }
        assert!(kinds.iter().all(|&n| n > 50), "{kinds:?}");
        assert_ne!(script.step(3, 1, 0), script.step(4, 1, 0));
    }

    #[test]
    fn writers_share_no_key_but_the_counter() {
        let script = Script::mixed(9);
        for index in 0..3000 {
            for change in script.step(0, 5, index).changes {
                let own = change.key().starts_with(b"w05/");
                assert!(own || change.key() == SHARED_COUNTER);
            }
        }
    }
}
