//! Tests of the runner: what it counts, and that a failure cannot pass for a success.

use super::*;

fn tally(lines: &[&str], ok: bool) -> Counts {
    let mut tally = Tally::default();
    lines.iter().for_each(|line| tally.take(line));
    tally.counts(ok)
}

const RESULT: &str =
    "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";

#[test]
fn tests_are_counted_over_all_binaries() {
    assert_eq!(
        tally(&[RESULT, "chatter", RESULT], true),
        Counts {
            passed: 24,
            failed: 0,
            skipped: 2
        }
    );
}

#[test]
fn a_test_that_says_skip_did_not_pass() {
    let counts = tally(&["SKIP power cut: needs root", RESULT], true);
    assert_eq!(
        counts,
        Counts {
            passed: 11,
            failed: 0,
            skipped: 2
        }
    );
}

#[test]
fn a_program_of_ours_counts_for_itself() {
    let counts = tally(&["SKIP loop: none", "7 passed, 0 failed, 1 skipped"], true);
    assert_eq!(
        counts,
        Counts {
            passed: 7,
            failed: 0,
            skipped: 1
        }
    );
}

#[test]
fn a_step_without_tests_counts_as_one() {
    assert_eq!(
        tally(&["all formatted"], true),
        Counts {
            passed: 1,
            failed: 0,
            skipped: 0
        }
    );
    assert_eq!(
        tally(&["error: no"], false),
        Counts {
            passed: 0,
            failed: 1,
            skipped: 0
        }
    );
}

#[test]
fn a_failed_step_fails_even_when_its_tests_passed() {
    assert_eq!(
        tally(&[RESULT], false),
        Counts {
            passed: 12,
            failed: 1,
            skipped: 1
        }
    );
}

#[test]
fn other_lines_are_no_counts() {
    for line in [
        "12 passed",
        "x passed, 0 failed, 0 skipped",
        "1 passed, 0 failed, 0 skipped, 3 more",
    ] {
        assert_eq!(own_counts(line), None, "{line}");
    }
    assert_eq!(libtest_counts("test result: strange"), None);
}

fn step(name: &'static str, command: &'static str, needs: &'static [&'static str]) -> Step {
    Step {
        name,
        command,
        env: &[],
        needs,
    }
}

#[test]
fn a_failing_command_fails_the_run_and_a_good_one_does_not() {
    let good = step("control-good", "cargo --version", &[]);
    let bad = step("control-bad", "cargo no-such-command", &[]);
    assert!(run(&[good], Skips::Counted).unwrap());
    assert!(!run(&[good, bad], Skips::Counted).unwrap());
}

#[test]
fn a_missing_need_skips_and_the_gate_refuses_skips() {
    let skipped = step(
        "control-skip",
        "cargo no-such-command",
        &["tool:no-such-tool"],
    );
    assert!(run(&[skipped], Skips::Counted).unwrap());
    assert!(!run(&[skipped], Skips::Failures).unwrap());
}

#[test]
fn steps_are_chosen_by_name_and_an_unknown_name_is_an_error() {
    let steps = [step("a", "cargo", &[]), step("b", "cargo", &[])];
    let chosen = select(&steps, &["b".to_owned()]).unwrap();
    assert_eq!(chosen.iter().map(|s| s.name).collect::<Vec<_>>(), ["b"]);
    assert_eq!(select(&steps, &[]).unwrap().len(), 2);
    assert!(
        select(&steps, &["c".to_owned()])
            .unwrap_err()
            .to_string()
            .contains("a, b")
    );
}
