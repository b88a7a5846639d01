//! The repository as the checks see it: its text files and its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::source::TextFile;

/// Everything a check may look at. Built from the repository, or by hand in a test.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Text files that git tracks or would track.
    pub(crate) files: Vec<TextFile>,
    /// The workspace's packages.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace, as `cargo metadata` shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
}

/// An edge to another package.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

/// Something that cargo builds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Tree {
    /// Reads the repository.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in tracked_paths(root)? {
            let Ok(bytes) = std::fs::read(root.join(&path)) else {
                continue;
            }; // deleted, or a link to nothing
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(TextFile::new(&path, &text));
            }
        }
        Ok(Self::new(files, packages(root)?))
    }

    /// Puts a tree together and marks the modules that are declared for tests only.
    pub(crate) fn new(mut files: Vec<TextFile>, packages: Vec<Package>) -> Self {
        let stems: Vec<String> = files.iter().flat_map(TextFile::test_module_stems).collect();
        for file in &mut files {
            let below = |stem: &String| {
                file.path
                    .strip_prefix(stem.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if stems.iter().any(below) {
                file.mark_as_test();
            }
        }
        Self { files, packages }
    }

    /// The Rust files.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

/// The repository's root: two levels above this crate.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = here
        .ancestors()
        .nth(2)
        .context("xtask lies at crates/xtask below the root")?;
    Ok(root.to_owned())
}

/// The packages of the workspace, without what they depend on.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--quiet"];
    let text = output_of(Command::new(cargo()).args(arguments).current_dir(root))?;
    let metadata: Metadata =
        serde_json::from_slice(&text).context("cargo metadata prints what it documents")?;
    Ok(metadata.packages)
}

/// The cargo that started us.
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What git tracks, and what it would track after `git add`: a fault shows before the commit.
fn tracked_paths(root: &Path) -> Result<Vec<String>> {
    let arguments = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ];
    let list = output_of(Command::new("git").args(arguments).current_dir(root))?;
    let list = String::from_utf8(list).context("paths are UTF-8")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
