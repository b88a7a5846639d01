//! Dependencies stand once, with a reason, and are used.

use super::Fault;
use crate::source::{TextFile, has_word};
use crate::tree::Tree;

/// One line of a dependency table.
struct Entry<'a> {
    line: usize,
    name: &'a str,
    /// What follows the name, without the comment.
    value: &'a str,
    comment: &'a str,
}

/// Every outside dependency of the workspace has a comment that says what for, on its own line,
/// in alphabetical order.
pub(super) fn reasons(tree: &Tree) -> Vec<Fault> {
    let Some(manifest) = tree.files.iter().find(|file| file.path == "Cargo.toml") else {
        return vec![Fault::new("Cargo.toml", 1, "the workspace has no manifest")];
    };
    let mut faults = Vec::new();
    let mut last = "";
    let entries = entries(manifest, |section| section == "workspace.dependencies");
    for entry in entries
        .iter()
        .filter(|entry| !entry.value.contains("path ="))
    {
        let mut add =
            |message: String| faults.push(Fault::new(&manifest.path, entry.line, message));
        if entry.comment.split_whitespace().count() < 1 {
            add(format!(
                "{} needs a comment that says what it is for",
                entry.name
            ));
        }
        if entry.name < last {
            add(format!("{} stands out of order", entry.name));
        }
        last = entry.name;
    }
    faults
}

/// A crate takes versions and lints from the workspace.
pub(super) fn inheritance(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for manifest in crate_manifests(tree) {
        for entry in entries(manifest, is_dependency_table) {
            let squeezed: String = entry.value.split_whitespace().collect();
            if !squeezed.contains("workspace=true") {
                let message = format!("say `{}.workspace = true`", entry.name);
                faults.push(Fault::new(&manifest.path, entry.line, message));
            }
        }
        let lints = entries(manifest, |section| section == "lints");
        if !lints
            .iter()
            .any(|entry| entry.name == "workspace" && entry.value.ends_with("true"))
        {
            faults.push(Fault::new(
                &manifest.path,
                1,
                "say `[lints] workspace = true`",
            ));
        }
    }
    faults
}

/// A crate names what it depends on. An entry that serves without being named says so in a comment.
pub(super) fn unused(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for manifest in crate_manifests(tree) {
        let directory = manifest.path.trim_end_matches("Cargo.toml");
        let sources: Vec<_> = tree
            .rust_files()
            .filter(|file| file.path.starts_with(directory))
            .collect();
        for entry in entries(manifest, is_dependency_table) {
            let ident = entry.name.replace('-', "_");
            let named = sources.iter().any(|file| has_word(&file.text, &ident));
            if !named && entry.comment.is_empty() {
                let message = format!("{} is never named in the crate's source", entry.name);
                faults.push(Fault::new(&manifest.path, entry.line, message));
            }
        }
    }
    faults
}

fn crate_manifests(tree: &Tree) -> impl Iterator<Item = &TextFile> {
    let in_crate = |file: &&TextFile| {
        file.path.strip_prefix("crates/").is_some_and(|rest| {
            rest.split_once('/')
                .is_some_and(|(_, file)| file == "Cargo.toml")
        })
    };
    tree.files.iter().filter(in_crate)
}

/// `[dependencies]`, its dev and build twins, and those of a target. A table for a single
/// dependency (`[dependencies.x]`) counts too, and fails because its lines inherit nothing.
fn is_dependency_table(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or_default();
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let single = kinds
        .iter()
        .any(|kind| section.contains(&format!("{kind}.")));
    kinds.contains(&last) || single
}

fn entries(manifest: &TextFile, wanted: impl Fn(&str) -> bool) -> Vec<Entry<'_>> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        let text = line.text.trim();
        if let Some(header) = text.strip_prefix('[') {
            inside = wanted(header.split(']').next().unwrap_or_default());
        } else if inside && !text.is_empty() && !text.starts_with('#') {
            let name_end = text.find(['.', '=', ' ']).unwrap_or(text.len());
            let (name, rest) = text.split_at(name_end);
            let (value, comment) = rest.split_once('#').unwrap_or((rest, ""));
            found.push(Entry {
                line: line.number,
                name,
                value: value.trim(),
                comment: comment.trim(),
            });
        }
    }
    found
}
