//! Cases about opening again.

use mantis_types::Seq;

use super::{Driver, Factory, key};

pub(super) fn reopening_and_replay_lose_nothing(factory: &Factory) {
    let durable = factory.durable;
    let db = &mut Driver::temporary(factory);
    for round in 0..8 {
        for n in 0..100 {
            db.put(
                &key(format!("{:03}", n * 7 % 100 + round)),
                format!("{round} {n}"),
            );
            if n % 5 == 0 {
                db.delete(&key(format!("{n:03}")));
            }
        }
        let before = db.all();
        if round % 2 == 0 {
            db.flush();
            let needed = db.engine().replay_from();
            let expected = if durable {
                db.last().next()
            } else {
                Seq::new(1)
            };
            assert_eq!(needed, expected, "after a flush");
        }
        if round % 4 == 3 {
            db.engine().compact().expect("a compaction works");
        }
        db.reopen();
        assert_eq!(db.all(), before, "round {round}");
        assert_eq!(db.engine().horizon().get(), db.last());
    }
    db.engine().close().expect("an engine closes");
    let before = db.all();
    db.reopen();
    assert_eq!(db.all(), before, "after a clean close");
}

/// What tables hold already does no harm when it is replayed over them.
pub(super) fn replaying_twice_changes_nothing(factory: &Factory) {
    let db = &mut Driver::temporary(factory);
    for n in 0..50 {
        db.put(&key("one"), format!("{n}"));
        db.put(&key(format!("{n}")), "there");
    }
    db.delete(&key("7"));
    let before = db.all();
    db.reopen();
    assert_eq!(db.all(), before);
    db.reopen();
    assert_eq!(db.all(), before);
    assert_eq!(db.get(&key("one")).as_deref(), Some("49"));
    assert_eq!(db.get(&key("7")), None);
}
