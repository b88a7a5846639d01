//! What can happen to a key-value store, and how it is drawn.

use proptest::collection::vec;
use proptest::prelude::*;

/// A condition relative to what the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Absent,
    Present,
    Current,
    Stale,
}

/// An expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lives {
    Forever,
    Keep,
    For(u64),
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get(u8),
    Put(u8, Vec<u8>, When, Lives),
    Delete(u8, When),
    Add(u8, i64, Option<i64>),
}

/// How a store stops before it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Clean,
    Kill,
    Crash,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    One(Op),
    Batch(Vec<Op>, bool),
    List {
        from: Option<u8>,
        to: Option<u8>,
        reverse: bool,
        limit: usize,
        offset: u64,
    },
    Pass(u64),
    Flush,
    Compact,
    Reopen(Ending),
}

impl Act {
    pub(crate) fn put(key: u8, value: &[u8]) -> Self {
        Self::One(Op::Put(key, value.to_vec(), When::Always, Lives::Forever))
    }
}

/// Keys are few, so that operations meet; some are empty, long or binary.
pub(crate) fn key_bytes(key: u8) -> Vec<u8> {
    match key {
        0 => Vec::new(),
        1 => vec![0],
        2 => vec![0xFF; 3],
        3 => vec![b'k'; 900],
        other => vec![b'k', other],
    }
}

fn key() -> impl Strategy<Value = u8> {
    0..14_u8
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        2 => (-50..50_i64).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(i64::MAX.to_string().into_bytes()),
        1 => (1..150_000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => Just(When::Always),
        1 => Just(When::Absent),
        1 => Just(When::Present),
        1 => Just(When::Current),
        1 => Just(When::Stale),
    ]
}

fn lives() -> impl Strategy<Value = Lives> {
    prop_oneof![
        6 => Just(Lives::Forever),
        2 => Just(Lives::Keep),
        2 => (1..5_u64).prop_map(|hours| Lives::For(hours * 3_600_000)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => key().prop_map(Op::Get),
        6 => (key(), value(), when(), lives()).prop_map(|(k, v, w, l)| Op::Put(k, v, w, l)),
        3 => (key(), when()).prop_map(|(k, w)| Op::Delete(k, w)),
        2 => (key(), -100..100_i64, proptest::option::of(-5..5_i64))
            .prop_map(|(k, by, initial)| Op::Add(k, by, initial)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let bound = || proptest::option::of(key());
    let list = (bound(), bound(), any::<bool>(), 1..6_usize, 0..4_u64);
    prop_oneof![
        20 => op().prop_map(Act::One),
        6 => (vec(op(), 0..8), any::<bool>()).prop_map(|(ops, atomic)| Act::Batch(ops, atomic)),
        5 => list.prop_map(|(from, to, reverse, limit, offset)| {
            Act::List { from, to, reverse, limit, offset }
        }),
        2 => (1..4_u64).prop_map(|hours| Act::Pass(hours * 3_600_000)),
        1 => Just(Act::Flush),
        1 => Just(Act::Compact),
        1 => Just(Act::Reopen(Ending::Clean)),
        1 => Just(Act::Reopen(Ending::Kill)),
        1 => Just(Act::Reopen(Ending::Crash)),
    ]
}

/// Up to so many acts.
pub(crate) fn acts(acts_max: usize) -> impl Strategy<Value = Vec<Act>> {
    vec(act(), 1..acts_max)
}
