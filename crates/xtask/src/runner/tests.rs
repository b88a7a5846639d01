//! Tests of the runner: a failure cannot pass for a success, nor a skip for a run.

use super::*;

fn step(name: &'static str, command: &'static str, needs: &'static [&'static str]) -> Step {
    Step {
        name,
        command,
        env: &[],
        needs,
    }
}

const GOOD: Step = Step {
    name: "control-good",
    command: "cargo --version",
    env: &[],
    needs: &[],
};

/// Whether all was well, and the last line.
fn run_all(steps: &[Step]) -> (bool, String) {
    let mut out = Vec::new();
    let green = run(steps, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (green, text.lines().last().unwrap().to_owned())
}

#[test]
fn a_good_command_passes() {
    let (green, last) = run_all(&[GOOD]);
    assert_eq!(
        (green, last.as_str()),
        (true, "1 passed, 0 failed, 0 skipped")
    );
}

#[test]
fn a_failing_command_fails_the_run_and_the_next_one_still_runs() {
    let bad = step("control-bad", "cargo no-such-command", &[]);
    let (green, last) = run_all(&[bad, GOOD]);
    assert_eq!(
        (green, last.as_str()),
        (false, "1 passed, 1 failed, 0 skipped")
    );
}

#[test]
fn a_missing_need_skips_and_is_counted() {
    let skipped = step(
        "control-skip",
        "cargo no-such-command",
        &["tool:no-such-tool"],
    );
    let (green, last) = run_all(&[skipped]);
    assert_eq!(
        (green, last.as_str()),
        (true, "0 passed, 0 failed, 1 skipped")
    );
    assert_eq!(count(&[skipped], &[], &mut Vec::new()).unwrap().skipped, 1);
}

#[test]
fn both_outputs_of_a_failed_step_are_shown_and_kept() {
    let bad = step("control-shown", "cargo no-such-command", &[]);
    let mut out = Vec::new();
    run(&[bad], &mut out).unwrap();
    let log =
        std::fs::read_to_string(root().unwrap().join("target/xtask/control-shown.log")).unwrap();
    for text in [String::from_utf8(out).unwrap(), log] {
        assert!(
            text.contains("no such command: `no-such-command`"),
            "{text}"
        );
    }
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

#[test]
fn steps_are_counted_with_the_variables_they_are_given() {
    let env = [("CARGO_TERM_COLOR".to_owned(), "control".to_owned())];
    let mut out = Vec::new();
    let metadata = "cargo metadata --no-deps --format-version 1";
    let metadata = step("control-env", metadata, &[]);
    let refused = count(&[metadata], &env, &mut out).unwrap();
    assert_eq!(
        (refused.passed, refused.failed),
        (0, 1),
        "cargo refuses that colour"
    );
    assert_eq!(refused.notes.len(), 1);
    let good = count(&[metadata, GOOD], &[], &mut out).unwrap();
    assert_eq!((good.passed, good.failed, good.skipped), (2, 0, 0));
}
