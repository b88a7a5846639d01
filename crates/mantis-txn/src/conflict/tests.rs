//! The index against a list of all writes that is searched from end to end.

use std::ops::Bound;

use mantis_env::SeededRng;
use mantis_types::{Limits, Seq, WriteBatch, WriteBatchBuilder};

use super::*;

fn key(n: u64) -> Vec<u8> {
    vec![
        b'k',
        u8::try_from(n / 16).unwrap(),
        u8::try_from(n % 16).unwrap(),
    ]
}

fn batch(keys: &[u64]) -> WriteBatch {
    let mut batch = WriteBatchBuilder::default();
    for n in keys {
        batch.delete(&key(*n)).unwrap();
    }
    batch.finish()
}

/// Everything that was ever written.
struct World {
    index: ConflictIndex,
    recent: Recent,
    writes: Vec<(Seq, u64)>,
    last: Seq,
}

impl World {
    fn new(conflict_keys_max: usize) -> Self {
        let limits = Limits {
            conflict_keys_max,
            ..Limits::default()
        };
        Self {
            index: ConflictIndex::new(7, &limits),
            recent: Recent::default(),
            writes: Vec::new(),
            last: Seq::ZERO,
        }
    }

    fn commit(&mut self, keys: &[u64], oldest: Seq) {
        self.last = self.last.next();
        self.index
            .enter(self.last, &batch(keys), &mut self.recent, oldest, true);
        let written = keys.iter().map(|n| (self.last, *n));
        self.writes.extend(written);
    }

    fn point(&self, n: u64, as_of: Seq) -> Point {
        let hash = self.index.hash(&key(n));
        Point { hash, as_of }
    }

    fn naive(&self, points: &[(u64, Seq)], spans: &[(u64, u64)], since: Seq) -> bool {
        self.writes.iter().any(|(seq, n)| {
            let point = points.iter().any(|(p, as_of)| p == n && seq > as_of);
            let span = spans.iter().any(|(from, to)| (from..to).contains(&n));
            point || (span && *seq > since)
        })
    }
}

fn spans_of(spans: &[(u64, u64)]) -> Spans {
    let mut all = Spans::default();
    for (from, to) in spans {
        let (from, to) = (key(*from), key(*to));
        all.push(Span::new(Bound::Included(&from), Bound::Excluded(&to)));
    }
    all.tidy();
    all
}

#[test]
fn it_answers_as_a_search_of_all_writes_does() {
    let rng = SeededRng::new(20_261_126);
    let mut world = World::new(1 << 20);
    let (mut hits, mut misses) = (0, 0);
    for _ in 0..4000 {
        let keys: Vec<u64> = (0..=rng.below(3)).map(|_| rng.below(4000)).collect();
        let mut keys = keys;
        keys.sort_unstable();
        keys.dedup();
        let oldest = Seq::new(world.last.get().saturating_sub(1500));
        world.commit(&keys, oldest);
        let back = rng.below(1500.min(world.last.get()));
        let since = Seq::new(world.last.get() - back);
        let points: Vec<_> = (0..rng.below(3))
            .map(|_| (rng.below(4000), since))
            .collect();
        let from = rng.below(4000);
        let spans = [(from, (from + rng.below(3)).min(4000))];
        let given = points.iter().map(|(n, as_of)| world.point(*n, *as_of));
        let spans_given = spans_of(&spans);
        let checks = Checks::new(given.collect(), &spans_given, since);
        let expected = world.naive(&points, &spans, since);
        assert_eq!(world.index.check(&checks).is_err(), expected);
        // The part of a check that is made inside the sequencer, for any part that was made before.
        let checked = Seq::new(since.get() + rng.below(back + 1));
        let later: Vec<_> = points.iter().map(|(n, _)| (*n, checked)).collect();
        let expected_later = world.naive(&later, &spans, checked);
        let given = later.iter().map(|(n, _)| world.point(*n, since));
        let checks = Checks::new(given.collect(), &spans_given, since);
        let found = world.index.check_since(&checks, checked, &world.recent);
        assert!(
            found.is_err() || !expected_later,
            "a later write was missed"
        );
        assert!(found.is_ok() || expected, "there was no such write");
        hits += usize::from(expected);
        misses += usize::from(!expected);
    }
    assert!(hits > 400 && misses > 400, "{hits} hits, {misses} misses");
}

#[test]
fn a_check_that_reaches_further_back_than_the_index_is_refused() {
    let none = Spans::default();
    let hit = |world: &World, as_of| {
        let checks = Checks::new(vec![world.point(1, as_of)], &none, as_of);
        world.index.check(&checks)
    };
    let mut crowded = World::new(1);
    for n in 0..200_000_u64 {
        crowded.last = crowded.last.next();
        let mut batch = WriteBatchBuilder::default();
        batch.delete(&n.to_be_bytes()).unwrap();
        let (seq, batch) = (crowded.last, batch.finish());
        crowded
            .index
            .enter(seq, &batch, &mut crowded.recent, Seq::ZERO, false);
    }
    assert!(crowded.index.keys() <= SHARDS * PRUNE_MIN, "it is bounded");
    assert!(matches!(hit(&crowded, Seq::ZERO), Err(TxnError::TooOld)));
    assert!(hit(&crowded, crowded.last).is_ok());
}

#[test]
fn what_was_not_noted_cannot_be_asked_about() {
    let world = World::new(1000);
    world.index.begin_points(Seq::new(9));
    world.index.begin_ranges(Seq::new(9));
    let none = Spans::default();
    let at = |as_of| Checks::new(vec![world.point(1, as_of)], &none, as_of);
    assert!(matches!(
        world.index.check(&at(Seq::new(8))),
        Err(TxnError::TooOld)
    ));
    assert!(world.index.check(&at(Seq::new(9))).is_ok());
    let span = spans_of(&[(0, 1)]);
    let early = Checks::new(Vec::new(), &span, Seq::new(8));
    assert!(matches!(world.index.check(&early), Err(TxnError::TooOld)));
}
