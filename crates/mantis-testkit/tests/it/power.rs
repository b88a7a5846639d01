//! Power cuts with their controls.

use mantis_testkit::rig::mount::LoopExt4;
use mantis_testkit::rig::power::{PowerCuts, PowerTally};
use mantis_testkit::rig::script::Script;
use mantis_testkit::rig::target::{StoreSize, TargetKind};

use crate::setting;

fn run(name: &str, target: Option<TargetKind>, cuts: u64) -> Option<PowerTally> {
    let dir = setting::dir();
    if let Err(reason) = LoopExt4::probe(dir.path()) {
        println!("SKIP {name}: {reason:#}");
        return None;
    }
    let seed = setting::seed(name);
    let script = Script {
        mixed_classes: true,
        ..Script::mixed(seed)
    };
    let rig = PowerCuts {
        binary: setting::binary(),
        cuts,
        seed,
        target,
        script,
    };
    let tally = rig.run(dir.path()).expect("the children and mounts work");
    println!("power cuts, target: {}", tally.target);
    println!("power cuts, control that syncs: {}", tally.fsync);
    println!("power cuts, control that does not: {}", tally.nosync);
    Some(tally)
}

#[test]
fn controls_of_the_power_cut_lose_what_they_must() {
    let Some(tally) = run("power cut controls", None, 6) else {
        return;
    };
    assert!(
        tally.fsync.is_right() && tally.fsync.promised > 6,
        "{}",
        tally.fsync
    );
    assert!(tally.nosync.lost > 0, "{}", tally.nosync);
}

#[test]
fn synced_writes_survive_power_cuts() {
    let cuts = setting::size("RIG_CUTS", 20);
    let target = TargetKind::Store(StoreSize::Default);
    let Some(tally) = run("power cuts", Some(target), cuts) else {
        return;
    };
    assert!(
        tally.fsync.is_right() && tally.nosync.lost > 0,
        "the controls: {:?}",
        tally.fsync
    );
    assert!(
        tally.target.is_right() && tally.target.promised > 10 * cuts,
        "{}",
        tally.target
    );
}
