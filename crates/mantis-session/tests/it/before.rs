//! What the feed says a key held before each commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Batch, BatchOp, Change, ChangeFeed, ChangeFilter, ChangeSet, Command, Condition, Database,
    DatabaseOptions, Expiry, FeedFrom, Old, Principal, Put, Session,
};
use mantis_types::{Durability, Seq};

/// Keys of the random runs.
const KEYS: u64 = 40;
/// Every so many values are larger than a chunk. In memory there is no log for followers that would fall
/// behind their memory.
const LARGE_EVERY: u64 = 97;
const NEVER_LARGE: u64 = u64::MAX;

type Values = BTreeMap<Bytes, Bytes>;

fn in_memory(env: &Env) -> (Database, Session) {
    let database = Database::open_in_memory(env).unwrap();
    let session = database.session(Principal::Owner);
    (database, session)
}

fn follow(session: &Session, from: FeedFrom) -> ChangeFeed {
    let filter = ChangeFilter {
        values: true,
        old: true,
        ..ChangeFilter::default()
    };
    session.changes(from, filter).unwrap()
}

fn next(feed: &mut ChangeFeed) -> ChangeSet {
    let set = feed.next(Duration::from_secs(20)).unwrap();
    set.expect("there is a commit")
}

fn put(session: &Session, key: &'static str, value: impl Into<Bytes>) {
    execute(session, [BatchOp::Set(Put::new(key, value))]);
}

fn delete(key: impl Into<Bytes>) -> BatchOp {
    BatchOp::Delete {
        key: key.into(),
        condition: Condition::Always,
    }
}

fn execute(session: &Session, ops: impl Into<Vec<BatchOp>>) {
    let batch = Batch {
        ops: ops.into(),
        atomic: true,
        durability: Durability::None,
    };
    session.execute(Command::KvBatch(batch)).unwrap();
}

/// Key and old value of each change; `None` when it is not known.
fn old_values(set: &ChangeSet) -> Vec<(Bytes, Option<Option<Bytes>>)> {
    let changes = set.changes.iter().filter_map(|change| match change {
        Change::Put { new, old } => Some((new.key.clone(), old.as_ref())),
        Change::Delete { key, old } => Some((key.clone(), old.as_ref())),
        Change::Clear => None,
    });
    let value = |old: Option<&Old>| match old.expect("it was asked for") {
        Old::Absent => Some(None),
        Old::Was(written) => Some(Some(written.value.clone().expect("it was asked for"))),
        Old::Unknown => None,
    };
    changes.map(|(key, old)| (key, value(old))).collect()
}

fn known(value: &'static str) -> Option<Option<Bytes>> {
    Some(Some(Bytes::from_static(value.as_bytes())))
}

#[test]
fn puts_deletes_and_expiries_come_with_what_was_there() {
    let env = Env::simulated(3);
    let (database, session) = in_memory(&env);
    put(&session, "a", "1");
    let mut feed = follow(&session, FeedFrom::Now);
    put(&session, "a", "2");
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), known("1"))]);
    execute(&session, [delete("a"), BatchOp::Set(Put::new("b", "1"))]);
    let both = [("a".into(), known("2")), ("b".into(), Some(None))];
    assert_eq!(old_values(&next(&mut feed)), both);
    let fleeting = Put {
        expiry: Expiry::AfterMs(1000),
        tags: vec!["t".into()],
        ..Put::new("b", "2")
    };
    execute(&session, [BatchOp::Set(fleeting)]);
    assert_eq!(old_values(&next(&mut feed)), [("b".into(), known("1"))]);
    env.clock().sleep(Duration::from_secs(2));
    while database.sweep().unwrap() > 0 {}
    let swept = next(&mut feed);
    let [Change::Delete { old, .. }] = swept.changes.as_slice() else {
        panic!("{swept:?}");
    };
    let Some(Old::Was(was)) = old else {
        panic!("{swept:?}");
    };
    assert_eq!((was.value_bytes, was.tags.len()), (1, 1));
    assert!(was.expires_ms.is_some());
}

#[test]
fn who_does_not_ask_is_not_told_what_was_there() {
    let (_database, session) = in_memory(&Env::real());
    let mut feed = session
        .changes(FeedFrom::Now, ChangeFilter::default())
        .unwrap();
    put(&session, "a", "1");
    let set = next(&mut feed);
    let [Change::Put { old, .. }] = set.changes.as_slice() else {
        panic!("{set:?}");
    };
    assert_eq!(old, &None);
}

#[test]
fn what_was_overwritten_before_one_follows_is_unknown_and_never_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(DatabaseOptions::new(Env::real(), dir.path())).unwrap();
    let session = database.session(Principal::Owner);
    put(&session, "a", "1");
    let since = database.visible_seq();
    put(&session, "a", "2");
    put(&session, "a", "3");
    let mut feed = follow(&session, FeedFrom::After(since));
    // The first one overwrote what nobody has any more; the second one what the feed has just told.
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), None)]);
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), known("2"))]);
    put(&session, "a", "4");
    put(&session, "b", "1");
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), known("3"))]);
    assert_eq!(old_values(&next(&mut feed)), [("b".into(), Some(None))]);
    drop(feed);
    database.close().unwrap();
}

