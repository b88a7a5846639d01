//! Things that only one crate may say, and things that nobody may.

use super::Fault;
use crate::source::{Line, TextFile, has_word};
use crate::tree::Tree;

const UNSAFE_CRATE: &str = "mantis-ffi";
const ACCESS_CRATE: &str = "mantis-session";

/// Dev crates whose programs call the models without a session.
const ACCESS_DEV_CRATES: &[&str] = &["mantis-testkit", "mantis-bench"];

/// `unsafe` stands in one crate only, and so does leave to use it.
pub(super) fn unsafe_blocks(tree: &Tree) -> Vec<Fault> {
    let outside = |file: &TextFile| file.crate_name() != Some(UNSAFE_CRATE);
    let named =
        |line: Line<'_>| has_word(line.code, "unsafe") || has_word(line.code, "unsafe_code");
    find(tree, outside, named, "unsafe belongs in mantis-ffi only")
}

/// Only the session decides that a call is allowed. Tests may grant themselves what they need.
pub(super) fn access_grants(tree: &Tree) -> Vec<Fault> {
    let outside = |file: &TextFile| {
        let name = file.crate_name().unwrap_or_default();
        name != ACCESS_CRATE && !ACCESS_DEV_CRATES.contains(&name)
    };
    let named =
        |line: Line<'_>| !line.in_test && without_blanks(line.code).contains("Access::grant");
    find(tree, outside, named, "only mantis-session may grant access")
}

/// A test runs, or says SKIP and why.
pub(super) fn ignored_tests(tree: &Tree) -> Vec<Fault> {
    let ignored = |line: Line<'_>| {
        let code = without_blanks(line.code);
        code.contains("#[ignore") || (code.contains("cfg_attr(") && has_word(line.code, "ignore"))
    };
    find(
        tree,
        |_| true,
        ignored,
        "a test that cannot run prints `SKIP name: reason`, it is not ignored",
    )
}

/// A lint is silenced by `expect` with a reason, which complains when it is no longer needed.
pub(super) fn allowed_lints(tree: &Tree) -> Vec<Fault> {
    let allowed = |line: Line<'_>| {
        let code = without_blanks(line.code);
        let attribute = code.contains("#[allow(") || code.contains("#![allow(");
        attribute || (code.contains("cfg_attr(") && code.contains(",allow("))
    };
    find(
        tree,
        |_| true,
        allowed,
        "use #[expect(lint, reason = \"...\")]",
    )
}

fn find(
    tree: &Tree,
    in_file: impl Fn(&TextFile) -> bool,
    in_line: impl Fn(Line<'_>) -> bool,
    message: &str,
) -> Vec<Fault> {
    let files = tree.rust_files().filter(|file| in_file(file));
    let found = files.flat_map(|file| {
        file.lines()
            .filter(|line| in_line(*line))
            .map(|line| Fault::new(&file.path, line.number, message))
    });
    found.collect()
}

fn without_blanks(code: &str) -> String {
    code.split_whitespace().collect()
}
