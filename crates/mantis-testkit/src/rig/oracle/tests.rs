//! The oracle's own calibration: each kind of damage is found, an undamaged store is not accused.

mod unknown;

use super::*;
use crate::rig::heard::Stop;
use crate::rig::wire::Line;

const SEED: u64 = 11;

fn script() -> Script {
    Script {
        writers: 2,
        keys: 20,
        large_percent: 0,
        ..Script::mixed(SEED)
    }
}

/// A store that does what the script says, one writer after the other.
struct Ideal {
    script: Script,
    contents: Contents,
    numbers: BTreeMap<Vec<u8>, i64>,
    seq: u64,
    heard: Heard,
}

impl Ideal {
    fn new(script: Script) -> Self {
        let numbers = BTreeMap::new();
        Self {
            script,
            contents: Contents::new(),
            numbers,
            seq: 0,
            heard: Heard::default(),
        }
    }

    fn run(&mut self, epoch: u64, steps: u64) {
        self.heard = Heard::default();
        for index in 0..steps {
            for writer in 0..self.script.writers {
                let answer = self.apply(epoch, writer, index);
                let ack = Ack {
                    writer,
                    index,
                    seq: self.seq,
                    answer,
                };
                self.heard.take(Line::Ack(ack));
            }
        }
    }

    fn apply(&mut self, epoch: u64, writer: u32, index: u64) -> Answer {
        let step = self.script.step(epoch, writer, index);
        self.seq += 1;
        let mut answer = Answer::Plain;
        for change in &step.changes {
            let key = change.key().to_vec();
            let digest = match change {
                Change::PutIfAbsent { .. } if self.contents.contains_key(&key) => {
                    answer = Answer::NotMet;
                    continue;
                }
                Change::Put { value, .. } | Change::PutIfAbsent { value, .. } => value.digest(),
                Change::Delete { .. } => {
                    answer = Answer::Changed(self.contents.remove(&key).is_some());
                    self.numbers.remove(&key);
                    continue;
                }
                Change::Add { by, .. } => {
                    let sum = self.numbers.entry(key.clone()).or_default();
                    *sum += by;
                    answer = Answer::Counter(*sum);
                    number_digest(*sum)
                }
            };
            self.contents.insert(
                key,
                Found {
                    seq: self.seq,
                    digest,
                },
            );
        }
        if step.batch { Answer::Plain } else { answer }
    }

    fn judge(&self, oracle: &mut Oracle) -> Verdict {
        let promise = self.heard.promise(&self.script, Stop::Power);
        oracle.judge(&self.heard, &promise, &self.contents)
    }
}

#[test]
fn a_store_that_did_what_the_script_says_is_right_over_many_epochs() {
    let mut store = Ideal::new(script());
    let mut oracle = Oracle::new(script());
    for epoch in 0..5 {
        store.run(epoch, 100);
        let verdict = store.judge(&mut oracle);
        assert_eq!(verdict.findings, Vec::<String>::new());
        assert!(verdict.promised > 150, "{verdict:?}");
    }
}

#[test]
fn the_step_on_its_way_may_or_may_not_be_there_but_not_the_next() {
    let mut store = Ideal::new(script());
    store.run(0, 50);
    assert!(store.judge(&mut Oracle::new(script())).is_right());
    store.apply(0, 1, 50);
    assert!(store.judge(&mut Oracle::new(script())).is_right());
    // Two more steps of the same writer without an acknowledgement between them cannot be.
    for index in 51..60 {
        store.apply(0, 1, index);
    }
    assert!(!store.judge(&mut Oracle::new(script())).is_right());
}

