//! Bugs that escaped the tests of their time, and the tests that would catch them now.

/// One bug.
#[derive(Debug)]
pub(super) struct Escaped {
    /// What a user, or the next process, would have seen.
    pub(super) what: &'static str,
    /// How it came to light.
    pub(super) found_by: &'static str,
    /// Tests that fail without the repair, by name.
    pub(super) tests: &'static [&'static str],
}

/// All of them, newest first.
pub(super) const ESCAPED: &[Escaped] = &[Escaped {
    what: "a database that was dropped without a close went on writing in the background",
    found_by: "review",
    tests: &["a_store_that_is_dropped_without_close_leaves_nothing_running"],
}];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sources;

    #[test]
    fn every_bug_names_tests_that_exist() {
        let root = crate::tree::root().unwrap();
        assert!(!ESCAPED.is_empty());
        for Escaped { what, tests, .. } in ESCAPED {
            assert!(!tests.is_empty(), "{what}");
            for test in *tests {
                let found = sources::files_with(&root, &format!("fn {test}")).unwrap();
                let found = found.lines().filter(|path| path.ends_with(".rs")).count();
                assert!(found > 0, "{test} is gone: {what}");
            }
        }
        // The control: a name that nobody has is not found.
        let nobody = format!("fn no_test_is_called_{}", "so");
        assert_eq!(sources::files_with(&root, &nobody).unwrap(), "");
    }
}
