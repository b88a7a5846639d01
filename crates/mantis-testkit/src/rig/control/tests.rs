//! What makes the controls fail for certain.

use super::*;
use crate::rig::script::Script;

fn script() -> Script {
    Script {
        writers: 1,
        ..Script::mixed(5)
    }
}

/// Does so many steps and answers the newest commit.
fn work(store: &ControlStore, steps: u64) -> u64 {
    let (script, mut last) = (script(), 0);
    for index in 0..steps {
        let step = script.step(0, 0, index);
        last = store.run(&step, Durability::Sync).unwrap().seq.max(last);
    }
    last
}

#[test]
fn the_control_that_acknowledges_first_has_the_same_number_of_commits_unwritten_at_any_moment() {
    for steps in [150, 151, 200] {
        let dir = tempfile::tempdir().unwrap();
        let store = ControlStore::open(dir.path(), ControlKind::AckFirst).unwrap();
        let last = work(&store, steps);
        let file = fs::read(dir.path().join(FILE_NAME)).unwrap();
        let found = ControlStore::open(dir.path(), ControlKind::AckFirst).unwrap();
        assert!(!file.is_empty());
        assert_eq!(found.state.lock().seq, last - HELD_BACK as u64);
    }
}

#[test]
fn the_control_that_syncs_has_written_all_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = ControlStore::open(dir.path(), ControlKind::Fsync).unwrap();
    let last = work(&store, 150);
    let found = ControlStore::open(dir.path(), ControlKind::Fsync).unwrap();
    assert_eq!(found.state.lock().seq, last);
}

#[test]
fn a_step_can_be_split_when_its_half_is_neither_all_of_it_nor_nothing() {
    let script = script();
    let steps: Vec<Step> = (0..500).map(|index| script.step(0, 0, index)).collect();
    assert!(steps.iter().filter(|step| can_be_split(step)).count() > 25);
    assert!(steps.iter().all(|step| step.batch || !can_be_split(step)));
    let of = |changes: &[Change]| Step {
        changes: changes.to_vec(),
        batch: true,
    };
    let add = |key: &[u8]| Change::Add {
        key: key.to_vec(),
        by: 1,
    };
    let delete = Change::Delete { key: b"c".to_vec() };
    assert!(can_be_split(&of(&[add(b"a"), delete.clone(), add(b"b")])));
    assert!(!can_be_split(&of(&[delete.clone(), add(b"b")])));
    assert!(!can_be_split(&of(&[add(b"a"), delete])));
    assert!(!can_be_split(&of(&[add(b"a"), add(SHARED_COUNTER)])));
}