#[test]
fn every_kind_of_damage_is_found() {
    let mut store = Ideal::new(script());
    store.run(0, 200);
    type Damage = fn(&mut Contents, &Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("a key is gone", |c, key| {
            c.remove(key);
        }),
        ("another value", |c, key| {
            c.get_mut(key).unwrap().digest.hash ^= 1
        }),
        ("another version", |c, key| c.get_mut(key).unwrap().seq += 1),
        ("a stranger", |c, key| {
            let found = c[key];
            c.insert(b"w00/k00001-stranger".to_vec(), found);
        }),
    ];
    let whole = store.contents.clone();
    for key in whole.keys().filter(|key| key.starts_with(b"w")) {
        for (name, damage) in damages {
            store.contents = whole.clone();
            damage(&mut store.contents, key);
            assert!(
                !store.judge(&mut Oracle::new(script())).is_right(),
                "{name}"
            );
        }
    }
    store.contents = whole.clone();
    store
        .contents
        .insert(b"elsewhere".to_vec(), whole[SHARED_COUNTER]);
    assert!(!store.judge(&mut Oracle::new(script())).is_right());
    store.contents = whole;
    store.contents.get_mut(SHARED_COUNTER).unwrap().digest = number_digest(1);
    assert!(!store.judge(&mut Oracle::new(script())).is_right());
}

#[test]
fn lost_steps_are_counted() {
    let mut store = Ideal::new(script());
    store.run(0, 100);
    let short = store.contents.clone();
    store.run(0, 0);
    let mut whole = Ideal::new(script());
    whole.run(0, 110);
    whole.contents = short;
    let verdict = whole.judge(&mut Oracle::new(script()));
    assert!(verdict.lost >= 10, "{verdict:?}");
    assert!(
        verdict.findings.iter().any(|f| f.contains("promised")),
        "{verdict:?}"
    );
}

#[test]
fn half_a_batch_is_found() {
    let mut oracle_runs = 0;
    for index in 0..60 {
        let mut store = Ideal::new(Script {
            writers: 1,
            ..script()
        });
        store.run(0, index);
        let step = store.script.step(0, 0, index);
        let puts: Vec<&Change> = step
            .changes
            .iter()
            .filter(|c| matches!(c, Change::Put { .. }))
            .collect();
        if !step.batch || puts.len() < 2 {
            continue;
        }
        let Change::Put { key, value } = puts[0] else {
            unreachable!("filtered above")
        };
        let half = Found {
            seq: store.seq + 1,
            digest: value.digest(),
        };
        store.contents.insert(key.clone(), half);
        assert!(
            !store.judge(&mut Oracle::new(store.script)).is_right(),
            "step {index}"
        );
        oracle_runs += 1;
    }
    assert!(oracle_runs > 2);
}

#[test]
fn a_wrong_answer_is_found() {
    let script = Script {
        writers: 1,
        ..script()
    };
    let mut store = Ideal::new(script);
    store.run(0, 60);
    let mut heard = Heard::default();
    for tried in store.heard.tried(0) {
        let Tried::Acked(mut ack) = tried else {
            continue;
        };
        if let Answer::Counter(sum) = ack.answer {
            ack.answer = Answer::Counter(sum + 1);
        }
        heard.take(Line::Ack(ack));
    }
    store.heard = heard;
    assert!(!store.judge(&mut Oracle::new(script)).is_right());
}

#[test]
fn a_weaker_class_is_promised_only_below_a_promised_commit() {
    let script = Script {
        writers: 4,
        mixed_classes: true,
        ..script()
    };
    let mut heard = Heard::default();
    let mut say = |writer, index, seq| {
        let answer = Answer::Plain;
        heard.take(Line::Ack(Ack {
            writer,
            index,
            seq,
            answer,
        }));
    };
    say(3, 0, 1); // none, below a sync commit
    say(1, 0, 2); // interval, below a sync commit
    say(0, 0, 3); // sync
    say(3, 1, 4); // none, below an interval commit
    say(1, 1, 5); // interval
    say(3, 2, 6); // none, above everything
    assert_eq!(heard.promise(&script, Stop::Power).must, [1, 1, 0, 1]);
    assert_eq!(heard.promise(&script, Stop::Process).must, [1, 2, 0, 2]);
}
