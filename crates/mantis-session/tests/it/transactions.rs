//! Joinable transactions: whose they are, whose turn it is, and how they end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mantis_env::{Env, Simulation};
use mantis_session::{
    Batch, BatchOp, Begin, Claim, Command, Condition, Database, Principal, Put, Reply, Session,
    SessionError, TransactionKey, TransactionState,
};
use mantis_types::{Code, Durability, ErrorKind, Isolation};

/// A database under a clock that only the test moves.
fn database() -> (Simulation, Database, Session) {
    let env = Env::simulated(7);
    let simulation = env.simulation().unwrap().clone();
    let db = Database::open_in_memory(&env).unwrap();
    let session = db.session(Principal::Owner);
    (simulation, db, session)
}

fn begin(session: &Session, isolation: Isolation) -> TransactionKey {
    session.open_transaction(Begin::at(isolation)).unwrap().key
}

/// The turn, which must be free.
fn claim(session: &Session, key: TransactionKey) -> Result<Claim, SessionError> {
    let mut turn = pin!(session.claim(key));
    match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(claim) => claim,
        Poll::Pending => panic!("somebody else has the turn"),
    }
}

fn put(key: &'static str, value: &'static str) -> Command {
    Command::KvPut {
        put: Put::new(key, value),
        durability: Durability::None,
    }
}

fn increment(key: &'static str) -> Command {
    Command::KvIncrement {
        key: Bytes::from_static(key.as_bytes()),
        by: 1,
        initial: None,
        durability: Durability::None,
    }
}

