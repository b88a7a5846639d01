//! Reads the console examples of a page, and compares what they promise with what was said.

use std::collections::HashMap;

/// Stands for any text within a line; alone on a line, for any lines.
const ANYTHING: char = '…';

/// A number with so many digits was measured on one day.
const MEASURED_DIGITS: usize = 5;

/// In whose terminal an example is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// `console server`: it starts the server.
    Server,
    /// `console`: it talks to it.
    Client,
}

/// One command of a page with the output that the page promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where the command stands.
    pub(crate) line: usize,
    pub(crate) terminal: Terminal,
    pub(crate) command: String,
    pub(crate) promised: Vec<String>,
}

/// All commands of a page's `console` blocks, in order. A command begins behind `$ ` and goes on
/// while a line ends in a backslash or a quote `'` is open; what follows is its output.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block = None;
    let mut open = false;
    for (index, line) in page.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            block = match (block, info) {
                (None, "console") => Some(Terminal::Client),
                (None, "console server") => Some(Terminal::Server),
                _ => None,
            };
            assert!(!open, "line {}: a command does not end", index + 1);
            continue;
        }
        let Some(terminal) = block else { continue };
        if open {
            let step = steps.last_mut().expect("an open command is a step");
            step.command = format!("{}\n{line}", step.command);
            open = goes_on(&step.command);
        } else if let Some(command) = line.strip_prefix("$ ") {
            open = goes_on(command);
            steps.push(Step {
                line: index + 1,
                terminal,
                command: command.to_owned(),
                promised: Vec::new(),
            });
        } else {
            let step = steps.last_mut();
            let step =
                step.unwrap_or_else(|| panic!("line {}: output without a command", index + 1));
            step.promised.push(line.to_owned());
        }
    }
    steps
}

fn goes_on(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}

/// What the measured numbers of a page stand for in this run: the same for the same.
#[derive(Debug, Default)]
pub(crate) struct Measured(HashMap<String, String>);

impl Measured {
    /// Whether the promise was kept.
    pub(crate) fn keeps(&mut self, promised: &[String], said: &[&str]) -> bool {
        let Some((first, rest)) = promised.split_first() else {
            return said.is_empty();
        };
        if first.chars().eq([ANYTHING]) {
            return (0..=said.len()).any(|skipped| self.keeps(rest, &said[skipped..]));
        }
        let Some((line, said)) = said.split_first() else {
            return false;
        };
        let Some(bound) = matches(&parts(first), line) else {
            return false;
        };
        let before = self.0.clone();
        let fits = bound.into_iter().all(|(ours, theirs)| {
            let known = self.0.entry(ours).or_insert_with(|| theirs.clone());
            *known == theirs
        });
        let kept = fits && self.keeps(rest, said);
        if !kept {
            self.0 = before;
        }
        kept
    }
}

/// A piece of a promised line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Anything,
    /// Any number; with digits to remember when it must be the same wherever it stands.
    Number(Option<String>),
}

fn parts(line: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let number = number_at(rest);
        let (part, len) = if next == ANYTHING {
            (Part::Anything, next.len_utf8())
        } else if let Some(number) = number.filter(|number| is_measured(number)) {
            let whole = !number.contains('.');
            (Part::Number(whole.then(|| digits(number))), number.len())
        } else {
            let len = number.map_or_else(|| next.len_utf8(), str::len);
            (Part::Text(rest[..len].to_owned()), len)
        };
        parts.push(part);
        rest = &rest[len..];
    }
    parts
}

/// The number at the beginning: digits, with points and commas between digits.
fn number_at(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while digit(end) || (end > 0 && matches!(bytes.get(end), Some(b'.' | b',')) && digit(end + 1)) {
        end += 1;
    }
    (end > 0).then(|| &text[..end])
}

fn is_measured(number: &str) -> bool {
    number.contains('.') || digits(number).len() >= MEASURED_DIGITS
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// The numbers that were bound on the way, when the line fits.
fn matches(parts: &[Part], said: &str) -> Option<Vec<(String, String)>> {
    let Some((part, rest)) = parts.split_first() else {
        return said.is_empty().then(Vec::new);
    };
    match part {
        Part::Text(text) => matches(rest, said.strip_prefix(text.as_str())?),
        Part::Anything => {
            let ends = said.char_indices().map(|(at, _)| at).chain([said.len()]);
            ends.into_iter().find_map(|at| matches(rest, &said[at..]))
        }
        Part::Number(ours) => {
            let theirs = number_at(said)?;
            let mut bound = matches(rest, &said[theirs.len()..])?;
            bound.extend(ours.clone().map(|ours| (ours, digits(theirs))));
            Some(bound)
        }
    }
}

#[test]
fn commands_and_outputs_are_told_apart() {
    let page = "text\n```console server\n$ serve\n…\n```\n```sh\n$ not this\n```\n```console\n$ a '\nb\n' > c\n$ d \\\n  e\nout\n\n```\n";
    let found: Vec<_> = steps(page)
        .into_iter()
        .map(|step| (step.line, step.terminal, step.command, step.promised))
        .collect();
    let (server, client) = (Terminal::Server, Terminal::Client);
    let out = vec!["out".to_owned(), String::new()];
    assert_eq!(
        found,
        [
            (3, server, "serve".to_owned(), vec!["…".to_owned()]),
            (10, client, "a '\nb\n' > c".to_owned(), vec![]),
            (13, client, "d \\\n  e".to_owned(), out),
        ]
    );
}

#[test]
fn promises_are_kept_or_not() {
    for (promised, said, kept) in [
        ("a", "a", true),
        ("a", "b", false),
        ("", "", true),
        ("a", "a\nb", false),
        ("a\nb", "a", false),
        ("a\n…", "a", true),
        ("…\nz", "x\ny\nz", true),
        ("…\nz", "x\ny", false),
        ("a…z", "abcz", true),
        ("a…z", "abc", false),
        ("version 7", "version 8", false),
        ("version 7", "version 71", false),
        ("62,345 entries", "2,000 entries", true),
        ("62,345 entries", "many entries", false),
        ("62345 = 62,345", "7 = 7", true),
        ("62345 = 62,345", "7 = 8", false),
        ("62345\n62345", "7\n8", false),
        ("in 3.2 s", "in 0.11 s", true),
        ("in 3.2 s", "in s", false),
        ("port 8080", "port 8081", false),
    ] {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let said: Vec<&str> = said.lines().collect();
        let verdict = Measured::default().keeps(&lines(promised), &said);
        assert_eq!(verdict, kept, "{promised:?} {said:?}");
    }
}
