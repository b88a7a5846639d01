//! The controls of the judge: for each anomaly a history by hand that the model must reject, and its
//! twin, one answer different, that the model must accept.
//!
//! A transaction is written as its end and its operations: `x+1` appends 1 to x, `x=1,2` reads it so,
//! `x=` reads it absent. All stand side by side in time, unless the twins are `in_turn`.

use super::event::{Event, History, Micro, Stage};
use super::judge::{Verdict, judge};
use super::model::Model;
use mantis_types::Isolation;

/// A history that must be rejected, and one that must be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Twins {
    /// What is wrong with the bad one, in words.
    pub about: &'static str,
    /// The model that rejects it.
    pub model: Model,
    /// What the checker calls it.
    pub kind: &'static str,
    /// A weaker model that accepts the bad one as well.
    pub weaker: Option<Model>,
    /// Each transaction begins when the one before has ended.
    pub in_turn: bool,
    /// The bad one.
    pub bad: &'static [&'static str],
    /// The good one.
    pub good: &'static [&'static str],
}

/// One for each anomaly.
pub const ANOMALIES: [Twins; 12] = [
    Twins {
        about: "two transactions overwrite each other",
        kind: "G0",
        bad: &["ok x+1 y+1", "ok x+2 y+2", "ok x=1,2 y=2,1"],
        good: &["ok x+1 y+1", "ok x+2 y+2", "ok x=1,2 y=1,2"],
        ..READ_COMMITTED
    },
    Twins {
        about: "what was rolled back is read",
        kind: "G1a",
        bad: &["fail x+1", "ok x=1"],
        good: &["ok x+1", "ok x=1"],
        ..READ_COMMITTED
    },
    Twins {
        about: "what was not final is read",
        kind: "G1b",
        bad: &["ok x+1 x+2", "ok x=1"],
        good: &["ok x+1 x+2", "ok x=1,2"],
        ..READ_COMMITTED
    },
    Twins {
        about: "two transactions read from each other",
        kind: "G1c",
        bad: &["ok x+1 y=1", "ok y+1 x=1"],
        good: &["ok x+1 y=1", "ok y+1 x="],
        ..READ_COMMITTED
    },
    Twins {
        about: "two reads agree with no order of the appends",
        kind: "incompatible-order",
        bad: &["ok x+1", "ok x+2", "ok x+3", "ok x=1,2", "ok x=1,3"],
        good: &["ok x+1", "ok x+2", "ok x+3", "ok x=1,2", "ok x=1,2,3"],
        ..READ_COMMITTED
    },
    Twins {
        about: "a number stands in a list twice",
        kind: "duplicate-elements",
        bad: &["ok x+1", "ok x+2", "ok x=1,2,1"],
        good: &["ok x+1", "ok x+2", "ok x=1,2"],
        ..READ_COMMITTED
    },
    Twins {
        about: "a transaction does not see its own write",
        kind: "internal",
        bad: &["ok x+1", "ok x=1 x+2 x=1"],
        good: &["ok x+1", "ok x=1 x+2 x=1,2"],
        ..SNAPSHOT
    },
    Twins {
        about: "an update is lost",
        kind: "lost-update",
        bad: &["ok x+1", "ok x=1 x+2", "ok x=1 x+3", "ok x=1,3"],
        good: &["ok x+1", "ok x=1 x+2", "ok x=1,2 x+3", "ok x=1,2,3"],
        ..SNAPSHOT
    },
    Twins {
        about: "half of a transaction is read",
        kind: "G-single-item",
        bad: &["ok x+1 y+1", "ok x= y=1"],
        good: &["ok x+1 y+1", "ok x=1 y=1"],
        ..SNAPSHOT
    },
    Twins {
        about: "two readers see two writers in opposite orders",
        kind: "G-nonadjacent-item",
        bad: &["ok x+1", "ok y+1", "ok x=1 y=", "ok x= y=1"],
        good: &["ok x+1", "ok y+1", "ok x=1 y=", "ok x=1 y=1"],
        ..SNAPSHOT
    },
    Twins {
        about: "write skew",
        kind: "G2-item",
        bad: &["ok x= y= x+1", "ok x= y= y+1"],
        good: &["ok x= y= x+1", "ok x=1 y= y+1"],
        ..SERIALIZABLE
    },
    Twins {
        about: "two writers have a serial order, their reader has none",
        kind: "G2-item",
        bad: &["ok x= y= x+1", "ok y= y+1", "ok x= y=1"],
        good: &["ok x= y= x+1", "ok y= y+1", "ok x=1 y=1"],
        ..SERIALIZABLE
    },
];

/// Those of the models with the order in time.
pub const IN_TIME: [Twins; 3] = [
    Twins {
        about: "a later write stands before an earlier one",
        model: Model::StrongReadCommitted,
        kind: "G0-realtime",
        weaker: Some(Model::ReadCommitted),
        in_turn: true,
        bad: &["ok x+1", "ok x+2", "ok x=2,1"],
        good: &["ok x+1", "ok x+2", "ok x=1,2"],
    },
    Twins {
        about: "a snapshot lacks what was acknowledged before",
        model: Model::StrongSnapshotIsolation,
        kind: "G-single-item-realtime",
        weaker: Some(Model::SnapshotIsolation),
        in_turn: true,
        bad: &["ok x+1", "ok x=", "ok x=1"],
        good: &["ok x+1", "ok x=1", "ok x=1"],
    },
    Twins {
        about: "a serial order contradicts the clock",
        model: Model::StrictSerializable,
        kind: "G-single-item-realtime",
        weaker: Some(Model::Serializable),
        in_turn: true,
        bad: &["ok x+1", "ok x=", "ok x=1"],
        good: &["ok x+1", "ok x=1", "ok x=1"],
    },
];

