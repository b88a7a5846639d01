//! Kills amid transactions of several keys, with their controls.

use mantis_testkit::door::half::Fault;
use mantis_testkit::door::kind::DoorKind;
use mantis_testkit::rig::specimen::Tally;
use mantis_testkit::rig::txn_child::Through;
use mantis_testkit::rig::txn_kill::{CUT_OFF, TXN_KILLS, TxnKills};

use crate::setting;

fn run(through: Through, kills: u64) -> Tally {
    let seed = setting::seed(through.word());
    let dir = setting::dir();
    let rig = TxnKills {
        binary: setting::binary(),
        kills,
        seed,
        through,
    };
    let tally = rig.run(dir.path()).expect("the children run");
    println!("kills amid transactions on {}: {tally}", through.word());
    if matches!(through, Through::Right(_)) && !tally.is_right() {
        println!("kept for a look: {}", dir.keep().display());
    }
    tally
}

#[test]
fn transactions_are_whole_or_absent_after_kills() {
    let kills = setting::size("RIG_TXN_KILLS", 30);
    let doors = DoorKind::ON_DISK;
    let kills = kills.div_ceil(3);
    for kind in doors {
        let tally = run(Through::Right(kind), kills);
        assert!(tally.is_right(), "{tally}");
        assert!(
            tally.acks > 60 * kills && tally.counted(CUT_OFF) > kills,
            "{tally}"
        );
    }
}

#[test]
fn a_transaction_that_is_two_is_caught_by_each_kill() {
    let tally = run(Through::Broken(Fault::Split), 3);
    let halves = tally
        .findings
        .iter()
        .filter(|text| text.contains("half of"));
    assert!(halves.count() >= 3, "{tally}");
    assert_eq!(tally.counted(TXN_KILLS), 3, "{tally}");
}

#[test]
fn forgotten_transactions_are_caught_by_each_kill() {
    let tally = run(Through::Broken(Fault::Forget), 3);
    assert!(tally.lost >= 3, "{tally}");
}
