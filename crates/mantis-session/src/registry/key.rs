//! The name under which a transaction can be joined.

use std::fmt;
use std::str::FromStr;

use mantis_env::Rng;

/// 128 random bits, written as 32 hexadecimal digits: nobody comes across somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionKey(u128);

impl TransactionKey {
    pub(crate) fn random(rng: &dyn Rng) -> Self {
        Self(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
    }
}

impl fmt::Display for TransactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TransactionKey {
    type Err = ();

    /// Takes what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 32 || !text.bytes().all(digits) {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_spelling_names_a_transaction() {
        let key = TransactionKey(0xab);
        let text = key.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse(), Ok(key));
        for wrong in [
            "",
            "ab",
            &text.to_uppercase(),
            &text.replace('a', "g"),
            &format!("{text}0"),
        ] {
            assert_eq!(wrong.parse::<TransactionKey>(), Err(()), "{wrong}");
        }
    }
}
