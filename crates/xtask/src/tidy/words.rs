//! Words that betray pretended behaviour, promises in place of work, and paths of one machine.

use super::Fault;
use crate::source::{TextFile, after_word, is_word_char};
use crate::tree::Tree;

/// Beginnings of words that product code has no use for: what it does is real.
const PRETENCE: &[&str] = &["mock", "placeholder", "simulat"];

/// These own the simulated surroundings and the faulty ones.
const PRETENCE_CRATES: &[&str] = &["mantis-env", "mantis-testkit"];

/// Marks of work left over. Followed by an issue number in brackets they may stand.
const LEFTOVERS: &[&str] = &["TODO", "FIXME"];

/// Announcements. A text says what there is.
const ANNOUNCEMENTS: &[&str] = &["coming soon", "not implemented yet"];

const ANNOUNCEMENT_EXTENSIONS: &[&str] =
    &["rs", "md", "go", "ts", "tsx", "html", "sh", "yml", "yaml"];

/// Where the words themselves are listed.
const THIS_FILE: &str = "crates/xtask/src/tidy/words.rs";

/// Directories at the top of build machines. A path into them works for one person only.
const MACHINE_ROOTS: &[&str] = &["/work", "/root"];

/// No pretence and no leftovers in product code, no announcements anywhere outside tests.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let files = tree.files.iter().filter(|file| file.path != THIS_FILE);
    files.flat_map(in_file).collect()
}

fn in_file(file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let exempt = file
        .crate_name()
        .is_some_and(|name| PRETENCE_CRATES.contains(&name));
    for line in file.product_lines() {
        let mut add = |message: String| faults.push(Fault::new(&file.path, line.number, message));
        let lower = line.text.to_lowercase();
        if file.is_rust() && !exempt {
            let found = PRETENCE
                .iter()
                .filter(|word| has_word_beginning(&lower, word));
            found.for_each(|word| add(format!("`{word}` has no place in product code")));
        }
        if file.is_rust() {
            let found = LEFTOVERS.iter().filter(|word| is_leftover(line.text, word));
            found
                .for_each(|word| add(format!("`{word}` without an issue number: say {word}(#12)")));
        }
        if file.has_extension(ANNOUNCEMENT_EXTENSIONS) {
            let found = ANNOUNCEMENTS
                .iter()
                .filter(|phrase| lower.contains(**phrase));
            found.for_each(|phrase| {
                add(format!(
                    "`{phrase}`: say what there is, not what there will be"
                ))
            });
        }
    }
    faults
}

/// No tracked file names a directory of the machine it was written on.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != THIS_FILE) {
        for line in file.lines() {
            let found = MACHINE_ROOTS
                .iter()
                .filter(|root| names_root(line.text, root));
            faults.extend(found.map(|root| {
                Fault::new(
                    &file.path,
                    line.number,
                    format!("a path below {root} exists on one machine only"),
                )
            }));
        }
    }
    faults
}

fn has_word_beginning(text: &str, beginning: &str) -> bool {
    text.match_indices(beginning).any(|(at, _)| {
        !text[..at]
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric)
    })
}

fn is_leftover(text: &str, word: &str) -> bool {
    let numbered = |rest: &str| {
        let digits = rest
            .strip_prefix("(#")
            .and_then(|rest| rest.split_once(')'));
        digits.is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    after_word(text, word).any(|rest| !numbered(rest))
}

/// Whether `root` stands here as the first component of an absolute path.
fn names_root(text: &str, root: &str) -> bool {
    text.match_indices(root).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + root.len()..].chars().next();
        let continues = |c: char| is_word_char(c) || matches!(c, '.' | '-' | '/' | '}' | ')' | '*');
        let ends = |c: char| !is_word_char(c) && c != '-';
        !before.is_some_and(continues) && after.is_none_or(ends)
    })
}
