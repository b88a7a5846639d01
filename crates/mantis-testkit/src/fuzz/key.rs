//! The key codec: whatever decodes encodes to the same bytes, and bytes order as the keys do.

use mantis_types::{
    DatabaseId, EncodedKey, KEY_BYTES_MAX, OwnerId, Space, decode_ordered, encode_ordered,
    prefix_end, split_key,
};

use super::Cutter;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let key = |database, space, owner, user: &[u8]| {
        EncodedKey::new(DatabaseId::new(database), space, OwnerId::new(owner), user)
            .expect("short keys fit")
            .into_bytes()
    };
    let mut seeds = vec![
        key(1, Space::Kv, 1, b""),
        key(1, Space::Kv, 1, b"user:1"),
        key(1, Space::Member, 70_000, b"\0\xFF"),
        key(300, Space::Columnar, u64::MAX, b"a"),
    ];
    seeds.push(seeds.concat());
    seeds
}

pub(super) fn check(input: &[u8]) {
    check_foreign(input);
    check_own(input);
    if let Some(end) = prefix_end(input) {
        assert!(input < end.as_slice(), "the end is above the prefix");
        let longer = [input, &[0xFF; 4]].concat();
        assert!(longer < end, "the end is above all with the prefix");
    }
}

fn check_foreign(input: &[u8]) {
    if let Ok((number, rest)) = decode_ordered(input) {
        let mut again = Vec::new();
        encode_ordered(number, &mut again);
        assert_eq!([&again, rest].concat(), input, "a number has one form");
    }
    if let Ok((database, space, owner, user_key)) = split_key(input) {
        match EncodedKey::new(database, space, owner, user_key) {
            Ok(key) => {
                assert_eq!(key.as_bytes(), input, "a key has one form");
                assert_eq!(key.user_key(), user_key);
            }
            Err(_) => assert!(input.len() > KEY_BYTES_MAX, "only long keys are refused"),
        }
    }
}

fn check_own(input: &[u8]) {
    let mut cutter = Cutter(input);
    let mut keys = Vec::new();
    while !cutter.is_empty() && keys.len() < 16 {
        let space = Space::ALL
            .get(usize::from(cutter.byte()) % Space::ALL.len())
            .copied();
        let space = space.unwrap_or(Space::Kv);
        let shift = u32::from(cutter.byte() % 64);
        let database =
            DatabaseId::new(u32::try_from(cutter.number() >> 32).unwrap_or(0) >> (shift / 2));
        let owner = OwnerId::new(cutter.number() >> shift);
        let parts = (database, space, owner, cutter.piece());
        let key = EncodedKey::new(parts.0, parts.1, parts.2, parts.3).expect("short keys fit");
        assert_eq!(split_key(key.as_bytes()), Ok(parts), "a key comes back");
        keys.push((parts, key));
    }
    for (left_parts, left) in &keys {
        for (right_parts, right) in &keys {
            assert_eq!(
                left.cmp(right),
                left_parts.cmp(right_parts),
                "bytes order as keys do"
            );
        }
    }
}
