//! Requests that take effect once.

use std::time::Duration;

use mantis_env::Env;
use mantis_session::{Command, Database, DatabaseOptions, Once, Principal, Reply, Session};
use mantis_types::{Durability, Seq};

const DAY: Duration = Duration::from_secs(86_400);

fn increment(once: &mut Once) -> i64 {
    let command = Command::KvIncrement {
        key: "n".into(),
        by: 1,
        initial: None,
        durability: Durability::None,
    };
    match once.execute(command, None).unwrap() {
        Reply::KvIncrement(done) => done.value,
        other => panic!("{other:?}"),
    }
}

/// Does it, unless it has been done; answers its commit, and whether it was done now.
fn once(session: &Session, key: &[u8]) -> (Seq, bool) {
    let mut once = session.once(key).unwrap();
    if let Some(receipt) = once.claim(None).unwrap() {
        assert_eq!(&receipt.bytes[..], b"receipt");
        return (receipt.seq, false);
    }
    increment(&mut once);
    let done = once.commit(b"receipt", DAY, Durability::Sync).unwrap();
    (done.seq, true)
}

#[test]
fn a_receipt_is_there_after_a_restart_and_belongs_to_its_principal() {
    let dir = tempfile::tempdir().unwrap();
    let options = || DatabaseOptions::new(Env::real(), dir.path());
    let database = Database::open(options()).unwrap();
    let (seq, first) = once(&database.session(Principal::Owner), b"k");
    assert!(first);
    // Not even a clean end.
    drop(database);
    let database = Database::open(options()).unwrap();
    let owner = database.session(Principal::Owner);
    assert_eq!(once(&owner, b"k"), (seq, false));
    assert!(once(&database.session(Principal::Admin), b"k").1);
    assert!(once(&owner, b"other").1);
    database.close().unwrap();
}

#[test]
fn what_is_dropped_leaves_the_key_to_the_next_one() {
    let database = Database::open_in_memory(&Env::real()).unwrap();
    let session = database.session(Principal::Owner);
    let mut given_up = session.once(b"k").unwrap();
    assert!(given_up.claim(None).unwrap().is_none());
    assert_eq!(increment(&mut given_up), 1);
    let mut hasty = session.once(b"k").unwrap();
    let refused = hasty.claim(Some(Duration::ZERO)).unwrap_err();
    assert!(refused.is_row_busy());
    drop(given_up);
    assert!(hasty.claim(Some(Duration::ZERO)).unwrap().is_none());
    assert_eq!(increment(&mut hasty), 1, "nothing of the first one is left");
}

#[test]
fn an_increment_answers_what_it_leaves_behind() {
    let database = Database::open_in_memory(&Env::real()).unwrap();
    let session = database.session(Principal::Owner);
    let mut values: Vec<i64> = std::thread::scope(|scope| {
        let racers = (0..16_u8).map(|number| {
            let session = session.clone();
            scope.spawn(move || {
                let mut once = session.once(&[number]).unwrap();
                assert!(once.claim(None).unwrap().is_none());
                let value = increment(&mut once);
                once.commit(b"receipt", DAY, Durability::None).unwrap();
                value
            })
        });
        let racers: Vec<_> = racers.collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    });
    values.sort_unstable();
    assert_eq!(values, (1..=16).collect::<Vec<_>>());
}
