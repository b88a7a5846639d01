//! What the memory engine alone does: dropping versions by itself, and its memory limit.

use mantis_engine::{Engine, EngineError, MemoryEngine, MemoryOptions, Snapshot};
use mantis_env::Env;
use mantis_types::{ErrorKind, RecordBuilder, Seq, ValueKind, WriteBatchBuilder};

/// How long a check waits for what must happen.
const PATIENCE_MS: u64 = 20_000;

struct Db {
    env: Env,
    engine: MemoryEngine,
}

impl Db {
    fn new(memory_bytes_max: u64) -> Self {
        let env = Env::real();
        let options = MemoryOptions {
            memory_bytes_max,
            ..MemoryOptions::default()
        };
        Self {
            engine: MemoryEngine::new(&env, options),
            env,
        }
    }

    fn try_put(&self, number: u32, value: Option<&[u8]>) -> Result<Seq, EngineError> {
        let key = [&[1, 2, 1], &number.to_be_bytes()[..]].concat();
        let mut batch = WriteBatchBuilder::default();
        match value {
            Some(value) => {
                let record = RecordBuilder::new(ValueKind::Bytes);
                batch
                    .put_with(&key, |out| record.write(value, out))
                    .unwrap();
            }
            None => batch.delete(&key).unwrap(),
        }
        let batch = batch.finish();
        let bytes = batch.as_bytes().len() as u64;
        self.engine.admit(bytes)?;
        let seq = self.engine.horizon().get().next();
        self.engine
            .apply(&self.engine.place(seq, bytes), seq, &batch);
        assert!(self.engine.horizon().advance(seq.prev()));
        Ok(seq)
    }

    fn put(&self, number: u32) {
        self.try_put(number, Some(&[7; 500])).unwrap();
    }

    fn bytes(&self) -> u64 {
        self.engine.status().memtable_bytes
    }

    fn wait_until(&self, what: &str, reached: impl Fn() -> bool) {
        let started = self.env.clock().now_ms();
        while !reached() {
            assert!(self.env.clock().now_ms() < started + PATIENCE_MS, "{what}");
            std::thread::yield_now();
        }
    }

    fn rows(&self, snapshot: &Snapshot) -> usize {
        let range = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let scan = self
            .engine
            .scan(snapshot, range, mantis_engine::Direction::Forward)
            .unwrap();
        scan.map(Result::unwrap).count()
    }
}

#[test]
fn obsolete_versions_go_by_themselves_once_no_snapshot_sees_them() {
    let db = Db::new(u64::MAX);
    (0..3000).for_each(|n| db.put(n));
    let one_round = db.bytes();
    let held = db.engine.snapshot();
    for _ in 0..10 {
        (0..3000).for_each(|n| db.put(n));
    }
    // The first and the last version of each key stay; nobody sees those between.
    db.engine.compact().unwrap();
    let (low, high) = (
        2 * one_round - one_round / 10,
        2 * one_round + one_round / 10,
    );
    assert!(
        (low..high).contains(&db.bytes()),
        "{} of {one_round}",
        db.bytes()
    );
    assert_eq!(db.rows(&held), 3000);
    assert_eq!(db.engine.status().oldest_snapshot, Some(Seq::new(3000)));
    drop(held);
    db.wait_until("no version is dropped", || {
        db.bytes() < one_round + one_round / 10
    });
    db.wait_until("a version is left", || {
        db.engine.status().versions_dropped == 30_000
    });
}

#[test]
fn deleted_keys_need_no_memory() {
    let db = Db::new(u64::MAX);
    (0..5000).for_each(|n| db.put(n));
    for n in 0..5000 {
        db.try_put(n, None).unwrap();
    }
    // A walk that began among the deletes leaves up to 1,024 obsolete versions of 700 bytes.
    db.wait_until("deletes stay", || db.bytes() <= 1024 * 700);
    db.engine.compact().unwrap();
    assert_eq!(db.bytes(), 0);
    assert_eq!(db.rows(&db.engine.snapshot()), 0);
}

#[test]
fn writes_beyond_the_limit_are_refused_until_there_is_room() {
    let db = Db::new(1 << 20);
    // Overwriting fits: what is obsolete makes room.
    for round in 0..20 {
        (0..500).for_each(|n| db.put(n + round % 2));
    }
    let held = db.engine.snapshot();
    let mut next = 1000;
    let refused = loop {
        match db.try_put(next, Some(&[7; 500])) {
            Ok(_) => next += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, EngineError::MemoryFull { max: 1_048_576 }),
        "{refused:?}"
    );
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    assert!(db.bytes() <= 1 << 20);
    // The held snapshot keeps what is overwritten; without it there is room again.
    drop(held);
    assert!(db.rows(&db.engine.snapshot()) > 1000);
}
