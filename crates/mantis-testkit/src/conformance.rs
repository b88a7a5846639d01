//! The conformance suite of engines: the same behaviour, whatever stores the bytes.
//!
//! A crate with an engine gives a [`Factory`] and calls `engine_conformance!`, which makes a test
//! of each case. The oracle is a map of versions; the suite knows the public surface only.

mod bounds;
mod concurrent;
mod driver;
mod oracle;
mod reads;
mod recovery;
mod scans;

use std::path::Path;
use std::sync::Arc;

use mantis_engine::Engine;

pub use driver::{Driver, key, record, text_of};

/// How the suite gets an engine.
#[derive(Clone, Copy)]
pub struct Factory {
    /// Opens the engine in the directory, which may hold what an earlier one left.
    pub open: fn(&Path) -> Arc<dyn Engine>,
    /// Whether what was flushed is there again after reopening.
    pub durable: bool,
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factory")
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// A case of the suite.
pub type Case = fn(&Factory);

/// Every case with its name, for those who want to list them.
pub const CASES: &[(&str, Case)] = &[
    (
        "only_published_commits_are_seen",
        reads::only_published_commits_are_seen,
    ),
    ("a_snapshot_never_changes", reads::a_snapshot_never_changes),
    (
        "deletes_hide_older_versions",
        reads::deletes_hide_older_versions,
    ),
    ("records_carry_their_seq", reads::records_carry_their_seq),
    (
        "applies_may_come_out_of_order",
        reads::applies_may_come_out_of_order,
    ),
    (
        "ready_reads_agree_with_blocking_ones",
        reads::ready_reads_agree_with_blocking_ones,
    ),
    (
        "several_keys_are_read_in_their_order",
        reads::several_keys_are_read_in_their_order,
    ),
    (
        "keys_with_common_beginnings_differ",
        reads::keys_with_common_beginnings_differ,
    ),
    ("large_records_come_back", reads::large_records_come_back),
    (
        "repeated_reads_follow_overwrites",
        reads::repeated_reads_follow_overwrites,
    ),
    ("ranges_agree_with_a_map", scans::ranges_agree_with_a_map),
    (
        "scans_pass_over_many_versions",
        scans::scans_pass_over_many_versions,
    ),
    (
        "a_scan_keeps_its_snapshot",
        scans::a_scan_keeps_its_snapshot,
    ),
    (
        "the_engines_own_keys_are_hidden",
        bounds::the_engines_own_keys_are_hidden,
    ),
    ("wrong_keys_are_refused", bounds::wrong_keys_are_refused),
    (
        "bulk_load_is_whole_or_refused",
        bounds::bulk_load_is_whole_or_refused,
    ),
    (
        "memory_follows_the_live_data",
        bounds::memory_follows_the_live_data,
    ),
    (
        "a_closed_engine_reads_and_refuses_writes",
        bounds::a_closed_engine_reads_and_refuses_writes,
    ),
    (
        "reopening_and_replay_lose_nothing",
        recovery::reopening_and_replay_lose_nothing,
    ),
    (
        "replaying_twice_changes_nothing",
        recovery::replaying_twice_changes_nothing,
    ),
    (
        "random_histories_agree_with_the_oracle",
        oracle::random_histories_agree_with_the_oracle,
    ),
    (
        "concurrent_commits_keep_their_invariant",
        concurrent::commits_keep_their_invariant,
    ),
    (
        "readers_never_see_half_a_batch",
        concurrent::readers_never_see_half_a_batch,
    ),
    (
        "all_reads_agree_while_versions_are_dropped",
        concurrent::all_reads_agree_while_versions_are_dropped,
    ),
];

/// Runs one case by its name.
///
/// # Panics
/// When the engine does not behave, or there is no such case.
pub fn run(name: &str, factory: &Factory) {
    let case = CASES.iter().find(|(known, _)| *known == name);
    let (_, case) = case.unwrap_or_else(|| panic!("no case is called {name}"));
    case(factory);
}

/// Makes a test of every case of the suite, in a module of the given name.
#[macro_export]
macro_rules! engine_conformance {
    ($module:ident, $factory:expr) => {
        mod $module {
            $crate::engine_conformance! { @tests $factory;
                only_published_commits_are_seen
                a_snapshot_never_changes
                deletes_hide_older_versions
                records_carry_their_seq
                applies_may_come_out_of_order
                ready_reads_agree_with_blocking_ones
                several_keys_are_read_in_their_order
                keys_with_common_beginnings_differ
                large_records_come_back
                repeated_reads_follow_overwrites
                ranges_agree_with_a_map
                scans_pass_over_many_versions
                a_scan_keeps_its_snapshot
                the_engines_own_keys_are_hidden
                wrong_keys_are_refused
                bulk_load_is_whole_or_refused
                memory_follows_the_live_data
                a_closed_engine_reads_and_refuses_writes
                reopening_and_replay_lose_nothing
                replaying_twice_changes_nothing
                random_histories_agree_with_the_oracle
                concurrent_commits_keep_their_invariant
                readers_never_see_half_a_batch
                all_reads_agree_while_versions_are_dropped
            }

            #[test]
            fn every_case_of_the_suite_is_a_test() {
                assert_eq!($crate::conformance::CASES.len(), 24);
            }
        }
    };
    (@tests $factory:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::run(stringify!($name), &$factory);
            }
        )*
    };
}
