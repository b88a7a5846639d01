//! Kills amid writes that are retried under a key, with their control.

use mantis_testkit::rig::once_kill::{CUT_OFF, DOUBLES, ONCE_KILLS, OnceKills, REPLAYED};
use mantis_testkit::rig::specimen::Tally;

use crate::setting;

fn run(keyed: bool, kills: u64) -> Tally {
    let seed = setting::seed("once");
    let dir = setting::dir();
    let rig = OnceKills {
        binary: setting::binary(),
        kills,
        seed,
        keyed,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("kills amid retried writes, keyed {keyed}: {tally}");
    if keyed && !tally.is_right() {
        println!("kept for a look: {}", dir.keep().display());
    }
    tally
}

#[test]
fn retried_writes_take_effect_once_over_kills_and_races() {
    let kills = setting::size("RIG_ONCE_KILLS", 30);
    let tally = run(true, kills);
    assert!(tally.is_right(), "{tally}");
    assert_eq!(tally.counted(ONCE_KILLS), kills, "{tally}");
    assert!(tally.counted(CUT_OFF) > 0, "{tally}");
    assert!(tally.counted(REPLAYED) > tally.acks / 10, "{tally}");
}

#[test]
fn without_keys_retries_are_caught_as_doubles() {
    let tally = run(false, 3);
    assert!(tally.counted(DOUBLES) > 3, "{tally}");
}
