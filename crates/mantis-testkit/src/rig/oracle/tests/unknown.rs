//! Steps of unknown outcome make the oracle say less behind the promise, and hide nothing below it.

use super::*;

const STEPS: u64 = 80;
const PROMISED: u64 = 50;

fn alone() -> Script {
    Script {
        writers: 1,
        ..script()
    }
}

fn acked(index: u64, seq: u64, answer: Answer) -> Line {
    let writer = 0;
    Line::Ack(Ack {
        writer,
        index,
        seq,
        answer,
    })
}

fn unknown_at(index: u64) -> Line {
    let code = "internal".to_owned();
    Line::Refused {
        writer: 0,
        index,
        unknown: true,
        code,
    }
}

/// What one writer did and was told, and what a store held after each number of its steps.
struct Story {
    heard: Heard,
    states: Vec<Contents>,
}

impl Story {
    /// Steps in `unknown` were refused and may have happened: those of them that are true did.
    fn new(unknown: &[(u64, bool)]) -> Self {
        let mut store = Ideal::new(alone());
        let (mut heard, mut states) = (Heard::default(), vec![Contents::new()]);
        for index in 0..STEPS {
            let refused = unknown.iter().find(|(at, _)| *at == index);
            let happened = refused.is_none_or(|(_, happened)| *happened);
            let answer = happened.then(|| store.apply(0, 0, index));
            heard.take(match answer {
                Some(answer) if refused.is_none() => acked(index, store.seq, answer),
                _ => unknown_at(index),
            });
            states.push(store.contents.clone());
        }
        Self { heard, states }
    }

    /// The same, but the first counter step from `from` on was told a wrong sum.
    fn with_wrong_answer(mut self, from: u64) -> Self {
        let tried = self.heard.tried(0);
        let sum_at = |index: u64| match tried[usize::try_from(index).unwrap()] {
            Tried::Acked(Ack {
                answer: Answer::Counter(sum),
                ..
            }) if alone().step(0, 0, index).changes[0].key() != SHARED_COUNTER => Some(sum),
            _ => None,
        };
        let wrong = (from..STEPS).find_map(|index| Some((index, sum_at(index)? + 1)));
        let (at, sum) = wrong.expect("the script has counters to its end");
        self.heard = Heard::default();
        for (index, tried) in (0..STEPS).zip(&tried) {
            self.heard.take(match tried {
                Tried::Acked(ack) if index == at => acked(index, ack.seq, Answer::Counter(sum)),
                Tried::Acked(ack) => Line::Ack(*ack),
                _ => unknown_at(index),
            });
        }
        self
    }

    /// What a store held after so many steps.
    fn state(&self, steps: u64) -> &Contents {
        &self.states[usize::try_from(steps).unwrap()]
    }

    /// Judges a store that holds the first `steps` steps.
    fn judge(&self, steps: u64, must: u64) -> Verdict {
        self.judge_contents(self.state(steps), must)
    }

    fn judge_contents(&self, contents: &Contents, must: u64) -> Verdict {
        let promise = Promise { must: vec![must] };
        Oracle::new(alone()).judge(&self.heard, &promise, contents)
    }
}

/// Every second step behind the promise: more than the oracle would try in all combinations.
fn many() -> Vec<(u64, bool)> {
    let all = (PROMISED + 1..STEPS - 1).step_by(2);
    let all: Vec<_> = all.map(|at| (at, at % 4 == 1)).collect();
    assert!(all.len() > UNKNOWN_STEPS_MAX);
    all
}

#[test]
fn many_unknown_steps_behind_the_promise_accuse_nobody() {
    let story = Story::new(&many());
    let verdict = story.judge(PROMISED, PROMISED);
    assert!(verdict.is_right(), "{verdict:?}");
    assert_eq!((verdict.promised, verdict.lost), (PROMISED, 0));
}

#[test]
fn promised_steps_that_are_gone_are_found_before_many_unknown_ones() {
    let story = Story::new(&many());
    for kept in 0..PROMISED {
        // A step may change nothing; then one less is the same state.
        if story.state(kept) == story.state(PROMISED) {
            continue;
        }
        let verdict = story.judge(kept, PROMISED);
        assert!(verdict.lost > 0, "{kept} steps are left: {verdict:?}");
        assert!(!verdict.is_right());
    }
}

#[test]
fn every_damaged_key_is_found_before_many_unknown_steps() {
    let story = Story::new(&many());
    let whole = story.state(PROMISED);
    for key in whole.keys().filter(|key| key.starts_with(b"w")) {
        let damages: [fn(&mut Contents, &Vec<u8>); 3] = [
            |contents, key| assert!(contents.remove(key).is_some()),
            |contents, key| contents.get_mut(key).unwrap().digest.hash ^= 1,
            |contents, key| contents.get_mut(key).unwrap().seq += 1,
        ];
        for damage in damages {
            let mut contents = whole.clone();
            damage(&mut contents, key);
            let verdict = story.judge_contents(&contents, PROMISED);
            assert!(!verdict.is_right(), "{}", key.escape_ascii());
        }
    }
}

#[test]
fn unknown_steps_below_the_promise_are_explained_one_way_or_the_other() {
    for happened in [false, true] {
        let story = Story::new(&[(10, happened), (30, !happened)]);
        assert!(story.judge(PROMISED, PROMISED).is_right());
        assert!(story.judge(40, PROMISED).lost > 0);
    }
    // Too many of them cannot be explained, and that is said.
    let below: Vec<_> = (1..PROMISED).step_by(5).map(|at| (at, true)).collect();
    let verdict = Story::new(&below).judge(PROMISED, PROMISED);
    assert!(verdict.findings[0].contains("unknown outcomes"));
}

#[test]
fn a_wrong_answer_is_found_wherever_what_it_follows_from_is_known() {
    let unknown = [(STEPS - 2, false)];
    // Below the promise; and behind it, but before the unknown step.
    for from in [0, PROMISED] {
        let story = Story::new(&unknown).with_wrong_answer(from);
        let verdict = story.judge(PROMISED, PROMISED);
        assert!(!verdict.is_right(), "from {from} on: {verdict:?}");
        assert!(verdict.findings[0].contains("answered"), "{verdict:?}");
    }
    // Behind an unknown step that is below the promise: the state says whether it happened.
    for happened in [false, true] {
        let story = Story::new(&[(10, happened)]).with_wrong_answer(12);
        assert!(!story.judge(PROMISED, PROMISED).is_right());
    }
}

#[test]
fn answers_behind_an_unknown_step_that_nobody_was_promised_accuse_nobody_and_hide_no_loss() {
    let at = PROMISED + 1;
    // It did not happen: the answers of the counters behind it are not those of the script.
    let mut seen = 0;
    for at in at..STEPS - 1 {
        let story = Story::new(&[(at, false)]);
        let verdict = story.judge(PROMISED, PROMISED);
        assert!(verdict.is_right(), "unknown {at}: {verdict:?}");
        assert!(story.judge(PROMISED - 10, PROMISED).lost > 0);
        let wrong = story.judge_contents(story.state(STEPS), PROMISED);
        seen += u64::from(!wrong.is_right());
    }
    assert!(seen > 5, "{seen}: a state that no number of steps explains");
    let story = Story::new(&[(at, false)]).with_wrong_answer(at + 1);
    assert!(story.judge(PROMISED, PROMISED).is_right());
    assert!(!story.judge(PROMISED - 10, PROMISED).is_right());
}
