//! The Rust code of docs/guide/isolation.md: what stands there stands here, and shows at each level what
//! the table says.

use std::time::Duration;

use bytes::Bytes;
use mantisdb::blocking::{Database, Transaction};
use mantisdb::{Error, IsolationLevel};

type Shown = Result<bool, Error>;

// BLOCK
/// Two transactions of a level, and no patience with rows that are locked.
fn two(db: &Database, level: IsolationLevel) -> Result<(Transaction, Transaction), Error> {
    let (mut a, mut b) = (db.begin(level)?, db.begin(level)?);
    a.set_lock_timeout(Duration::ZERO);
    b.set_lock_timeout(Duration::ZERO);
    Ok((a, b))
}

/// What everybody sees.
fn now(db: &Database, key: &'static str) -> Result<String, Error> {
    let value = db.storage().get(key)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&value).into_owned())
}

fn is(value: impl Into<Option<Bytes>>, expected: &str) -> bool {
    value.into().as_deref() == Some(expected.as_bytes())
}

fn number(value: Option<Bytes>) -> i64 {
    let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
// BLOCK

// BLOCK
/// G0: what two transactions have written is mixed.
fn dirty_write(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    a.put("x", "a")?;
    if b.put("x", "b").is_err() {
        return Ok(false); // the row is locked
    }
    b.put("y", "b")?;
    a.put("y", "a")?;
    let both = a.commit().is_ok() & b.commit().is_ok();
    Ok(both && now(db, "x")? != now(db, "y")?)
}

/// G1a: something was read that never was.
fn aborted_read(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    a.put("x", "a")?;
    let seen = b.get("x")?;
    a.rollback();
    Ok(is(seen, "a"))
}

/// G1b: something was read that was not meant to last.
fn intermediate_read(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    a.put("x", "draft")?;
    let seen = b.get("x")?;
    a.put("x", "final")?;
    a.commit()?;
    Ok(is(seen, "draft"))
}

/// G1c: each has read what the other one has written.
fn circular_information(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    a.put("x", "a")?;
    b.put("y", "b")?;
    let (seen_by_a, seen_by_b) = (a.get("y")?, b.get("x")?);
    let both = a.commit().is_ok() & b.commit().is_ok();
    Ok(both && is(seen_by_a, "b") && is(seen_by_b, "a"))
}

/// OTV: a transaction is seen, and then it is not.
fn observed_transaction_vanishes(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    a.put("x", "a")?;
    a.put("y", "a")?;
    let before = b.get("x")?;
    a.commit()?;
    let (x, y) = (b.get("x")?, b.get("y")?);
    Ok(is(before, "a") && !is(x.clone(), "a") || is(x, "a") && !is(y, "a"))
}
// BLOCK

// BLOCK
/// PMP: the same question has another answer the second time.
fn predicate_many_preceders(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let users = |tx: &mut Transaction| tx.scan("user:", Some("user;".into()), 100);
    let before = users(&mut a)?;
    b.put("user:1", "Ada")?;
    b.commit()?;
    Ok(users(&mut a)? != before)
}

/// P4: an update is lost.
fn lost_update(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let (seen_by_a, seen_by_b) = (number(a.get("n")?), number(b.get("n")?));
    a.put("n", (seen_by_a + 1).to_string())?;
    a.commit()?;
    b.put("n", (seen_by_b + 1).to_string())?;
    Ok(b.commit().is_ok() && now(db, "n")? == "1")
}

/// G-single, read skew: half of another transaction is seen.
fn read_skew(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let x = a.get("x")?;
    b.put("x", "b")?;
    b.put("y", "b")?;
    b.commit()?;
    Ok(!is(x, "b") && is(a.get("y")?, "b"))
}
// BLOCK

// BLOCK
/// G2-item: each has read what the other one changes.
fn anti_dependency(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let empty = [a.get("x")?, a.get("y")?, b.get("x")?, b.get("y")?];
    a.put("x", "a")?;
    b.put("y", "b")?;
    let both = a.commit().is_ok() & b.commit().is_ok();
    Ok(both && empty.iter().all(Option::is_none))
}

/// G2: the same with ranges: each adds to what the other one has listed.
fn predicate_anti_dependency(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let shifts = |tx: &mut Transaction| tx.scan("shift:", Some("shift;".into()), 100);
    let empty = shifts(&mut a)?.is_empty() && shifts(&mut b)?.is_empty();
    a.put("shift:a", "Ada")?;
    b.put("shift:b", "Grace")?;
    let both = a.commit().is_ok() & b.commit().is_ok();
    Ok(both && empty)
}

/// Write skew: one of two has to stay, and both go.
fn write_skew(db: &Database, level: IsolationLevel) -> Shown {
    db.storage()
        .batch_put(vec![("on call:ada", "yes"), ("on call:grace", "yes")])?;
    let (mut a, mut b) = two(db, level)?;
    if is(a.get("on call:grace")?, "yes") {
        a.put("on call:ada", "no")?;
    }
    if is(b.get("on call:ada")?, "yes") {
        b.put("on call:grace", "no")?;
    }
    let both = a.commit().is_ok() & b.commit().is_ok();
    Ok(both && now(db, "on call:ada")? == "no" && now(db, "on call:grace")? == "no")
}

/// The read-only anomaly: a report sees a state that no order of the others explains.
fn read_only_anomaly(db: &Database, level: IsolationLevel) -> Shown {
    let (mut withdrawal, mut deposit) = two(db, level)?;
    let total = number(withdrawal.get("checking")?) + number(withdrawal.get("savings")?);
    deposit.put("savings", "20")?;
    deposit.commit()?;
    let mut report = db.begin_read_only(level)?;
    let reported = (
        number(report.get("checking")?),
        number(report.get("savings")?),
    );
    report.commit()?;
    // Not enough money, as far as it can see: a fee.
    let left = if total < 10 { -11 } else { -10 };
    withdrawal.put("checking", left.to_string())?;
    Ok(withdrawal.commit().is_ok() && reported == (0, 20) && left == -11)
}

/// A phantom: a decision rests on the absence of something that is there by then.
fn phantom(db: &Database, level: IsolationLevel) -> Shown {
    let (mut a, mut b) = two(db, level)?;
    let free = a.scan("name:ada", Some("name:adb".into()), 1)?.is_empty();
    b.put("name:ada", "b")?;
    b.commit()?;
    a.put("account:7", "ada")?;
    Ok(a.commit().is_ok() && free)
}
// BLOCK

type Anomaly = fn(&Database, IsolationLevel) -> Shown;

/// In the order of the table.
const ANOMALIES: [(&str, Anomaly); 13] = [
    ("G0, dirty write", dirty_write),
    ("G1a, aborted read", aborted_read),
    ("G1b, intermediate read", intermediate_read),
    ("G1c, circular information", circular_information),
    ("OTV, a transaction vanishes", observed_transaction_vanishes),
    ("PMP, the answer changes", predicate_many_preceders),
    ("P4, lost update", lost_update),
    ("G-single, read skew", read_skew),
    ("G2-item, anti-dependency", anti_dependency),
    ("G2, the same with ranges", predicate_anti_dependency),
    ("write skew", write_skew),
    ("read-only anomaly", read_only_anomaly),
    ("phantom on an absent range", phantom),
];

const LEVELS: [IsolationLevel; 4] = [
    IsolationLevel::ReadCommitted,
    IsolationLevel::RepeatableRead,
    IsolationLevel::Snapshot,
    IsolationLevel::Serializable,
];

fn table(open: impl Fn() -> Database) -> Vec<String> {
    let row = |(name, anomaly): &(&str, Anomaly)| {
        let cells = LEVELS.map(|level| match anomaly(&open(), level).unwrap() {
            true => "shown",
            false => "prevented",
        });
        format!("| {name} | {} |", cells.join(" | "))
    };
    ANOMALIES.iter().map(row).collect()
}

#[test]
fn each_level_shows_what_the_table_of_the_page_says() {
    let page = super::page("docs/guide/isolation.md");
    let promised: Vec<_> = page
        .lines()
        .filter(|line| line.contains("prevented |"))
        .collect();
    assert_eq!(table(|| Database::open_in_memory().unwrap()), promised);
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    for (name, anomaly) in ANOMALIES {
        // The keys of one are not those of the next: what is shown in memory is shown here.
        let cleared = db.storage();
        for pair in cleared
            .scan_prefix("")
            .collect::<Result<Vec<_>, _>>()
            .unwrap()
        {
            cleared.delete(pair.0).unwrap();
        }
        let shown = anomaly(&db, IsolationLevel::Serializable).unwrap();
        assert!(!shown, "{name} in a directory");
    }
    db.close().unwrap();
}

#[test]
fn the_code_of_the_page_is_this_code() {
    super::assert_code_of_page("docs/guide/isolation.md", include_str!("isolation.rs"));
}
