//! Damaged files: found at opening, at reading or by `verify`, never served; and what repair saves.

use super::*;
use crate::FileKind;

/// Three runs of tables with known content.
fn store(dir: &Path) -> Vec<String> {
    let mut db = Db::open(dir, by_hand());
    for round in 0..3 {
        for n in 0..150 {
            let text = format!("{:04}", n * 3 + round);
            db.put(
                &text,
                &format!("{round} {}", (n * 31).to_string().repeat(20)),
            );
        }
        db.delete(&format!("{:04}", round * 5));
        db.flush();
    }
    db.scan()
}

fn bits_of(path: &Path) -> usize {
    usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap() * 8
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).unwrap();
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// How a damage came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    AtOpen(FileKindOrd),
    AtRead,
    ByVerify,
    Harmless,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileKindOrd(bool);

/// Opens, reads everything by points and by a scan, and verifies.
fn look(dir: &Path, options: LsmOptions, expected: &[String]) -> Outcome {
    let verified = || verify(dir).is_ok_and(|report| report.damages.is_empty());
    let db = match Db::try_open(dir, options) {
        Ok(db) => db,
        Err(EngineError::Corrupt { file, .. }) => {
            return Outcome::AtOpen(FileKindOrd(file == FileKind::Manifest));
        }
        Err(other) => panic!("opening answered {other:?}"),
    };
    let snapshot = db.engine.snapshot();
    let mut found = Vec::new();
    for row in db.engine.scan(&snapshot, ALL, Direction::Forward).unwrap() {
        let Ok((key, record)) = row else {
            return Outcome::AtRead;
        };
        match db.engine.get(&snapshot, key.as_bytes()) {
            Ok(again) if again.as_ref() == Some(&record) => {}
            Ok(_) => return Outcome::Silent,
            Err(_) => return Outcome::AtRead,
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.push(format!(
            "{}={}",
            text(&key.as_bytes()[3..]),
            text(record.view().payload())
        ));
    }
    drop(db);
    match (found == expected, verified()) {
        (true, true) => Outcome::Harmless,
        (true, false) => Outcome::ByVerify,
        (false, _) => Outcome::Silent,
    }
}

/// How many bits a sweep flips: `MANTIS_FLIPS`, or 400.
fn flips() -> usize {
    std::env::var("MANTIS_FLIPS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}

/// Single bits, spread over every file of the store, from a fixed seed.
fn sweep(options: &LsmOptions, flips: usize) -> Vec<(String, usize, Outcome)> {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let expected = store(&whole);
    assert_eq!(look(&whole, options.clone(), &expected), Outcome::Harmless);
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let mut outcomes = Vec::new();
    let names = files_below(&whole);
    for round in 0..flips {
        let copy = copy_of(&whole, &dir.path().join("copy"));
        let path = &names[round % names.len()];
        let relative = path.strip_prefix(&whole).unwrap();
        let bits = bits_of(path);
        let bit = next(bits);
        flip(&copy.join(relative), bit);
        let outcome = look(&copy, options.clone(), &expected);
        outcomes.push((relative.to_string_lossy().into_owned(), bit, outcome));
        std::fs::remove_dir_all(&copy).unwrap();
    }
    outcomes
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let outcomes = sweep(&by_hand(), flips());
    let silent: Vec<_> = outcomes.iter().filter(|o| o.2 == Outcome::Silent).collect();
    assert!(silent.is_empty(), "silent: {silent:?}");
    let harmless: Vec<_> = outcomes
        .iter()
        .filter(|o| o.2 == Outcome::Harmless)
        .collect();
    assert!(
        harmless.is_empty(),
        "a checksum covers every byte: {harmless:?}"
    );
    let manifests = outcomes
        .iter()
        .filter(|o| o.2 == Outcome::AtOpen(FileKindOrd(true)));
    assert!(manifests.count() > flips() / 8);
}

/// The control: without our own check of the manifest nobody looks at its checksum. (A manifest that
/// is damaged itself makes the tree allocate without bound, so the control damages the checksum.)
#[test]
fn the_sweep_notices_when_the_manifest_is_not_checked() {
    for (options, noticed) in [(by_hand(), true), (broken(Defect::TrustManifest), false)] {
        let dir = tempfile::tempdir().unwrap();
        let expected = store(dir.path());
        flip(&dir.path().join("current"), 8 * 12 + 3);
        let outcome = look(dir.path(), options, &expected);
        assert_eq!(
            outcome == Outcome::AtOpen(FileKindOrd(true)),
            noticed,
            "{outcome:?}"
        );
    }
}

#[test]
fn truncated_and_missing_files_are_damages() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let expected = store(&whole);
    for path in files_below(&whole) {
        let relative = path.strip_prefix(&whole).unwrap();
        for keep in [0, 1, 2] {
            let copy = copy_of(&whole, &dir.path().join("copy"));
            let target = copy.join(relative);
            let len = std::fs::metadata(&target).unwrap().len();
            if keep == 2 {
                std::fs::remove_file(&target).unwrap();
            } else {
                let file = std::fs::OpenOptions::new()
                    .write(true)
                    .open(&target)
                    .unwrap();
                file.set_len(len / 2 * keep).unwrap();
            }
            let outcome = look(&copy, by_hand(), &expected);
            assert!(
                matches!(outcome, Outcome::AtOpen(_) | Outcome::AtRead),
                "{}, {keep}: {outcome:?}",
                relative.display()
            );
            std::fs::remove_dir_all(&copy).unwrap();
        }
    }
}

#[test]
fn verify_counts_what_it_walked() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        verify(dir.path()).unwrap().tables,
        0,
        "nothing is there yet"
    );
    store(dir.path());
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.tables, report.entries), (3, 3 * 152 - 1));
    assert_eq!(report.replay_from, Seq::new(3 * 151 + 1));
    assert!(report.bytes > 0 && report.damages.is_empty());
}

