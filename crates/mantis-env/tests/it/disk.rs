//! What files promise: the same on both file systems, and what a crash leaves of a simulated one.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use mantis_env::{Env, Fs, OpenMode, SeededRng};

fn on_both(check: impl Fn(&Env, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    check(&Env::real(), dir.path());
    let env = Env::simulated(3);
    env.fs().create_dir(Path::new("/deep/down")).unwrap();
    check(&env, Path::new("/deep/down"));
}

fn write(fs: &dyn Fs, path: &Path, bytes: &[u8]) {
    fs.open(path, OpenMode::Create)
        .unwrap()
        .write_at(0, bytes)
        .unwrap();
}

fn read(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

#[test]
fn open_modes_mean_what_they_say() {
    on_both(|env, dir| {
        let (fs, path) = (env.fs(), dir.join("a"));
        let kind = |mode| fs.open(&path, mode).map(drop).unwrap_err().kind();
        assert_eq!(kind(OpenMode::Read), ErrorKind::NotFound);
        assert_eq!(kind(OpenMode::ReadWrite), ErrorKind::NotFound);
        fs.open(&path, OpenMode::Create).unwrap();
        assert_eq!(kind(OpenMode::CreateNew), ErrorKind::AlreadyExists);
        assert!(
            fs.open(&path, OpenMode::Read)
                .unwrap()
                .write_at(0, b"x")
                .is_err()
        );
        assert_eq!(
            fs.open(dir, OpenMode::Read).map(drop).unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
    });
}

#[test]
fn files_read_back_what_was_written_and_end_where_they_end() {
    on_both(|env, dir| {
        let file = env.fs().open(&dir.join("a"), OpenMode::CreateNew).unwrap();
        file.write_at(3, b"def").unwrap();
        assert_eq!(read(&**env.fs(), &dir.join("a")), b"\0\0\0def");
        let mut bytes = [9; 4];
        assert_eq!(file.read_at(5, &mut bytes).unwrap(), 1);
        assert_eq!(file.read_at(50, &mut bytes).unwrap(), 0);
        file.set_len(4).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 4);
    });
}

#[test]
fn names_are_made_renamed_linked_listed_and_removed() {
    on_both(|env, dir| {
        let fs = env.fs();
        fs.create_dir(&dir.join("d/e")).unwrap();
        fs.create_dir(&dir.join("d/e")).unwrap();
        write(&**fs, &dir.join("b"), b"1");
        write(&**fs, &dir.join("c"), b"2");
        fs.rename_durable(&dir.join("b"), &dir.join("c")).unwrap();
        fs.hard_link(&dir.join("c"), &dir.join("d/e/f")).unwrap();
        assert!(fs.hard_link(&dir.join("c"), &dir.join("d/e/f")).is_err());
        fs.rename_durable(&dir.join("d"), &dir.join("a")).unwrap();
        assert_eq!(read(&**fs, &dir.join("a/e/f")), b"1");
        assert_eq!(fs.read_dir(dir).unwrap(), [dir.join("a"), dir.join("c")]);
        fs.remove_file(&dir.join("c")).unwrap();
        assert_eq!(
            fs.remove_file(&dir.join("c")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        fs.remove_dir_all(&dir.join("a")).unwrap();
        assert!(!fs.exists(&dir.join("a/e/f")).unwrap());
        assert!(fs.read_dir(dir).unwrap().is_empty());
        assert!(fs.free_bytes(dir).unwrap() > 0);
    });
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped_and_names_its_holder() {
    on_both(|env, dir| {
        let path = dir.join("LOCK");
        let lock = env.fs().lock_exclusive(&path).unwrap();
        let refused = env.fs().lock_exclusive(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        let text = String::from_utf8(read(&**env.fs(), &path)).unwrap();
        assert!(text.parse::<u32>().is_ok(), "{text:?}");
        drop(lock);
        env.fs().lock_exclusive(&path).unwrap();
    });
}

#[test]
fn real_files_and_directories_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (sub, file) = (dir.path().join("d"), dir.path().join("d/f"));
    Env::real().fs().create_dir(&sub).unwrap();
    write(&**Env::real().fs(), &file, b"");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&sub), mode(&file)), (0o700, 0o600));
}

#[test]
fn a_crash_keeps_what_was_synced_and_takes_the_rest_in_every_way() {
    let mut fates = BTreeSet::new();
    for seed in 0..64 {
        let env = Env::simulated(seed);
        let (fs, path) = (env.fs(), Path::new("/f"));
        let file = fs.open(path, OpenMode::CreateNew).unwrap();
        file.write_at(0, &[1; 2048]).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        file.write_at(0, &[2; 2048]).unwrap();
        env.simulation().unwrap().crash();
        assert!(
            file.read_at(0, &mut [0]).is_err(),
            "files of before the crash are dead"
        );
        let after = read(&**fs, path);
        assert!(
            after.chunks(512).all(|s| s == [1; 512] || s == [2; 512]),
            "seed {seed}"
        );
        let new = after.iter().filter(|b| **b == 2).count() / 512;
        fates.insert(new.min(4));
    }
    assert!(
        fates.contains(&0) && fates.contains(&4) && fates.len() > 3,
        "{fates:?}"
    );
}

#[test]
fn a_name_that_was_not_synced_may_vanish_and_one_that_was_does_not() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..64 {
        let env = Env::simulated(seed);
        let fs = env.fs();
        fs.create_dir(Path::new("/d")).unwrap();
        for (name, sync) in [("/d/synced", true), ("/d/not", false)] {
            let file = fs.open(Path::new(name), OpenMode::CreateNew).unwrap();
            file.sync_all().unwrap();
            if sync {
                fs.sync_dir(Path::new("/d")).unwrap();
            }
        }
        env.simulation().unwrap().crash();
        assert!(fs.exists(Path::new("/d/synced")).unwrap(), "seed {seed}");
        if fs.exists(Path::new("/d/not")).unwrap() {
            kept += 1
        } else {
            lost += 1
        }
    }
    assert!(kept > 10 && lost > 10, "{kept} {lost}");
}

#[test]
fn a_kill_keeps_all_that_was_written() {
    let env = Env::simulated(1);
    let _lock = env.fs().lock_exclusive(Path::new("/LOCK")).unwrap();
    write(&**env.fs(), Path::new("/f"), b"not synced");
    env.simulation().unwrap().kill();
    assert_eq!(read(&**env.fs(), Path::new("/f")), b"not synced");
    env.fs().lock_exclusive(Path::new("/LOCK")).unwrap();
}

#[test]
fn a_failed_sync_forgets_what_a_later_one_takes_for_written() {
    let env = Env::simulated(1);
    let file = env.fs().open(Path::new("/f"), OpenMode::Create).unwrap();
    env.fs().sync_dir(Path::new("/")).unwrap();
    env.simulation().unwrap().fail_syncs(1);
    file.write_at(0, b"gone").unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    assert_eq!(read(&**env.fs(), Path::new("/f")), b"gone");
    env.simulation().unwrap().crash();
    assert_eq!(read(&**env.fs(), Path::new("/f")), b"");
}

#[test]
fn a_full_disk_refuses_to_grow_and_takes_overwrites() {
    let env = Env::simulated(1);
    env.simulation().unwrap().set_disk_bytes(1000);
    let file = env.fs().open(Path::new("/f"), OpenMode::Create).unwrap();
    file.write_at(0, &[1; 1000]).unwrap();
    assert_eq!(
        file.write_at(999, &[1; 2]).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    file.write_at(10, &[2; 100]).unwrap();
    assert_eq!(env.fs().free_bytes(Path::new("/")).unwrap(), 0);
    env.fs().remove_file(Path::new("/f")).unwrap();
    assert_eq!(env.fs().free_bytes(Path::new("/")).unwrap(), 1000);
}

/// Random calls drawn from `choices`, on a machine made from `seed`.
fn random_run(seed: u64, choices: u64) -> u64 {
    let env = Env::simulated(seed);
    let draw = SeededRng::new(choices);
    for _ in 0..200 {
        let path = format!("/f{}", draw.below(4));
        let file = env.fs().open(Path::new(&path), OpenMode::Create).unwrap();
        match draw.below(5) {
            0 => file.sync_data().unwrap(),
            1 => env.fs().sync_dir(Path::new("/")).unwrap(),
            2 => env.simulation().unwrap().crash(),
            3 => env
                .clock()
                .sleep(std::time::Duration::from_millis(draw.below(9))),
            _ => file
                .write_at(draw.below(999), &env.rng().next_u64().to_le_bytes())
                .unwrap(),
        }
    }
    let mut buffer = [0; 1024];
    for path in env.fs().read_dir(Path::new("/")).unwrap() {
        let file = env.fs().open(&path, OpenMode::Read).unwrap();
        file.read_at(0, &mut buffer).unwrap();
        // What a file holds after the run goes into the trace as well.
        let copy = env.fs().open(Path::new("/copy"), OpenMode::Create).unwrap();
        copy.write_at(0, &buffer).unwrap();
    }
    env.simulation().unwrap().trace_hash()
}

#[test]
fn the_same_seed_twice_gives_the_same_trace_and_another_seed_does_not() {
    for choices in 0..10 {
        assert_eq!(random_run(1, choices), random_run(1, choices));
        assert_ne!(random_run(1, choices), random_run(2, choices));
    }
    assert_ne!(random_run(1, 1), random_run(1, 2));
}
