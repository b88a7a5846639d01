//! Who may do what, and what can be answered without waiting.

use mantis_env::Env;
use mantis_session::{Command, Database, Principal, Reply};
use mantis_types::{Code, Durability};

use crate::setup::{open, put};

#[test]
fn anonymous_callers_are_refused_on_every_path() {
    let db = Database::open_in_memory(&Env::real()).unwrap();
    let session = db.session(Principal::Anonymous);
    let get = Command::KvGet { key: "k".into() };
    assert_eq!(
        session.execute(get.clone()).unwrap_err().code(),
        Code::Forbidden
    );
    let ready = session
        .execute_ready(&get)
        .expect("a refusal needs no disk");
    assert_eq!(ready.unwrap_err().code(), Code::Forbidden);
}

#[test]
fn what_memory_holds_is_answered_at_once_and_equals_the_blocking_answer() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    put(&db, "k", "v", Durability::None);
    let session = db.session(Principal::Owner);
    let get = Command::KvGet { key: "k".into() };
    let at_once = |name: &str| match session.execute_ready(&get) {
        Some(Ok(Reply::KvGet(Some(entry)))) => entry,
        other => panic!("{name}: {other:?}"),
    };
    let Reply::KvGet(Some(blocking)) = session.execute(get.clone()).unwrap() else {
        panic!()
    };
    assert_eq!(at_once("from the memtable"), blocking);
    db.flush().unwrap();
    assert!(
        session.execute_ready(&get).is_none(),
        "a table must be read"
    );
    session.execute(get.clone()).unwrap();
    assert_eq!(at_once("from the row cache"), blocking);
    db.close().unwrap();
}
