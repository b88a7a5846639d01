//! Faults on order: counted, of the kind that was asked for, on both file systems.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use mantis_env::{Env, Fault, FaultPlan, FaultyFs, OpKind, OpenMode};

fn with_plan(check: impl Fn(&Env, &Path, &FaultPlan)) {
    let dir = tempfile::tempdir().unwrap();
    for (env, path) in [
        (Env::real(), dir.path()),
        (Env::simulated(1), Path::new("/")),
    ] {
        let plan = FaultPlan::new();
        let fs = FaultyFs::new(Arc::clone(env.fs()), plan.clone());
        check(&env.with_fs(Arc::new(fs)), path, &plan);
    }
}

#[test]
fn the_nth_write_fails_and_no_other() {
    with_plan(|env, dir, plan| {
        plan.fail(OpKind::Write, 3, Fault::Eio);
        let file = env.fs().open(&dir.join("a"), OpenMode::Create).unwrap();
        let results: Vec<bool> = (0..5).map(|_| file.write_at(0, b"x").is_ok()).collect();
        assert_eq!(results, [true, true, false, true, true]);
        assert_eq!((plan.fired(), plan.seen(OpKind::Write)), (1, 5));
    });
}

#[test]
fn every_kind_can_be_made_to_fail() {
    with_plan(|env, dir, plan| {
        let (fs, path) = (env.fs(), dir.join("a"));
        let file = fs.open(&path, OpenMode::Create).unwrap();
        for kind in OpKind::ALL {
            plan.fail(kind, 1, Fault::Enospc);
            let result = match kind {
                OpKind::Open => fs.open(&path, OpenMode::Read).map(drop),
                OpKind::Read => file.read_at(0, &mut []).map(drop),
                OpKind::Write => file.write_at(0, b"x"),
                OpKind::Sync => file.sync_data(),
                OpKind::SetLen => file.set_len(1),
                OpKind::Rename => fs.rename(&path, &dir.join("b")),
                OpKind::Remove => fs.remove_file(&path),
                OpKind::CreateDir => fs.create_dir(&dir.join("d")),
                OpKind::SyncDir => fs.sync_dir(dir),
                OpKind::HardLink => fs.hard_link(&path, &dir.join("b")),
                OpKind::Look => fs.free_bytes(dir).map(drop),
            };
            assert_eq!(
                result.unwrap_err().kind(),
                ErrorKind::StorageFull,
                "{kind:?}"
            );
        }
        assert_eq!(plan.fired(), OpKind::ALL.len() as u64);
        assert!(fs.exists(&path).unwrap());
    });
}

#[test]
fn a_short_write_leaves_its_beginning() {
    with_plan(|env, dir, plan| {
        let file = env.fs().open(&dir.join("a"), OpenMode::Create).unwrap();
        plan.fail(OpKind::Write, 1, Fault::ShortThenEio(2));
        let error = file.write_at(0, b"abcd").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
        assert_eq!(file.len().unwrap(), 2);
    });
}

#[test]
fn faults_can_be_kept_to_some_paths_and_healed() {
    with_plan(|env, dir, plan| {
        plan.fail_from_at("seg", OpKind::Sync, 2, Fault::Eio);
        let other = env.fs().open(&dir.join("other"), OpenMode::Create).unwrap();
        let seg = env.fs().open(&dir.join("seg"), OpenMode::Create).unwrap();
        for _ in 0..3 {
            other.sync_all().unwrap();
        }
        seg.sync_all().unwrap();
        assert!(seg.sync_all().is_err() && seg.sync_data().is_err());
        plan.heal();
        seg.sync_all().unwrap();
    });
}

#[test]
fn bounded_growth_is_a_full_disk_until_something_is_removed() {
    with_plan(|env, dir, plan| {
        plan.limit_growth(Some(10));
        let file = env.fs().open(&dir.join("a"), OpenMode::Create).unwrap();
        file.write_at(0, &[1; 10]).unwrap();
        assert_eq!(env.fs().free_bytes(dir).unwrap(), 0);
        assert_eq!(
            file.write_at(10, b"x").unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        file.write_at(0, b"over").unwrap();
        env.fs().remove_file(&dir.join("a")).unwrap();
        let file = env.fs().open(&dir.join("b"), OpenMode::Create).unwrap();
        file.set_len(10).unwrap();
        assert!(file.set_len(11).is_err());
    });
}
