//! The Rust code of docs/guide/conflicts.md: what stands there stands here, and runs.

use std::time::Duration;

type Outcome = Result<(), mantisdb::Error>;

// BLOCK
fn transfer() -> Outcome {
    use mantisdb::IsolationLevel;
    use mantisdb::blocking::Database;

    let db = Database::open_in_memory()?; // or Database::open(dir)
    db.storage()
        .batch_put(vec![("ada", "70"), ("grace", "30")])?;
    db.transact(IsolationLevel::Snapshot, |tx| {
        let ada = balance(tx.get("ada")?);
        let grace = balance(tx.get("grace")?);
        tx.put("ada", (ada - 20).to_string())?;
        tx.put("grace", (grace + 20).to_string())
    })?;
    assert_eq!(db.storage().get("grace")?.as_deref(), Some(&b"50"[..]));
    Ok(())
}

fn balance(value: Option<bytes::Bytes>) -> i64 {
    let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
// BLOCK

// BLOCK
fn by_hand() -> Outcome {
    use mantisdb::IsolationLevel;
    use mantisdb::blocking::Database;

    let db = Database::open_in_memory()?;
    let mut first = db.begin(IsolationLevel::Snapshot)?;
    let mut second = db.begin(IsolationLevel::Snapshot)?;
    first.put("seat:7", "Ada")?;
    second.put("seat:7", "Grace")?;
    first.commit()?;
    let refused = second.commit().unwrap_err();
    assert!(refused.retryable()); // nothing of it has happened: begin again
    assert_eq!(refused.code().as_str(), "serialization_failure");
    Ok(())
}
// BLOCK

// BLOCK
fn counters() -> Outcome {
    use mantisdb::IsolationLevel;
    use mantisdb::blocking::Database;

    let db = Database::open_in_memory()?;
    let mut first = db.begin(IsolationLevel::Snapshot)?;
    let mut second = db.begin(IsolationLevel::Snapshot)?;
    assert_eq!(first.increment("visits", 1)?, 1); // what this transaction sees
    assert_eq!(second.increment("visits", 1)?, 1);
    first.commit()?;
    second.commit()?; // no conflict: each adds to what is there
    assert_eq!(db.storage().get("visits")?.as_deref(), Some(&b"2"[..]));
    Ok(())
}
// BLOCK

// BLOCK
fn rows_that_are_locked() -> Outcome {
    use mantisdb::IsolationLevel;
    use mantisdb::blocking::Database;

    let db = Database::open_in_memory()?;
    let mut holder = db.begin(IsolationLevel::ReadCommitted)?;
    holder.get_for_update("job:1")?; // nobody else writes it until the end
    let mut other = db.begin(IsolationLevel::ReadCommitted)?;
    other.set_lock_timeout(Duration::from_millis(10)); // 30 s by default
    let late = other.put("job:1", "mine").unwrap_err();
    assert_eq!(late.code().as_str(), "deadline_exceeded");
    other.put("job:2", "mine")?; // it goes on
    holder.rollback();
    other.put("job:1", "mine")?;
    other.commit()?;
    Ok(())
}
// BLOCK

#[test]
fn the_code_of_the_page_runs() {
    for code in [transfer, by_hand, counters, rows_that_are_locked] {
        code().unwrap();
    }
}

#[test]
fn the_code_of_the_page_is_this_code() {
    super::assert_code_of_page("docs/guide/conflicts.md", include_str!("conflicts.rs"));
}
