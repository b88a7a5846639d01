//! A script: what several transactions do in turn, written as words.
//!
//! `1:x` reads x in transaction 1, `1:x=5` writes it, `1:x-` removes it, `1:a..c` reads the range from
//! a up to c, excluded; `1:commit` and `1:abort` end it. A transaction begins with its first word.

use mantis_types::Isolation;

use super::played::Played;

/// A script.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The anomaly.
    pub name: &'static str,
    /// What is wrong about it.
    pub about: &'static str,
    /// What is there before, as `x=5` and so on.
    pub before: &'static str,
    /// The steps.
    pub steps: &'static str,
    /// Whether what was answered proves the anomaly.
    pub shows: fn(&Played) -> bool,
    /// The weakest level that prevents it.
    pub prevented_from: Isolation,
}

/// What is played: how it was before, and the steps in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    pub(super) before: Vec<(&'static str, i64)>,
    pub(super) steps: Vec<Step>,
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) who: usize,
    pub(super) act: Act,
}

/// What is done in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Read(&'static str),
    Range(&'static str, &'static str),
    Write(&'static str, i64),
    Remove(&'static str),
    Commit,
    Abort,
}

impl Script {
    /// The steps in the order in which they are written.
    ///
    /// # Panics
    /// When a word is not understood.
    #[must_use]
    pub fn interleaved(&self) -> Course {
        let before = self.before.split_whitespace().map(written);
        let steps = self.steps.split_whitespace().map(step);
        Course {
            before: before.collect(),
            steps: steps.collect(),
        }
    }

    /// The same transactions one after the other.
    ///
    /// # Panics
    /// When a word is not understood.
    #[must_use]
    pub fn in_turn(&self) -> Course {
        let mut course = self.interleaved();
        course.steps.sort_by_key(|step| step.who);
        course
    }

    /// Whether `level` allows the anomaly.
    #[must_use]
    pub fn is_allowed(&self, level: Isolation) -> bool {
        level < self.prevented_from
    }
}

fn step(word: &'static str) -> Step {
    let (who, act) = word.split_once(':').expect("a step names who does it");
    let who = who.parse().expect("a transaction has a number");
    let act = match act {
        "commit" => Act::Commit,
        "abort" => Act::Abort,
        _ if act.contains('=') => {
            let (key, value) = written(act);
            Act::Write(key, value)
        }
        _ => match (act.split_once(".."), act.strip_suffix('-')) {
            (Some((from, to)), _) => Act::Range(from, to),
            (None, Some(key)) => Act::Remove(key),
            (None, None) => Act::Read(act),
        },
    };
    Step { who, act }
}

fn written(word: &'static str) -> (&'static str, i64) {
    let (key, value) = word.split_once('=').expect("a key and its value");
    (key, value.parse().expect("values are numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_understood() {
        let script = Script {
            name: "",
            about: "",
            before: "x=1 y=-2",
            steps: "2:x 1:y=-5 2:x- 1:a..c 1:commit 2:abort",
            shows: |_| false,
            prevented_from: Isolation::Snapshot,
        };
        let course = script.interleaved();
        assert_eq!(course.before, [("x", 1), ("y", -2)]);
        let by = |who, act| Step { who, act };
        let steps = [
            by(2, Act::Read("x")),
            by(1, Act::Write("y", -5)),
            by(2, Act::Remove("x")),
            by(1, Act::Range("a", "c")),
            by(1, Act::Commit),
            by(2, Act::Abort),
        ];
        assert_eq!(course.steps, steps);
        let order: Vec<usize> = script.in_turn().steps.iter().map(|step| step.who).collect();
        assert_eq!(order, [1, 1, 1, 2, 2, 2]);
    }
}