#[test]
fn repair_takes_over_what_can_be_read_and_says_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let expected = store(&whole);
    let env = Env::real();
    // A store without damage is the same afterwards.
    let copy = copy_of(&whole, &dir.path().join("copy"));
    let report = repair(&env, &copy).unwrap();
    assert_eq!(
        (
            report.tables_whole,
            report.tables_damaged,
            report.entries_lost
        ),
        (3, 0, 0)
    );
    assert_eq!(report.replay_from, Seq::new(3 * 151 + 1));
    assert_eq!(Db::open(&copy, by_hand()).scan(), expected);
    // One with a damaged block loses the rest of that table only.
    let copy = copy_of(&whole, &dir.path().join("damaged"));
    let tables = files_below(&copy.join("tables"));
    let bits = bits_of(&tables[1]);
    flip(&tables[1], bits / 4);
    assert_eq!(verify(&copy).unwrap().damages.len(), 1);
    let report = repair(&env, &copy).unwrap();
    assert_eq!((report.tables_whole, report.tables_damaged), (2, 1));
    assert!(
        report.entries_lost > 0 && report.entries_lost < 152,
        "{report:?}"
    );
    assert!(verify(&copy).unwrap().damages.is_empty());
    let saved = Db::open(&copy, by_hand()).scan();
    assert!(saved.len() >= expected.len() - 152 && saved.len() < expected.len());
    assert!(
        report.kept_aside.join("tables").exists(),
        "the damaged tables are kept"
    );
    let again = repair(&env, &copy).unwrap_err();
    assert!(
        matches!(again, EngineError::Io { .. }),
        "they are never overwritten: {again:?}"
    );
}

/// As an opening would, which removes them: `opening_removes_files_that_no_manifest_names`.
#[test]
fn verify_changes_nothing_and_repair_keeps_all_of_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("tables");
    store(&dir);
    for stray in ["tables/4711", "v4711", ".tmpAbCdEf"] {
        std::fs::write(dir.join(stray), b"stray").unwrap();
    }
    let contents = |dir: &Path| {
        let files = files_below(dir).into_iter();
        let named = files.map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path.strip_prefix(dir).unwrap().to_owned(), bytes)
        });
        named.collect::<Vec<_>>()
    };
    let before = contents(&dir);
    assert!(verify(&dir).unwrap().damages.is_empty());
    assert!(contents(&dir) == before, "verify has changed something");
    let without_tables = copy_of(&dir, &dir.with_file_name("copy"));
    std::fs::remove_dir_all(without_tables.join("tables")).unwrap();
    let damaged = verify(&without_tables).unwrap_err();
    assert!(
        matches!(damaged, EngineError::Corrupt { .. }),
        "{damaged:?}"
    );
    let kept = repair(&Env::real(), &dir).unwrap().kept_aside;
    assert!(
        contents(&kept) == before,
        "repair has changed the old tables"
    );
}
