//! The database with transactions, for threads and for asynchronous programs.

use std::time::Duration;

use bytes::Bytes;
use mantisdb::{Change, Database, Error, IsolationLevel, Seq, blocking};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn add_one(db: Database, number: usize) {
    let mut tx = db.begin(IsolationLevel::ReadCommitted).await.unwrap();
    // Both orders: some of them wait for each other in a circle.
    let (first, second) = if number.is_multiple_of(2) {
        ("x", "y")
    } else {
        ("y", "x")
    };
    let added: Result<(), Error> = async {
        for key in [first, second] {
            let value = tx.get_for_update(key).await?;
            let value = value.map_or(0, |value| value[0]);
            tx.put(key, vec![value + 1]).await?;
        }
        Ok(())
    }
    .await;
    match added {
        Ok(()) => drop(tx.commit().await.unwrap()),
        Err(error) => {
            assert_eq!(error.code().as_str(), "deadlock");
            drop(tx);
            Box::pin(add_one(db, number)).await;
        }
    }
}

#[test]
fn an_asynchronous_program_can_do_all_of_it() {
    runtime().block_on(async {
        let db = Database::open_in_memory().await.unwrap();
        let mut tx = db.begin(IsolationLevel::Serializable).await.unwrap();
        assert_eq!(tx.isolation_level(), IsolationLevel::Serializable);
        tx.put("a", "1").await.unwrap();
        tx.savepoint("s").await.unwrap();
        tx.put("b", "2").await.unwrap();
        assert_eq!(tx.increment("n", 5).await.unwrap(), 5);
        let all = tx.scan("", None, 10).await.unwrap();
        assert_eq!(all.len(), 3);
        tx.rollback_to("s").await.unwrap();
        tx.release("s").await.unwrap();
        let both = tx.multi_get(["a", "b"]).await.unwrap();
        assert_eq!(both, [Some(Bytes::from_static(b"1")), None]);
        assert!(tx.delete("a").await.unwrap());
        tx.put("c", "3").await.unwrap();
        let seq = tx.commit().await.unwrap().seq;
        let keys: Vec<_> = db
            .storage()
            .scan_prefix("")
            .map(|pair| pair.unwrap().0)
            .collect();
        assert_eq!(keys, ["c"]);
        assert_eq!(db.visible_seq(), seq);
        assert_eq!(db.stats().transactions.active, 0);
        db.close().await.unwrap();
        assert_eq!(
            db.begin(IsolationLevel::Snapshot)
                .await
                .unwrap_err()
                .code()
                .as_str(),
            "shutting_down"
        );
    });
}

#[test]
fn many_who_wait_for_rows_get_through_whoever_has_the_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(80)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let db = Database::open_in_memory().await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        (0..200).for_each(|number| drop(tasks.spawn(add_one(db.clone(), number))));
        tasks.join_all().await;
        for key in ["x", "y"] {
            assert_eq!(
                db.storage().get(key).unwrap().as_deref(),
                Some(&[200][..]),
                "{key}"
            );
        }
    });
}

#[test]
fn what_is_dropped_has_not_happened() {
    runtime().block_on(async {
        let db = Database::open_in_memory().await.unwrap();
        let mut tx = db.begin(IsolationLevel::Snapshot).await.unwrap();
        tx.put("a", "1").await.unwrap();
        drop(tx);
        let mut tx = db.begin(IsolationLevel::Snapshot).await.unwrap();
        // A call that is given up takes the transaction with it.
        let given_up = tokio::time::timeout(Duration::ZERO, tx.put("a", "2")).await;
        if given_up.is_err() {
            let gone = tx.put("a", "3").await.unwrap_err();
            assert_eq!(gone.code().as_str(), "transaction_finished");
        }
        drop(tx);
        assert_eq!(db.storage().get("a").unwrap(), None);
    });
}

#[test]
fn the_commits_can_be_followed_from_any_on() {
    let db = blocking::Database::open_in_memory().unwrap();
    let from = db.visible_seq().next();
    let mut feed = db.commit_feed(from).unwrap();
    db.storage().put("a", "1").unwrap();
    let set = feed.next(Duration::from_secs(10)).unwrap().unwrap();
    let [Change::Put { new: written, .. }] = set.changes.as_slice() else {
        panic!("{set:?}");
    };
    assert_eq!(
        (&written.key[..], written.value.as_deref()),
        (&b"a"[..], Some(&b"1"[..]))
    );
    assert_eq!(feed.position(), set.seq);
    let gone = db.commit_feed(Seq::new(1000)).unwrap_err();
    assert_eq!(gone.code().as_str(), "gone");
    runtime().block_on(async {
        let db = Database::open_in_memory().await.unwrap();
        let mut feed = db.commit_feed(db.visible_seq().next()).await.unwrap();
        let storage = db.storage();
        let (set, ()) = tokio::join!(feed.next(), async { storage.put("b", "2").unwrap() });
        assert_eq!(set.unwrap().changes.len(), 1);
    });
}

#[test]
fn a_closure_is_run_again_until_nobody_came_first() {
    let db = blocking::Database::open_in_memory().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| one_more(&db)));
        }
    });
    assert_eq!(db.storage().get("n").unwrap().as_deref(), Some(&b"400"[..]));
    let refused = db.transact(IsolationLevel::Snapshot, |tx| tx.rollback_to("nothing"));
    assert_eq!(refused.unwrap_err().code().as_str(), "not_found");
}

fn one_more(db: &blocking::Database) {
    let added = db.transact(IsolationLevel::Snapshot, |tx| {
        let text = tx
            .get("n")?
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        let number: u64 = text.map_or(0, |text| text.parse().unwrap_or(0));
        tx.put("n", (number + 1).to_string())
    });
    added.unwrap();
}
