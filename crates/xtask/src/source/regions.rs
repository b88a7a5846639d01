//! Finds the items under `#[cfg(test)]` in masked source.

/// The lines that belong to tests, and the test modules that stand in files of their own.
#[derive(Debug, Default)]
pub(super) struct TestRegions {
    /// First and last line, counted from 1.
    spans: Vec<(usize, usize)>,
    /// Names of modules declared as `#[cfg(test)] mod name;`.
    pub(super) modules: Vec<String>,
}

/// The attributes that put an item under test. `any(test, ...)` does not: it is built otherwise, too.
const MARKS: [&str; 2] = ["#[cfg(test)]", "#[cfg(all(test,"];
const WHOLE_FILE_MARK: &str = "#![cfg(test)]";

impl TestRegions {
    /// Looks through source whose comments and strings are blanked.
    pub(super) fn find(code: &str) -> Self {
        let mut regions = Self::default();
        if code.contains(WHOLE_FILE_MARK) {
            regions.spans.push((1, usize::MAX));
        }
        for mark in MARKS {
            for (at, _) in code.match_indices(mark) {
                regions.add(code, at);
            }
        }
        regions
    }

    /// Whether this line belongs to a test.
    pub(super) fn contains(&self, line: usize) -> bool {
        self.spans
            .iter()
            .any(|&(first, last)| (first..=last).contains(&line))
    }

    fn add(&mut self, code: &str, at: usize) {
        let item = at + attributes_len(&code[at..]);
        let len = item_len(&code[item..]);
        self.spans
            .push((line_of(code, at), line_of(code, item + len)));
        let declared = code[item..item + len].trim().trim_end_matches(';');
        let declares_file = code[..item + len].ends_with(';');
        if declares_file && let Some((_, name)) = declared.rsplit_once("mod ") {
            self.modules.push(name.trim().to_owned());
        }
    }
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at.min(code.len())].matches('\n').count() + 1
}

/// Length of the attributes at the start, with the blanks between and after them.
fn attributes_len(code: &str) -> usize {
    let mut at = 0;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at += 1 + closing(&code[at + 1..], '[', ']');
    }
}

/// Length of an item: to its `;`, or to the end of its block, whichever begins first.
fn item_len(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return at + 1,
            '{' if depth == 0 => return at + closing(&code[at..], '{', '}'),
            _ => {}
        }
    }
    code.len()
}

/// Length up to and with the bracket that closes the first one.
fn closing(code: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    code.len()
}
