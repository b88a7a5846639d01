//! The storage inside a Rust program.

use std::time::Duration;

use mantisdb::{Durability, ErrorKind, LockFreeStorage};
use rustix::process::Signal;

use crate::program::Place;

#[test]
fn scans_are_complete_ordered_and_of_one_snapshot() {
    let storage = LockFreeStorage::new();
    let pairs = (0..5000_u32).map(|n| (format!("k{n:05}"), n.to_le_bytes().to_vec()));
    storage.batch_put(pairs.collect()).unwrap();
    storage.put("other", "x").unwrap();
    let mut scan = storage.scan_prefix("k");
    assert_eq!(scan.next().unwrap().unwrap().0, "k00000");
    storage.delete("k00001").unwrap();
    storage.put("k00002", "changed").unwrap();
    storage.put("k99999", "new").unwrap();
    let rest: Vec<_> = scan.map(Result::unwrap).collect();
    assert_eq!(rest.len(), 4999);
    assert!(rest.is_sorted());
    assert_eq!(rest[1].1, 2_u32.to_le_bytes()[..]);
    assert_eq!(storage.scan_prefix("k").count(), 5000);
}

#[test]
fn keys_are_bytes_and_batches_are_atomic() {
    let storage = LockFreeStorage::new();
    storage.put(vec![0xFF, 0], b"\0".to_vec()).unwrap();
    assert_eq!(
        storage.get(&b"\xff\0"[..]).unwrap().as_deref(),
        Some(&b"\0"[..])
    );
    let too_long = vec![b'k'; 40_000];
    let refused = storage
        .batch_put(vec![(b"a".to_vec(), "1"), (too_long, "2")])
        .unwrap_err();
    assert_eq!(
        storage.get("a").unwrap(),
        None,
        "nothing of a refused batch is stored: {refused}"
    );
    assert_eq!(
        (
            storage.delete("a").unwrap(),
            storage.delete(vec![0xFF, 0]).unwrap()
        ),
        (false, true)
    );
}

#[test]
fn entries_say_when_they_were_made() {
    let storage = LockFreeStorage::new();
    storage.put("a", "1").unwrap();
    let before = storage.visible_seq();
    storage.put("a", "2").unwrap();
    let entry = storage.entry("a").unwrap().unwrap();
    assert_eq!(
        (&entry.value[..], entry.created_at, entry.deleted_at),
        (&b"2"[..], before + 1, None)
    );
    assert!(!entry.visible_to(before) && entry.visible_to(storage.visible_seq()));
    assert_eq!(storage.entries("").unwrap(), [entry]);
    storage.delete("a").unwrap();
    assert_eq!(storage.entry("a").unwrap(), None);
}

#[test]
fn values_expire_and_counts_are_kept() {
    let storage = LockFreeStorage::new();
    storage
        .put_with_ttl("long", "v", Duration::from_secs(3600))
        .unwrap();
    assert!(storage.get("long").unwrap().is_some());
    let refused = storage
        .put_with_ttl("none", "v", Duration::ZERO)
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(storage.get("none").unwrap(), None);
    let stats = storage.stats();
    assert_eq!((stats.writes, stats.hits, stats.misses), (1, 1, 1));
}

#[test]
fn what_was_stored_in_a_directory_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = LockFreeStorage::open(dir.path()).unwrap();
    storage.put("synced", "1").unwrap();
    storage
        .clone()
        .with_durability(Durability::None)
        .put("closed", "2")
        .unwrap();
    let second = LockFreeStorage::open(dir.path()).unwrap_err();
    assert!(second.to_string().contains("in use"), "{second}");
    storage.close().unwrap();
    assert!(
        storage.put("late", "3").is_err(),
        "a closed storage takes no writes"
    );
    drop(storage);
    let storage = LockFreeStorage::open(dir.path()).unwrap();
    let all: Vec<_> = storage
        .scan_prefix("")
        .map(|pair| pair.unwrap().0)
        .collect();
    assert_eq!(all, ["closed", "synced"]);
}

/// `cargo run --example rest_api_server`: what it stored from Rust is read over HTTP, and the other
/// way round.
#[test]
fn the_example_serves_what_the_program_stores() {
    let place = Place::new();
    let Some(server) = place.serve_example("rest_api_server") else {
        println!("SKIP the_example_serves_what_the_program_stores: the example is not built");
        return;
    };
    assert_eq!(server.get("greeting").as_deref(), Some("hello from Rust"));
    server.put("over", "HTTP");
    assert_eq!(server.request("GET", "/api/stats", None, "").0, 401);
    assert_eq!(server.end_by(Signal::INT), Some(0));
    let storage = LockFreeStorage::open(place.path("data")).unwrap();
    assert_eq!(storage.get("over").unwrap().as_deref(), Some(&b"HTTP"[..]));
}
