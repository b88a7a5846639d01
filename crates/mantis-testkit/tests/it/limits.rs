//! A disk that is full and a memory that is small, with their controls.

use std::time::Duration;

use mantis_testkit::rig::cap::{CappedLoad, MemoryCap};
use mantis_testkit::rig::control::ControlKind;
use mantis_testkit::rig::full::DiskFull;
use mantis_testkit::rig::mount::SizedTmpfs;
use mantis_testkit::rig::specimen::Tally;
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn run_full(target: TargetKind, small_mb: u64, patience: Duration) -> Option<Tally> {
    let name = format!("disk full with {}", target.word());
    let dir = setting::dir();
    if let Err(reason) = SizedTmpfs::probe(dir.path()) {
        println!("SKIP {name}: {reason:#}");
        return None;
    }
    let seed = setting::seed(&name);
    let rig = DiskFull {
        binary: setting::binary(),
        target,
        seed,
        small_mb,
        large_mb: 500,
        patience,
    };
    let tally = rig
        .run(&dir.path().join("full"))
        .expect("the children and mounts work");
    println!("{name}: {tally}");
    Some(tally)
}

#[test]
fn control_that_stops_for_ever_at_a_full_disk_is_caught() {
    let target = TargetKind::Control(ControlKind::Fsync);
    let Some(tally) = run_full(target, 4, Duration::from_secs(3)) else {
        return;
    };
    assert!(tally.findings_count > 0, "{tally}");
}

#[test]
fn control_that_eats_memory_is_killed_by_the_cap() {
    let name = "memory cap control";
    if let Err(reason) = MemoryCap::probe() {
        println!("SKIP {name}: {reason:#}");
        return;
    }
    let (binary, dir) = (setting::binary(), setting::dir());
    let bears = |eat_mb| MemoryCap::bears(&binary, dir.path(), 100, eat_mb).unwrap();
    assert!(!bears(200), "a process over the cap went on");
    assert!(bears(20), "a process below the cap was killed");
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    for size in [StoreSize::Small, StoreSize::Tight] {
        let tally = run_full(TargetKind::Store(size), 70, Duration::from_secs(30));
        let Some(tally) = tally else { return };
        assert!(
            tally.is_right() && tally.counted("refused disk_full") > 0,
            "{tally}"
        );
    }
}

#[test]
fn more_data_than_memory_is_written_and_read_under_a_cap() {
    let name = "memory cap";
    if let Err(reason) = MemoryCap::probe() {
        println!("SKIP {name}: {reason:#}");
        return;
    }
    let (binary, seed, dir) = (setting::binary(), setting::seed(name), setting::dir());
    let steps = setting::size("RIG_CAP_STEPS", 2000);
    let target = TargetKind::Store(StoreSize::Capped);
    let rig = CappedLoad {
        binary,
        target,
        seed,
        cap_mb: 200,
        steps,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("{name}: {tally}");
    assert!(tally.is_right(), "{tally}");
    assert!(
        steps < 2000 || tally.counted("stored MiB") > 200,
        "too little data: {tally}"
    );
}
