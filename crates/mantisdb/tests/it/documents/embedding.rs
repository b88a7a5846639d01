//! The Rust code of docs/guide/embedding.md: what stands there stands here, and runs.

use std::error::Error;
use std::path::Path;

type Outcome = Result<(), Box<dyn Error>>;

// What stands between two of these marks is a block of the page.
// BLOCK
fn storage(dir: &Path) -> Outcome {
    use std::time::Duration;

    use mantisdb::LockFreeStorage;

    let storage = LockFreeStorage::open(dir)?;
    storage.put("user:1", "Ada")?; // on disk when it returns
    storage.batch_put(vec![("user:2", "Grace"), ("user:3", "Edsger")])?; // all or nothing
    storage.put_with_ttl("session:9", "x", Duration::from_secs(3600))?;
    assert_eq!(storage.get("user:1")?.as_deref(), Some(&b"Ada"[..]));
    for pair in storage.scan_prefix("user:") {
        let (key, value) = pair?; // in byte order, from one snapshot
        println!("{} = {}", key.escape_ascii(), value.escape_ascii());
    }
    storage.delete("user:2")?;
    storage.close()?;
    Ok(())
}
// BLOCK

// BLOCK
fn session(dir: &Path) -> Outcome {
    use mantisdb::{Command, Condition, Durability, ErrorKind, Put, Reply, blocking::Database};

    let database = Database::open(dir)?;
    let session = database.session();
    let put = Put {
        condition: Condition::IfAbsent,
        content_type: Some("application/json".to_owned()),
        tags: vec!["people".to_owned()],
        ..Put::new("user:9", r#"{"name": "Barbara"}"#)
    };
    let command = Command::KvPut {
        put,
        durability: Durability::Sync,
    };
    session.execute(command.clone())?;
    let again = session.execute(command).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Precondition);

    let increment = Command::KvIncrement {
        key: "visits".into(),
        by: 1,
        initial: None,
        durability: Durability::Interval,
    };
    if let Reply::KvIncrement(done) = session.execute(increment)? {
        println!("visit {} is commit {}", done.value, done.committed.seq);
    }
    database.close()?;
    Ok(())
}
// BLOCK

/// Each in a directory of its own: a program that another test starts at this moment inherits the
/// lock of an open store until it is replaced, so that this process could not open it again.
#[test]
fn the_code_of_the_page_runs() {
    for code in [storage, session] {
        let dir = tempfile::tempdir().unwrap();
        code(dir.path()).unwrap();
        assert!(dir.path().join("store/STORE").exists());
    }
}

#[test]
fn the_code_of_the_page_is_this_code() {
    super::assert_code_of_page("docs/guide/embedding.md", include_str!("embedding.rs"));
}