const READ_COMMITTED: Twins = Twins {
    about: "",
    model: Model::ReadCommitted,
    kind: "",
    weaker: None,
    in_turn: false,
    bad: &[],
    good: &[],
};

const SNAPSHOT: Twins = Twins {
    model: Model::SnapshotIsolation,
    weaker: Some(Model::ReadCommitted),
    ..READ_COMMITTED
};

const SERIALIZABLE: Twins = Twins {
    model: Model::Serializable,
    weaker: Some(Model::SnapshotIsolation),
    ..READ_COMMITTED
};

/// What became of the controls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calibration {
    /// Verdicts that are as they must be.
    pub right: u64,
    /// All verdicts.
    pub all: u64,
    /// The others, in words.
    pub wrong: Vec<String>,
}

impl Calibration {
    /// Whether the judge can be believed.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.all > 0 && self.right == self.all
    }

    fn note(&mut self, holds: bool, what: &str, verdict: &Verdict) {
        self.all += 1;
        if holds {
            self.right += 1;
        } else {
            self.wrong.push(format!("{what}: {verdict}"));
        }
    }
}

/// The verdicts on all twins: two for each.
#[must_use]
pub fn calibrate(twins: &[Twins]) -> Calibration {
    let mut found = Calibration::default();
    for Twins {
        about,
        model,
        kind,
        in_turn,
        bad,
        good,
        ..
    } in twins
    {
        let name = model.name();
        let of_bad = judge(&history(bad, *in_turn), *model);
        found.note(of_bad.has(kind), &format!("{name} on {about}"), &of_bad);
        let of_good = judge(&history(good, *in_turn), *model);
        let what = format!("{name} on the twin of {about}");
        found.note(of_good == Verdict::Valid, &what, &of_good);
    }
    found
}

/// The history that is written so.
///
/// # Panics
/// When it is misspelt.
#[must_use]
pub fn history(transactions: &[&str], in_turn: bool) -> History {
    let mut begun = Vec::new();
    let mut ended = Vec::new();
    for (process, text) in (0..).zip(transactions) {
        let (stage, micros) = transaction(text);
        let event = |stage, micros| Event {
            process,
            level: Isolation::Serializable,
            stage,
            micros,
        };
        begun.push(event(Stage::Invoke, asked(&micros)));
        ended.push(event(stage, micros));
    }
    let events = if in_turn {
        let pairs = begun.into_iter().zip(ended);
        pairs.flat_map(|(begun, ended)| [begun, ended]).collect()
    } else {
        begun.into_iter().chain(ended).collect()
    };
    History { events }
}

/// The same without the answers of its reads.
#[must_use]
pub fn asked(micros: &[Micro]) -> Vec<Micro> {
    let without = |micro: &Micro| match *micro {
        Micro::Append { key, value } => Micro::Append { key, value },
        Micro::Read { key, .. } => Micro::Read { key, list: None },
    };
    micros.iter().map(without).collect()
}

fn transaction(text: &str) -> (Stage, Vec<Micro>) {
    let mut words = text.split(' ');
    let stage = match words.next() {
        Some("ok") => Stage::Ok,
        Some("fail") => Stage::Fail,
        Some("info") => Stage::Info,
        other => panic!("{other:?} is no end of a transaction"),
    };
    (stage, words.map(micro).collect())
}

fn micro(word: &str) -> Micro {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let key = |name: &str| match name {
        "x" => 1,
        "y" => 2,
        "z" => 3,
        other => panic!("{other:?} is no list"),
    };
    if let Some((name, value)) = word.split_once('+') {
        return Micro::Append {
            key: key(name),
            value: number(value),
        };
    }
    let (name, list) = word.split_once('=').expect("an append or a read");
    let list = list.split(',').filter(|text| !text.is_empty());
    Micro::Read {
        key: key(name),
        list: Some(list.map(number).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_is_right_in_24_of_24_verdicts() {
        let found = calibrate(&ANOMALIES);
        assert_eq!(found.wrong, [""; 0]);
        assert_eq!((found.right, found.all), (24, 24));
    }

    #[test]
    fn the_judge_sees_the_order_in_time() {
        let found = calibrate(&IN_TIME);
        assert_eq!(found.wrong, [""; 0]);
        assert_eq!((found.right, found.all), (6, 6));
    }

    /// Otherwise a judge that rejects whatever is strange would pass.
    #[test]
    fn a_weaker_model_accepts_what_it_does_not_forbid() {
        for twins in ANOMALIES.iter().chain(&IN_TIME) {
            let Some(weaker) = twins.weaker else { continue };
            let verdict = judge(&history(twins.bad, twins.in_turn), weaker);
            assert_eq!(
                verdict,
                Verdict::Valid,
                "{} under {}",
                twins.about,
                weaker.name()
            );
        }
    }

    #[test]
    fn every_model_has_a_history_that_it_rejects() {
        for model in Model::ALL {
            let all = ANOMALIES.iter().chain(&IN_TIME);
            assert!(
                all.clone().any(|twins| twins.model == model),
                "{}",
                model.name()
            );
        }
    }
}
