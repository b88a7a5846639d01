//! Rust source as the checks see it: code apart from comments and strings, tests apart from product.

mod mask;
mod regions;

use std::path::Path;

pub(crate) use mask::mask;
use regions::TestRegions;

/// A tracked text file. For Rust the derived views are made once, when it is read.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Path from the repository's root, with `/`.
    pub(crate) path: String,
    /// The file as it stands.
    pub(crate) text: String,
    /// The text with the inside of comments and strings blanked; the lines stay where they are.
    code: String,
    /// For each line, whether it belongs to a test.
    in_test: Vec<bool>,
    /// Modules that this file declares for tests only.
    test_modules: Vec<String>,
}

/// One line, seen three ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// As it stands.
    pub(crate) text: &'a str,
    /// Without comments and strings (for a file that is not Rust: as it stands).
    pub(crate) code: &'a str,
    /// Whether it belongs to a test.
    pub(crate) in_test: bool,
}

impl TextFile {
    /// Reads `text` as the file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = has_extension(path, "rs");
        let code = if rust { mask(text) } else { text.to_owned() };
        let regions = if rust {
            TestRegions::find(&code)
        } else {
            TestRegions::default()
        };
        let whole_file_is_test = is_test_path(path);
        let lines_count = text.lines().count();
        let in_test = (1..=lines_count)
            .map(|n| whole_file_is_test || regions.contains(n))
            .collect();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            in_test,
            test_modules: regions.modules,
        }
    }

    /// Whether it is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether its name ends in one of these extensions.
    pub(crate) fn has_extension(&self, wanted: &[&str]) -> bool {
        wanted
            .iter()
            .any(|extension| has_extension(&self.path, extension))
    }

    /// The crate it belongs to: the directory below `crates/`.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Every line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text
            .lines()
            .zip(self.code.lines())
            .zip(&self.in_test)
            .enumerate()
            .map(|(index, ((text, code), &in_test))| Line {
                number: index + 1,
                text,
                code,
                in_test,
            })
    }

    /// The lines that are no part of a test.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().filter(|line| !line.in_test)
    }

    /// Where the modules lie that this file declares for tests only, without extension.
    pub(crate) fn test_module_stems(&self) -> Vec<String> {
        let Some((directory, file)) = self.path.rsplit_once('/') else {
            return Vec::new();
        };
        let base = match file {
            "lib.rs" | "main.rs" => directory.to_owned(),
            other => format!("{directory}/{}", other.trim_end_matches(".rs")),
        };
        self.test_modules
            .iter()
            .map(|module| format!("{base}/{module}"))
            .collect()
    }

    /// Marks every line as belonging to a test.
    pub(crate) fn mark_as_test(&mut self) {
        self.in_test.fill(true);
    }
}

/// Whether `text` holds `word` with no letter, digit or underscore on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    after_word(text, word).next().is_some()
}

/// What follows each whole `word` in `text`.
pub(crate) fn after_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let whole = !before.ends_with(is_word_char) && !after.starts_with(is_word_char);
        whole.then_some(after)
    })
}

/// Whether a character can stand inside an identifier.
pub(crate) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == wanted)
}

/// Integration tests, benches and fuzz targets are tests as a whole.
fn is_test_path(path: &str) -> bool {
    let mut components = path.split('/');
    let first = components.clone().next();
    first == Some("fuzz")
        || components.any(|part| part == "tests" || part == "benches" || part == "tests.rs")
}

#[cfg(test)]
mod tests;
