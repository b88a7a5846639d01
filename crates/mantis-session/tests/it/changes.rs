//! What the feed tells of keys and values.

use std::time::Duration;

use bytes::Bytes;
use mantis_env::Env;
use mantis_session::{
    Batch, BatchOp, Begin, Change, ChangeFeed, ChangeFilter, ChangeSet, Command, Condition,
    Database, DatabaseOptions, Expiry, FeedFrom, Principal, Put, Session,
};
use mantis_types::{Code, Durability, Origin, Seq};

fn in_memory(env: &Env) -> (Database, Session) {
    let database = Database::open_in_memory(env).unwrap();
    let session = database.session(Principal::Owner);
    (database, session)
}

fn follow(session: &Session, prefix: &'static str, values: bool) -> ChangeFeed {
    let filter = ChangeFilter {
        prefix: Bytes::from_static(prefix.as_bytes()),
        values,
        old: false,
    };
    session.changes(FeedFrom::Now, filter).unwrap()
}

fn all_there(feed: &mut ChangeFeed) -> Vec<ChangeSet> {
    std::iter::from_fn(|| feed.next(Duration::ZERO).unwrap()).collect()
}

fn put(session: &Session, key: &'static str, value: impl Into<Bytes>) {
    let put = Put::new(key, value);
    let durability = Durability::None;
    session.execute(Command::KvPut { put, durability }).unwrap();
}

/// The keys that were put, and those that were deleted.
fn shown(set: &ChangeSet) -> Vec<String> {
    let change = |change: &Change| match change {
        Change::Put { new, .. } => format!("put {}", String::from_utf8_lossy(&new.key)),
        Change::Delete { key, .. } => format!("delete {}", String::from_utf8_lossy(key)),
        Change::Clear => "clear".to_owned(),
    };
    set.changes.iter().map(change).collect()
}

#[test]
fn a_transaction_is_one_change_set_with_its_door_and_its_time() {
    let env = Env::simulated(1);
    let (_database, session) = in_memory(&env);
    let session = session.through(Origin::Http);
    let mut feed = follow(&session, "", false);
    let mut txn = session.begin(Begin::default()).unwrap();
    for key in ["b", "a"] {
        let put = Put::new(key, "1");
        let durability = Durability::None;
        txn.execute(Command::KvPut { put, durability }).unwrap();
    }
    let seq = txn.commit(None).unwrap().seq;
    let sets = all_there(&mut feed);
    let [set] = sets.as_slice() else {
        panic!("{sets:?}");
    };
    assert_eq!((set.seq, set.origin), (seq, Some(Origin::Http)));
    assert_eq!(set.time_ms, Some(env.clock().now_ms()));
    assert_eq!(shown(set), ["put a", "put b"]);
    assert_eq!(feed.position(), seq);
}

#[test]
fn values_come_when_they_are_asked_for_large_ones_in_one_piece() {
    let (_database, session) = in_memory(&Env::real());
    let mut with = follow(&session, "", true);
    let mut without = follow(&session, "", false);
    let large = Bytes::from(vec![7; 1 << 20]);
    for value in [Bytes::from_static(b"small"), large] {
        let put = Put {
            content_type: Some("text/x".into()),
            tags: vec!["t".into()],
            expiry: Expiry::AfterMs(1_000_000),
            ..Put::new("k", value.clone())
        };
        let durability = Durability::None;
        session.execute(Command::KvPut { put, durability }).unwrap();
        for (feed, value) in [(&mut with, Some(value.clone())), (&mut without, None)] {
            let sets = all_there(feed);
            let changes: Vec<_> = sets.iter().flat_map(|set| &set.changes).collect();
            let [Change::Put { new: written, .. }] = changes.as_slice() else {
                panic!("{changes:?}");
            };
            assert_eq!(written.value, value);
            assert_eq!(
                (written.content_type.as_str(), &*written.tags),
                ("text/x", &["t".to_owned()][..])
            );
            assert!(written.expires_ms.is_some());
        }
    }
}

#[test]
fn a_prefix_passes_over_the_rest_and_the_position_moves_on() {
    let (database, session) = in_memory(&Env::real());
    let mut feed = follow(&session, "user:", false);
    put(&session, "user:1", "1");
    put(&session, "other", "1");
    let delete = Batch {
        ops: vec![
            BatchOp::Delete {
                key: "user:1".into(),
                condition: Condition::Always,
            },
            BatchOp::Set(Put::new("other", "2")),
        ],
        atomic: true,
        durability: Durability::None,
    };
    session.execute(Command::KvBatch(delete)).unwrap();
    put(&session, "other", "3");
    let sets = all_there(&mut feed);
    let told: Vec<_> = sets.iter().map(shown).collect();
    assert_eq!(told, [vec!["put user:1"], vec!["delete user:1"]]);
    assert_eq!(feed.position(), database.visible_seq());
}

#[test]
fn an_expiry_is_a_delete_and_bookkeeping_is_nothing() {
    let env = Env::simulated(5);
    let (database, session) = in_memory(&env);
    let mut feed = follow(&session, "", false);
    let put = Put {
        expiry: Expiry::AfterMs(1000),
        ..Put::new("k", "v")
    };
    let durability = Durability::None;
    session.execute(Command::KvPut { put, durability }).unwrap();
    env.clock().sleep(Duration::from_secs(2));
    while database.sweep().unwrap() > 0 {}
    let sets = all_there(&mut feed);
    let told: Vec<_> = sets
        .iter()
        .map(shown)
        .filter(|told| !told.is_empty())
        .collect();
    assert_eq!(told, [vec!["put k"], vec!["delete k"]]);
    assert_eq!(sets.last().unwrap().origin, Some(Origin::Internal));
    let seqs: Vec<_> = sets.iter().map(|set| set.seq.get()).collect();
    assert!(
        seqs.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{seqs:?}"
    );
}

#[test]
fn it_goes_on_after_a_restart_and_refuses_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let options = || DatabaseOptions::new(Env::real(), dir.path());
    let database = Database::open(options()).unwrap();
    let session = database.session(Principal::Owner);
    put(&session, "a", "1");
    put(&session, "b", "2");
    let seq = database.visible_seq();
    database.close().unwrap();
    drop((database, session));
    let database = Database::open(options()).unwrap();
    let session = database.session(Principal::Owner);
    let mut feed = session
        .changes(FeedFrom::After(seq.prev()), ChangeFilter::default())
        .unwrap();
    let sets = all_there(&mut feed);
    assert_eq!(shown(&sets[0]), ["put b"]);
    assert_eq!(sets[0].origin, Some(Origin::Rust));
    let ahead = Seq::new(database.visible_seq().get() + 1);
    let lost = session.changes(FeedFrom::After(ahead), ChangeFilter::default());
    assert_eq!(lost.unwrap_err().code(), Code::Gone);
    let nobody = database.session(Principal::Anonymous);
    let refused = nobody.changes(FeedFrom::Now, ChangeFilter::default());
    assert_eq!(refused.unwrap_err().code(), Code::Forbidden);
    drop(feed);
    database.close().unwrap();
}
