//! Which part of a long output a person must see: progress while it runs, the failures after it.

/// Lines of a failed step that are shown; all of it stands in its log file.
const FAILURE_LINES_MAX: usize = 200;

/// Progress, verdicts and complaints; the chatter goes to the log only.
pub(super) fn is_progress(line: &str) -> bool {
    const BEGINNINGS: &[&str] = &["SKIP ", "test result: ", "error", "warning", "Diff in"];
    let failed_test = line.starts_with("test ") && line.ends_with("FAILED");
    failed_test
        || BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
        || line.trim_start().starts_with("Running ")
}

/// What libtest says about tests that failed; without any, the end of the output.
pub(super) fn of_failure(text: &str) -> Vec<&str> {
    let mut about_failures = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = (inside || line == "failures:") && !line.starts_with("test result: ");
        if inside {
            about_failures.push(line);
        }
    }
    if about_failures.is_empty() {
        let lines: Vec<_> = text.lines().collect();
        return lines[lines.len().saturating_sub(FAILURE_LINES_MAX)..].to_vec();
    }
    about_failures.truncate(FAILURE_LINES_MAX);
    about_failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_shown_wherever_they_stand() {
        let text = "successes:\nchatter\nfailures:\n---- a stdout ----\npanicked\n\ntest result: FAILED.\nchatter";
        assert_eq!(
            of_failure(text),
            ["failures:", "---- a stdout ----", "panicked", ""]
        );
    }

    #[test]
    fn without_failed_tests_the_end_is_shown() {
        let text = "line\n".repeat(FAILURE_LINES_MAX) + "error: last";
        let shown = of_failure(&text);
        assert_eq!(
            (shown.len(), shown.last()),
            (FAILURE_LINES_MAX, Some(&"error: last"))
        );
        assert_eq!(of_failure(""), [""; 0]);
    }

    #[test]
    fn verdicts_are_progress_and_chatter_is_not() {
        for line in [
            "SKIP a: b",
            "test a ... FAILED",
            "     Running unittests",
            "error[E1]: x",
        ] {
            assert!(is_progress(line), "{line}");
        }
        for line in ["test a ... ok", "   Compiling a", ""] {
            assert!(!is_progress(line), "{line}");
        }
    }
}
