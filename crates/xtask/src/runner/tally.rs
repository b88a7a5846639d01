//! Reads out of a step's output how many tests did what.

use std::ops::AddAssign;

/// How many tests did what. A step that runs no tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    pub(super) const fn new(passed: usize, failed: usize, skipped: usize) -> Self {
        Self {
            passed,
            failed,
            skipped,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

/// Who speaks in a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// Test binaries: a result line each, and a `SKIP name: reason` line for each test that libtest
    /// counts as passed although it did not run.
    Tests,
    /// A program of ours: its last line of the form `12 passed, 0 failed, 1 skipped` says it all.
    Program,
}

/// What a step has said about its tests so far.
#[derive(Debug)]
pub(super) struct Tally {
    voice: Voice,
    counts: Option<Counts>,
    said_skip: usize,
}

impl Tally {
    pub(super) const fn new(voice: Voice) -> Self {
        Self {
            voice,
            counts: None,
            said_skip: 0,
        }
    }

    pub(super) fn take(&mut self, line: &str) {
        match self.voice {
            Voice::Program => self.counts = program_counts(line).or(self.counts),
            Voice::Tests if line.starts_with("SKIP ") => self.said_skip += 1,
            Voice::Tests => {
                let Some(mut counts) = libtest_counts(line) else {
                    return;
                };
                let skipped = std::mem::take(&mut self.said_skip).min(counts.passed);
                counts.passed -= skipped;
                counts.skipped += skipped;
                *self.counts.get_or_insert_default() += counts;
            }
        }
    }

    /// The step's counts, once it has ended. A step that fails has at least one failure.
    pub(super) fn counts(self, ok: bool) -> Counts {
        let mut counts = self
            .counts
            .unwrap_or_else(|| Counts::new(usize::from(ok), 0, 0));
        if !ok && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; ...`
fn libtest_counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = rest.split("; ");
    let passed = number_before(parts.next()?, " passed")?;
    let failed = number_before(parts.next()?, " failed")?;
    Some(Counts::new(
        passed,
        failed,
        number_before(parts.next()?, " ignored")?,
    ))
}

/// `12 passed, 0 failed, 1 skipped`, and nothing else on the line.
fn program_counts(line: &str) -> Option<Counts> {
    let mut parts = line.split(", ");
    let passed = number_before(parts.next()?, " passed")?;
    let failed = number_before(parts.next()?, " failed")?;
    let skipped = number_before(parts.next()?, " skipped")?;
    parts
        .next()
        .is_none()
        .then_some(Counts::new(passed, failed, skipped))
}

fn number_before(text: &str, word: &str) -> Option<usize> {
    text.strip_suffix(word)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(voice: Voice, lines: &[&str], ok: bool) -> Counts {
        let mut tally = Tally::new(voice);
        lines.iter().for_each(|line| tally.take(line));
        tally.counts(ok)
    }

    const RESULT: &str =
        "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";

    #[test]
    fn tests_are_counted_over_all_binaries() {
        let counts = tally(Voice::Tests, &[RESULT, "chatter", RESULT], true);
        assert_eq!(counts, Counts::new(24, 0, 2));
    }

    #[test]
    fn a_test_that_says_skip_did_not_pass() {
        let counts = tally(Voice::Tests, &["SKIP power cut: needs root", RESULT], true);
        assert_eq!(counts, Counts::new(11, 0, 2));
    }

    #[test]
    fn what_a_test_prints_is_no_count() {
        let counts = tally(
            Voice::Tests,
            &["1 passed, 1 failed, 0 skipped", RESULT],
            true,
        );
        assert_eq!(counts, Counts::new(12, 0, 1));
    }

    #[test]
    fn a_program_of_ours_counts_for_itself_and_its_last_word_holds() {
        let lines = [
            "1 passed, 1 failed, 0 skipped",
            "SKIP loop: none",
            "7 passed, 0 failed, 1 skipped",
        ];
        assert_eq!(tally(Voice::Program, &lines, true), Counts::new(7, 0, 1));
    }

    #[test]
    fn a_step_without_tests_counts_as_one() {
        for voice in [Voice::Tests, Voice::Program] {
            assert_eq!(tally(voice, &["all formatted"], true), Counts::new(1, 0, 0));
            assert_eq!(tally(voice, &["error: no"], false), Counts::new(0, 1, 0));
        }
    }

    #[test]
    fn a_failed_step_fails_even_when_its_tests_passed() {
        assert_eq!(tally(Voice::Tests, &[RESULT], false), Counts::new(12, 1, 1));
        assert_eq!(
            tally(Voice::Program, &["3 passed, 0 failed, 0 skipped"], false),
            Counts::new(3, 1, 0)
        );
    }

    #[test]
    fn other_lines_are_no_counts() {
        for line in [
            "12 passed",
            "x passed, 0 failed, 0 skipped",
            "1 passed, 0 failed, 0 skipped, 3 more",
        ] {
            assert_eq!(program_counts(line), None, "{line}");
        }
        assert_eq!(libtest_counts("test result: strange"), None);
    }
}
