//! Files say what they own, links lead somewhere, and every page can be found.

use std::collections::BTreeSet;

use super::Fault;
use crate::source::TextFile;
use crate::tree::Tree;

/// The shortest sentence that says something.
const SENTENCE_LEN_MIN: usize = 12;

/// A Rust file begins with one sentence in `//!` about what it owns.
pub(super) fn files_say_what_they_own(tree: &Tree) -> Vec<Fault> {
    let silent = tree.rust_files().filter(|file| {
        let sentence = file
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "));
        sentence.is_none_or(|sentence| sentence.trim().len() < SENTENCE_LEN_MIN)
    });
    silent
        .map(|file| Fault::new(&file.path, 1, "must begin with `//! ` and what it owns"))
        .collect()
}

/// A relative link in Markdown names a file or directory of the repository.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Fault> {
    let known = known_paths(tree);
    let mut faults = Vec::new();
    for file in markdown(tree) {
        for (line, target) in links(file) {
            let leads = resolve(&file.path, &target).is_some_and(|path| known.contains(&path));
            if !leads {
                faults.push(Fault::new(
                    &file.path,
                    line,
                    format!("the link to {target} leads nowhere"),
                ));
            }
        }
    }
    faults
}

/// A page below docs/ is linked from the README.md of its directory, and each directory of
/// pages has one.
pub(super) fn pages_are_indexed(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in markdown(tree).filter(|file| file.path.starts_with("docs/")) {
        let Some((directory, name)) = file.path.rsplit_once('/') else {
            continue;
        };
        if name == "README.md" {
            continue;
        }
        let index = tree
            .files
            .iter()
            .find(|other| other.path == format!("{directory}/README.md"));
        let listed = index.is_some_and(|index| links(index).any(|(_, target)| target == name));
        if !listed {
            let message = format!("is not linked from {directory}/README.md");
            faults.push(Fault::new(&file.path, 1, message));
        }
    }
    faults
}

fn markdown(tree: &Tree) -> impl Iterator<Item = &TextFile> {
    tree.files.iter().filter(|file| file.has_extension(&["md"]))
}

/// Files and all directories above them. The root is the empty path.
fn known_paths(tree: &Tree) -> BTreeSet<String> {
    let mut known = BTreeSet::from([String::new()]);
    for file in &tree.files {
        let mut path = file.path.as_str();
        known.insert(path.to_owned());
        while let Some((directory, _)) = path.rsplit_once('/') {
            known.insert(directory.to_owned());
            path = directory;
        }
    }
    known
}

/// The relative links of a page, without fragments, and the line of each. Code is passed over.
fn links(file: &TextFile) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    let prose = file.lines().filter(move |line| {
        let fence = line.text.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    prose.flat_map(|line| {
        let targets = line
            .text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        let targets: Vec<_> = targets
            .map(|(target, _)| target.split('#').next().unwrap_or_default())
            .filter(|target| !target.is_empty() && !target.contains(':'))
            .map(|target| (line.number, target.to_owned()))
            .collect();
        targets
    })
}

/// The path from the root that a link on this page means; `None` when it leaves the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}
