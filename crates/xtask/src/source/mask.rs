//! Blanks comments and the inside of strings, so that a check sees code only.

/// `text` with comments and the inside of string and character literals replaced by spaces. Lines
/// stay where they are. Text that is no complete Rust is masked to its end.
pub(crate) fn mask(text: &str) -> String {
    let mut masker = Masker {
        rest: text,
        out: String::with_capacity(text.len()),
        last: ' ',
    };
    while !masker.rest.is_empty() {
        masker.step();
    }
    masker.out
}

struct Masker<'a> {
    rest: &'a str,
    out: String,
    /// The character of code before `rest`.
    last: char,
}

impl Masker<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(end);
        } else if self.rest.starts_with("/*") {
            let end = block_comment_len(self.rest);
            self.blank(end);
        } else if let Some(hashes) = self.raw_string_hashes() {
            self.raw_string(hashes);
        } else if self.rest.starts_with('"') {
            self.quoted('"');
        } else if self.rest.starts_with('\'') && is_char_literal(self.rest) {
            self.quoted('\'');
        } else {
            self.copy();
        }
    }

    fn copy(&mut self) {
        let mut chars = self.rest.chars();
        if let Some(c) = chars.next() {
            self.out.push(c);
            self.last = c;
        }
        self.rest = chars.as_str();
    }

    fn blank(&mut self, len: usize) {
        let (gone, rest) = self.rest.split_at(len);
        self.out
            .extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    /// The number of `#` when a raw string begins here.
    fn raw_string_hashes(&self) -> Option<usize> {
        if super::is_word_char(self.last) && !matches!(self.last, 'b' | 'c') {
            return None;
        }
        let after = self.rest.strip_prefix('r')?;
        let hashes = after.len() - after.trim_start_matches('#').len();
        after[hashes..].starts_with('"').then_some(hashes)
    }

    fn raw_string(&mut self, hashes: usize) {
        for _ in 0..hashes + 2 {
            self.copy();
        }
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = self.rest.find(&closing).unwrap_or(self.rest.len());
        self.blank(end);
        for _ in 0..closing.len() {
            self.copy();
        }
    }

    fn quoted(&mut self, quote: char) {
        self.copy();
        let mut escaped = false;
        let end = self.rest.find(|c: char| {
            let closes = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        self.blank(end.unwrap_or(self.rest.len()));
        self.copy();
    }
}

/// A quote opens a character, unless it is a lifetime or a label.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    let first = chars.next();
    first == Some('\\') || chars.next() == Some('\'')
}

/// Block comments nest.
fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}
