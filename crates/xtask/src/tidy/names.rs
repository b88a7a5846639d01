//! Names that say nothing, and Markdown that does not belong at the root.

use super::Fault;
use crate::source::{Line, is_word_char};
use crate::tree::Tree;

/// A name must say what the thing is; these say that nobody knew.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers",
];

/// Endings of types that own nothing in particular.
const EMPTY_TYPE_ENDINGS: &[&str] = &["Manager", "Helper", "Util", "Utils", "Misc"];

const CODE_EXTENSIONS: &[&str] = &["rs", "go", "ts", "tsx", "js", "py", "sh", "c", "h"];

const ROOT_MARKDOWN: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE.md",
];

/// No source file, directory or module has an empty name, and no file is called mod.rs.
pub(super) fn files_and_modules(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.has_extension(CODE_EXTENSIONS))
    {
        let stems = file
            .path
            .split('/')
            .map(|part| part.split('.').next().unwrap_or_default());
        for stem in stems.filter(|stem| is_empty_name(stem)) {
            faults.push(Fault::new(
                &file.path,
                1,
                format!("`{stem}` says nothing: name the thing it is"),
            ));
        }
        if file.path.ends_with("/mod.rs") {
            faults.push(Fault::new(
                &file.path,
                1,
                "use foo.rs with a folder foo/, not foo/mod.rs",
            ));
        }
    }
    for file in tree.rust_files() {
        for line in file.lines() {
            if let Some(name) = declared(line, &["mod"]).filter(|name| is_empty_name(name)) {
                let message = format!("module `{name}` says nothing: name the thing it is");
                faults.push(Fault::new(&file.path, line.number, message));
            }
        }
    }
    faults
}

/// No type is called XxxManager or the like.
pub(super) fn types(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust_files() {
        for line in file.product_lines() {
            let name = declared(line, &["struct", "enum", "trait", "type"]);
            let empty = |name: &&str| {
                EMPTY_TYPE_ENDINGS
                    .iter()
                    .any(|ending| name.ends_with(ending))
            };
            if let Some(name) = name.filter(empty) {
                let message = format!("type `{name}` says nothing: name the thing it is");
                faults.push(Fault::new(&file.path, line.number, message));
            }
        }
    }
    faults
}

/// The root holds the pages that everybody expects there, and no others.
pub(super) fn root_markdown(tree: &Tree) -> Vec<Fault> {
    let stray = tree.files.iter().filter(|file| {
        let at_root = !file.path.contains('/') && file.path.to_lowercase().ends_with(".md");
        at_root && !ROOT_MARKDOWN.contains(&file.path.as_str())
    });
    stray
        .map(|file| {
            Fault::new(
                &file.path,
                1,
                "does not belong at the root: put it below docs/",
            )
        })
        .collect()
}

/// The name that this line declares with one of the keywords.
fn declared<'a>(line: Line<'a>, keywords: &[&str]) -> Option<&'a str> {
    let mut words = line.code.split_whitespace();
    words.by_ref().find(|word| keywords.contains(word))?;
    let name = words.next()?;
    let end = name.find(|c| !is_word_char(c)).unwrap_or(name.len());
    Some(&name[..end])
}

fn is_empty_name(name: &str) -> bool {
    name.split(['_', '-'])
        .any(|word| EMPTY_NAMES.contains(&word.to_lowercase().as_str()))
}