#[test]
fn a_follower_that_stands_still_keeps_no_old_versions_from_going() {
    let env = Env::simulated(4);
    let (database, session) = in_memory(&env);
    put(&session, "a", "1");
    let mut feed = follow(&session, FeedFrom::Now);
    // At rest it may hold on for as long as it likes: there is nothing new.
    for _ in 0..10 {
        env.clock().sleep(Duration::from_secs(2));
        database.sweep().unwrap();
    }
    put(&session, "a", "2");
    assert_eq!(database.status().storage.snapshots, 1);
    for _ in 0..4 {
        database.sweep().unwrap();
        env.clock().sleep(Duration::from_secs(2));
    }
    database.sweep().unwrap();
    assert_eq!(database.status().storage.snapshots, 0);
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), None)]);
    put(&session, "a", "3");
    put(&session, "b", "1");
    assert_eq!(old_values(&next(&mut feed)), [("a".into(), known("2"))]);
    assert_eq!(old_values(&next(&mut feed)), [("b".into(), Some(None))]);
}

/// Checks what a feed says against the values that it has told itself, until `last` says the end.
/// Answers how many old values were unknown.
fn compare(mut feed: ChangeFeed, mut values: Values, last: &AtomicU64, pause: Duration) -> u64 {
    let mut unknown = 0;
    let env = Env::real();
    let clock = env.clock();
    while last.load(SeqCst) == 0 || feed.position() < Seq::new(last.load(SeqCst)) {
        let Some(set) = feed.next(Duration::from_millis(5)).unwrap() else {
            continue;
        };
        for (key, old) in old_values(&set) {
            match old {
                Some(old) => assert_eq!(old.as_ref(), values.get(&key), "{key:?} in {}", set.seq),
                None => unknown += 1,
            }
        }
        for change in set.changes {
            match change {
                Change::Put { new, .. } => drop(values.insert(new.key, new.value.unwrap())),
                Change::Delete { key, .. } => drop(values.remove(&key)),
                Change::Clear => values.clear(),
            }
        }
        clock.sleep(pause);
    }
    unknown
}

fn draw_op(env: &Env, number: u64, large_every: u64) -> BatchOp {
    let rng = env.rng();
    let key = Bytes::from(format!("key-{:02}", rng.next_u64() % KEYS));
    if rng.next_u64().is_multiple_of(5) {
        return delete(key);
    }
    let bytes = match number % large_every == large_every - 1 {
        true => 600 << 10,
        false => 1 + usize::try_from(rng.next_u64() % 300).unwrap(),
    };
    let fill = u8::try_from(number % 251).unwrap();
    BatchOp::Set(Put::new(key, vec![fill; bytes]))
}

/// Writers and followers at once, over tables that are flushed all the time.
fn race(database: &Database, commits: u64, large_every: u64) -> [u64; 2] {
    let session = database.session(Principal::Owner);
    let last = &AtomicU64::new(0);
    let env = Env::real();
    let write = |first: u64| {
        for number in first..first + commits {
            let count = 1 + number % 3;
            let mut ops: Vec<BatchOp> = (0..count)
                .map(|n| draw_op(&env, number * 3 + n, large_every))
                .collect();
            // A batch names a key once.
            ops.dedup_by_key(|op| op.key().clone());
            execute(&session, ops);
        }
    };
    let close_by = follow(&session, FeedFrom::Now);
    let slow = follow(&session, FeedFrom::Now);
    std::thread::scope(|scope| {
        let compare = |feed, pause| scope.spawn(move || compare(feed, Values::new(), last, pause));
        let followers = [
            compare(close_by, Duration::ZERO),
            compare(slow, Duration::from_micros(700)),
        ];
        let writers = [0, commits].map(|first| scope.spawn(move || write(first)));
        for writer in writers {
            writer.join().unwrap();
        }
        last.store(database.visible_seq().get(), SeqCst);
        followers.map(|follower| follower.join().unwrap())
    })
}

#[test]
fn old_values_agree_with_what_was_told_over_tables_and_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::new(Env::real(), dir.path()).sized(2 << 20, 4 << 20);
    let on_disk = Database::open(options).unwrap();
    let in_memory = Database::open_in_memory(&Env::real()).unwrap();
    for (database, large_every) in [(on_disk, LARGE_EVERY), (in_memory, NEVER_LARGE)] {
        let [close_by, slow] = race(&database, 1200, large_every);
        println!("unknown: {close_by} of the one close by, {slow} of the slow one");
        assert!(close_by < 600, "{close_by} of some 4,000");
        database.close().unwrap();
    }
}

/// The control: a map that does not agree is found out.
#[test]
fn an_old_value_that_was_not_told_is_found() {
    let (database, session) = in_memory(&Env::real());
    let feed = follow(&session, FeedFrom::Now);
    put(&session, "a", "1");
    let last = AtomicU64::new(database.visible_seq().get());
    let other = Values::from([("a".into(), "2".into())]);
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        compare(feed, other, &last, Duration::ZERO)
    }));
    assert!(compared.is_err());
}
