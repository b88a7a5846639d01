//! `check` and `repair` over directories that are whole and directories that are not.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::program::{Place, flip_bit};

/// A data directory with values in tables and in the log, closed cleanly.
fn filled() -> Place {
    let place = Place::new();
    let server = place.serve_with(&["--log-level", "warn"], &[]);
    let lines: String = (0..3000)
        .map(|n| format!("{{\"key\":\"k{n:05}\",\"value\":\"{n:0100}\"}}\n"))
        .collect();
    place.write("in.jsonl", lines);
    server.client(&place, &["import", "in.jsonl"]).ok();
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    place
}

/// Where in the log these bytes stand.
fn place_of(place: &Place, bytes: &[u8]) -> (PathBuf, usize) {
    let files = std::fs::read_dir(place.path("data/store/log")).unwrap();
    let found = files.map(|entry| entry.unwrap().path()).find_map(|path| {
        let content = std::fs::read(&path).unwrap();
        let at = content
            .windows(bytes.len())
            .position(|window| window == bytes)?;
        Some((path, at))
    });
    found.unwrap()
}

fn largest(place: &Place, dir: &str) -> PathBuf {
    let mut dirs = vec![place.path(dir)];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

#[test]
fn a_whole_store_is_found_whole_and_left_alone() {
    let place = filled();
    let checked = place.run(&["check", "data"]);
    assert!(
        checked.ok().contains("everything is as it was written"),
        "{checked:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(place.run(&["check", "data", "-o", "json"]).ok()).unwrap();
    assert_eq!(json["sound"], true);
    assert!(
        place
            .run(&["repair", "data"])
            .ok()
            .contains("nothing to repair")
    );
    let server = place.serve();
    assert!(server.get("k02999").is_some());
    let busy = place.run(&["check", "data"]);
    assert!(
        busy.refused(1).contains("in use by another process"),
        "{busy:?}"
    );
}

#[test]
fn a_flipped_bit_in_a_table_is_found_and_repaired() {
    let place = filled();
    let table = largest(&place, "data/store/tables");
    let middle = usize::try_from(table.metadata().unwrap().len() / 2).unwrap();
    flip_bit(&table, middle);
    let checked = place.run(&["check", "data"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.text().contains("DAMAGED table ") && checked.text().contains("1 finding"),
        "{checked:?}"
    );
    let plan = place.run(&["repair", "data", "--dry-run"]);
    assert!(
        plan.ok().contains("would make the tables anew")
            && plan.text().contains("nothing was changed"),
        "{plan:?}"
    );
    assert_eq!(
        place.run(&["check", "data"]).code,
        1,
        "a dry run repairs nothing"
    );
    let repaired = place.run(&["repair", "data"]);
    assert!(
        repaired.ok().contains("the old tables are kept in"),
        "{repaired:?}"
    );
    assert!(repaired.text().contains("whole again"), "{repaired:?}");
    place.run(&["check", "data"]).ok();
    place.serve().put("works", "again");
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_repaired() {
    let place = Place::new();
    let server = place.serve();
    for number in 0..50 {
        server.put(&format!("k{number:02}"), &"v".repeat(100));
    }
    server.kill();
    let (segment, at) = place_of(&place, b"k20");
    flip_bit(&segment, at);
    let started = place.run(&["serve", "--port", "0", "--data-dir", "data"]);
    assert!(started.refused(1).contains("damaged"), "{started:?}");
    let checked = place.run(&["check", "data"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.text().contains("DAMAGED log: ") && checked.text().contains("offset"),
        "{checked:?}"
    );
    let plan = place.run(&["repair", "data", "--dry-run"]);
    assert!(plan.ok().contains("would drop "), "{plan:?}");
    let repaired = place.run(&["repair", "data"]);
    assert!(
        repaired.ok().contains("dropped ") && repaired.text().contains("commits "),
        "{repaired:?}"
    );
    place.run(&["check", "data"]).ok();
    let server = place.serve();
    assert!(server.get("k19").is_some() && server.get("k21").is_none());
}

#[test]
fn what_is_no_store_is_not_made_into_one() {
    let place = Place::new();
    assert!(
        place
            .run(&["check", "nowhere"])
            .refused(1)
            .contains("holds no store")
    );
    std::fs::create_dir(place.path("empty")).unwrap();
    assert!(
        place
            .run(&["repair", "empty"])
            .refused(1)
            .contains("holds no store")
    );
    assert_eq!(std::fs::read_dir(place.path("empty")).unwrap().count(), 0);
}
