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

/// All of them.
pub(super) const ESCAPED: &[Escaped] = &[
    Escaped {
        what: "a database dropped without a close left its sweep running, which went on writing \
               to a directory whose lock was gone",
        found_by: "reopening in one process",
        tests: &["a_store_that_is_dropped_without_close_leaves_nothing_running"],
    },
    Escaped {
        what: "a dropped database held its directory until its last background step ended, so that \
               opening it again at once was refused",
        found_by: "the fault tests, on a busy machine",
        tests: &["a_dropped_database_can_be_opened_again_at_once"],
    },
    Escaped {
        what: "a flush behind a log that had failed waited half a minute, then answered timeout",
        found_by: "failing syncs at system calls",
        tests: &[
            "after_a_failed_sync_a_flush_answers_at_once_and_reads_go_on",
            "a_failed_sync_of_a_table_loses_nothing",
        ],
    },
    Escaped {
        what: "the same behind a commit that had failed before the flush began: what never becomes \
               visible was waited for",
        found_by: "this gate's `faults`, no space for the log",
        tests: &["after_a_failed_commit_a_flush_answers_at_once_and_reads_go_on"],
    },
    Escaped {
        what: "a write under which the disk filled up after it had begun answered that nothing was \
               written, and was there when space returned",
        found_by: "this gate's `faults`, no space for a new segment",
        tests: &[
            "what_a_full_disk_refuses_never_appears_and_what_it_keeps_queued_is_called_unknown",
        ],
    },
    Escaped {
        what: "a store whose log directory was emptied opened with a new log: what only the log held \
               was gone without a word",
        found_by: "review",
        tests: &["a_store_whose_log_was_emptied_is_refused_and_not_begun_anew"],
    },
    Escaped {
        what: "a value of exactly the limit was refused: its framing had no room in a commit",
        found_by: "tests of the limits",
        tests: &["a_value_of_exactly_the_limit_is_stored_with_the_default_options"],
    },
    Escaped {
        what: "a snapshot of the memory engine that was copied by another thread, and whose original \
               was given back, could be overlooked by the collector, which dropped what it saw",
        found_by: "the model of snapshots",
        tests: &["what_is_entered_beside_stands_in_the_same_part"],
    },
    Escaped {
        what: "an operation of a REST batch with the value null was taken for one without a value",
        found_by: "schemathesis",
        tests: &["null_is_a_value_like_any_other"],
    },
];

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