fn get(session: &Session, key: &'static str) -> Option<Bytes> {
    let key = Bytes::from_static(key.as_bytes());
    match session.execute(Command::KvGet { key }).unwrap() {
        Reply::KvGet(found) => found.map(|entry| entry.value),
        other => panic!("{other:?}"),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, SessionError>) -> Code {
    answer.unwrap_err().code()
}

/// For rows: not to wait.
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

#[test]
fn commands_of_several_requests_take_effect_together() {
    let (_simulation, db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let other = db.session(Principal::Owner);
    claim(&session, key)
        .unwrap()
        .execute(put("a", "1"), AT_ONCE)
        .unwrap();
    claim(&other, key)
        .unwrap()
        .execute(put("b", "2"), AT_ONCE)
        .unwrap();
    assert_eq!((get(&session, "a"), get(&session, "b")), (None, None));
    let status = session.transaction_status(key).unwrap();
    assert_eq!((status.state, status.writes), (TransactionState::Active, 2));

    let ended = claim(&other, key).unwrap().commit(None).unwrap();
    assert!(!ended.repeated);
    assert_eq!(get(&session, "a").as_deref(), Some(&b"1"[..]));
    assert_eq!(get(&session, "b").as_deref(), Some(&b"2"[..]));
    let again = claim(&session, key).unwrap().commit(None).unwrap();
    assert_eq!((again.committed, again.repeated), (ended.committed, true));
    assert_eq!(
        refused(claim(&session, key).unwrap().rollback()),
        Code::TransactionFinished
    );
    let late = claim(&session, key)
        .unwrap()
        .execute(put("c", "3"), AT_ONCE);
    assert_eq!(refused(late), Code::TransactionFinished);
    let stats = db.status().joinable;
    assert_eq!((stats.open, stats.opened, stats.committed), (0, 1, 1));
}

#[test]
fn another_principal_does_not_see_it() {
    let (_simulation, db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let admin = db.session(Principal::Admin);
    assert_eq!(refused(claim(&admin, key)), Code::NotFound);
    assert_eq!(refused(admin.transaction_status(key)), Code::NotFound);
    let anonymous = db.session(Principal::Anonymous);
    assert_eq!(
        refused(anonymous.open_transaction(Begin::default())),
        Code::Forbidden
    );
    let unknown = "0123456789abcdef0123456789abcdef".parse().unwrap();
    assert_eq!(refused(claim(&session, unknown)), Code::NotFound);
    assert!(claim(&session, key).is_ok());
}

#[test]
fn requests_have_their_turns_in_the_order_of_asking() {
    let (_simulation, _db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let first = claim(&session, key).unwrap();
    let mut second = pin!(session.claim(key));
    let mut third = pin!(session.claim(key));
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(third.as_mut().poll(&mut context).is_pending());
    drop(first);
    assert!(third.as_mut().poll(&mut context).is_pending());
    let Poll::Ready(second) = second.as_mut().poll(&mut context) else {
        panic!("it was its turn");
    };
    assert!(third.as_mut().poll(&mut context).is_pending());
    drop(second);
    assert!(third.as_mut().poll(&mut context).is_ready());
}

#[test]
fn the_queue_of_a_transaction_is_bounded_and_left_by_those_who_go() {
    let (_simulation, db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let max = db.limits().transaction_queue_max;
    let first = claim(&session, key).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..max).map(|_| Box::pin(session.claim(key))).collect();
    for turn in &mut waiting {
        assert!(turn.as_mut().poll(&mut context).is_pending());
    }
    let refused = Box::pin(session.claim(key)).as_mut().poll(&mut context);
    assert!(matches!(
        refused,
        Poll::Ready(Err(SessionError::TooManyInTurn { .. }))
    ));
    drop(waiting);
    drop(first);
    assert!(claim(&session, key).is_ok());
}

#[test]
fn a_conflict_fails_it_and_the_same_is_said_again() {
    let (_simulation, db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    claim(&session, key)
        .unwrap()
        .execute(put("a", "mine"), AT_ONCE)
        .unwrap();
    session.execute(put("a", "theirs")).unwrap();
    for _ in 0..2 {
        let error = claim(&session, key).unwrap().commit(None).unwrap_err();
        assert_eq!(error.code(), Code::SerializationFailure);
        assert!(error.kind().retryable());
    }
    let status = session.transaction_status(key).unwrap();
    assert_eq!(status.state, TransactionState::Failed);
    assert!(claim(&session, key).unwrap().rollback().unwrap().repeated);
    assert_eq!(get(&session, "a").as_deref(), Some(&b"theirs"[..]));
    assert_eq!(db.status().joinable.failed, 1);
}

#[test]
fn one_that_nobody_uses_expires_and_its_end_is_forgotten_later() {
    let (simulation, db, session) = database();
    db.set_transaction_timeouts(Duration::from_secs(10), Duration::from_secs(60));
    let key = begin(&session, Isolation::Snapshot);
    simulation.advance(Duration::from_secs(9), 10_000);
    claim(&session, key)
        .unwrap()
        .execute(put("a", "1"), AT_ONCE)
        .unwrap();
    simulation.advance(Duration::from_secs(9), 10_000);
    let status = session.transaction_status(key).unwrap();
    assert_eq!(status.state, TransactionState::Active);
    assert_eq!(status.left, Duration::from_secs(1));
    simulation.advance(Duration::from_secs(2), 10_000);
    let status = session.transaction_status(key).unwrap();
    assert_eq!(status.state, TransactionState::Expired);
    assert_eq!(
        refused(claim(&session, key).unwrap().commit(None)),
        Code::TransactionFinished
    );
    assert!(claim(&session, key).unwrap().rollback().unwrap().repeated);
    assert_eq!(db.status().joinable.expired, 1);
    assert_eq!(db.status().transactions.active, 0, "its snapshot is gone");
    simulation.advance(Duration::from_secs(301), 100_000);
    assert_eq!(refused(session.transaction_status(key)), Code::NotFound);
    assert_eq!(get(&session, "a"), None);
}

#[test]
fn one_in_use_ends_at_its_longest_duration() {
    let (simulation, db, session) = database();
    db.set_transaction_timeouts(Duration::from_secs(10), Duration::from_secs(15));
    let key = begin(&session, Isolation::Snapshot);
    for _ in 0..2 {
        simulation.advance(Duration::from_secs(6), 10_000);
        claim(&session, key)
            .unwrap()
            .execute(put("a", "1"), AT_ONCE)
            .unwrap();
    }
    // A request that has the turn is not interrupted, but its next command is refused.
    let mut held = claim(&session, key).unwrap();
    simulation.advance(Duration::from_secs(6), 10_000);
    assert_eq!(
        refused(held.execute(put("a", "2"), AT_ONCE)),
        Code::TransactionFinished
    );
    drop(held);
    let status = session.transaction_status(key).unwrap();
    assert_eq!(status.state, TransactionState::Expired);
}

#[test]
fn so_many_may_be_open_and_no_more() {
    let (_simulation, db, session) = database();
    let max = db.limits().transactions_max;
    let keys: Vec<_> = (0..max)
        .map(|_| begin(&session, Isolation::Snapshot))
        .collect();
    let error = session.open_transaction(Begin::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.limit_name()),
        (ErrorKind::Exhausted, Some("limits.transactions_max"))
    );
    claim(&session, keys[0]).unwrap().rollback().unwrap();
    assert!(session.open_transaction(Begin::default()).is_ok());
}

#[test]
fn a_row_that_is_locked_is_waited_for_or_not_as_asked() {
    let (_simulation, _db, session) = database();
    let holder = begin(&session, Isolation::ReadCommitted);
    let other = begin(&session, Isolation::ReadCommitted);
    claim(&session, holder)
        .unwrap()
        .execute(put("a", "1"), AT_ONCE)
        .unwrap();
    let mut waits = claim(&session, other).unwrap();
    let busy = waits.execute(put("a", "2"), AT_ONCE).unwrap_err();
    assert!(busy.is_row_busy());
    let outside = session
        .clone()
        .until(AT_ONCE)
        .execute(put("a", "3"))
        .unwrap_err();
    assert!(outside.is_row_busy());
    // The transaction has gone on, and gets the row once it is free.
    claim(&session, holder).unwrap().commit(None).unwrap();
    waits.execute(put("a", "2"), AT_ONCE).unwrap();
    waits.commit(None).unwrap();
    assert_eq!(get(&session, "a").as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_batch_of_which_one_row_is_locked_has_done_nothing() {
    let (_simulation, _db, session) = database();
    let holder = begin(&session, Isolation::ReadCommitted);
    let other = begin(&session, Isolation::ReadCommitted);
    claim(&session, holder)
        .unwrap()
        .execute(put("b", "1"), AT_ONCE)
        .unwrap();
    let batch = Batch {
        ops: vec![
            BatchOp::Increment {
                key: Bytes::from_static(b"a"),
                by: 1,
                initial: None,
            },
            BatchOp::Set(Put::new("b", "2")),
        ],
        atomic: false,
        durability: Durability::None,
    };
    let mut waits = claim(&session, other).unwrap();
    for _ in 0..3 {
        let busy = waits.execute(Command::KvBatch(batch.clone()), AT_ONCE);
        assert!(busy.unwrap_err().is_row_busy());
    }
    claim(&session, holder).unwrap().rollback().unwrap();
    let reply = waits.execute(Command::KvBatch(batch), AT_ONCE).unwrap();
    let Reply::KvBatch(done) = reply else {
        panic!("{reply:?}")
    };
    assert!(done.results.iter().all(Result::is_ok));
    waits.commit(None).unwrap();
    assert_eq!(
        get(&session, "a").as_deref(),
        Some(&b"1"[..]),
        "not once for each try"
    );
    assert_eq!(get(&session, "b").as_deref(), Some(&b"2"[..]));
}

#[test]
fn an_addition_waits_for_a_locked_row_before_the_commit() {
    let (_simulation, _db, session) = database();
    let holder = begin(&session, Isolation::ReadCommitted);
    let adds = begin(&session, Isolation::Snapshot);
    claim(&session, holder)
        .unwrap()
        .execute(put("n", "5"), AT_ONCE)
        .unwrap();
    let mut claimed = claim(&session, adds).unwrap();
    claimed.execute(increment("n"), AT_ONCE).unwrap();
    assert!(claimed.lock_for_commit(AT_ONCE).unwrap_err().is_row_busy());
    claim(&session, holder).unwrap().commit(None).unwrap();
    claimed.lock_for_commit(AT_ONCE).unwrap();
    claimed.commit(None).unwrap();
    assert_eq!(get(&session, "n").as_deref(), Some(&b"6"[..]));
}

#[test]
fn savepoints_take_back_what_came_after() {
    let (_simulation, _db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let mut claimed = claim(&session, key).unwrap();
    claimed.execute(put("a", "1"), AT_ONCE).unwrap();
    claimed.savepoint("s").unwrap();
    claimed.execute(put("a", "2"), AT_ONCE).unwrap();
    claimed.rollback_to("s").unwrap();
    claimed.release("s").unwrap();
    assert_eq!(refused(claimed.release("s")), Code::NotFound);
    claimed.commit(None).unwrap();
    assert_eq!(get(&session, "a").as_deref(), Some(&b"1"[..]));
}

#[test]
fn conditions_hold_against_what_the_transaction_sees() {
    let (_simulation, _db, session) = database();
    let key = begin(&session, Isolation::Snapshot);
    let mut claimed = claim(&session, key).unwrap();
    claimed.execute(put("a", "1"), AT_ONCE).unwrap();
    let mut create = Put::new("a", "2");
    create.condition = Condition::IfAbsent;
    let durability = Durability::None;
    let refusal = claimed.execute(
        Command::KvPut {
            put: create,
            durability,
        },
        AT_ONCE,
    );
    assert_eq!(refused(refusal), Code::PreconditionFailed);
    claimed.commit(None).unwrap();
    assert_eq!(get(&session, "a").as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_dropped_database_goes_with_its_open_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let db = crate::setup::open(dir.path()).unwrap();
    let session = db.session(Principal::Owner);
    let key = begin(&session, Isolation::Snapshot);
    claim(&session, key)
        .unwrap()
        .execute(put("a", "1"), AT_ONCE)
        .unwrap();
    drop((session, db));
    // The lock of the directory is free: nothing keeps the store alive.
    let again = crate::setup::open(dir.path()).unwrap();
    assert_eq!(crate::setup::get(&again, "a"), None);
}
