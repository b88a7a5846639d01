//! Older ways to say things: long names with one dash, and the program's older names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::exit::Failure;

/// Names under which the program may be called, and what that means.
const NAMES: &[(&str, Meaning)] = &[
    ("mantisdb-rust", Meaning::Plain),
    ("admin-server", Meaning::Verb("serve")),
    ("mantisdb-cli", Meaning::Client),
    ("mantisdb-repl", Meaning::Verb("repl")),
    ("mantisdb-migrate", Meaning::Verb("migrate")),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// As `mantisdb`.
    Plain,
    /// As `mantisdb VERB`.
    Verb(&'static str),
    /// As `mantisdb`, but a verb must be said: nobody starts a server by forgetting one.
    Client,
}

/// The command line in today's spelling.
///
/// # Errors
/// When the name asks for a verb and there is none.
pub(crate) fn normalise(
    arguments: impl IntoIterator<Item = OsString>,
    command: &clap::Command,
) -> Result<Vec<OsString>, Failure> {
    let mut arguments = arguments.into_iter();
    let called = arguments
        .next()
        .unwrap_or_else(|| OsString::from("mantisdb"));
    let name = Path::new(&called)
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    let meaning = NAMES.iter().find(|(known, _)| *known == name);
    let meaning = meaning.map_or(Meaning::Plain, |(_, meaning)| *meaning);
    let rest: Vec<OsString> = arguments.collect();
    let mut all = vec![OsString::from("mantisdb")];
    match meaning {
        Meaning::Plain => {}
        Meaning::Verb(verb) => {
            if rest.first().is_none_or(|first| first != verb) {
                all.push(verb.into());
            }
        }
        Meaning::Client if rest.is_empty() => {
            let text = "say what to do, for example `mantisdb-cli stats`; --help lists it all";
            return Err(Failure::usage(text));
        }
        Meaning::Client => {}
    }
    let names = Names::of(command);
    let mut literal = false;
    for argument in rest {
        literal |= argument == "--";
        all.push(if literal {
            argument
        } else {
            names.with_two_dashes(argument)
        });
    }
    Ok(all)
}

/// The long names and short letters of all subcommands.
struct Names {
    long: Vec<String>,
    short: Vec<char>,
}

impl Names {
    fn of(command: &clap::Command) -> Self {
        let mut names = Self {
            long: vec!["help".into(), "version".into()],
            short: vec!['h', 'V'],
        };
        names.collect(command);
        names
    }

    fn collect(&mut self, command: &clap::Command) {
        for argument in command.get_arguments() {
            self.long.extend(argument.get_long().map(str::to_owned));
            self.short.extend(argument.get_short());
        }
        command
            .get_subcommands()
            .for_each(|below| self.collect(below));
    }

    /// `-port` as `--port`. A word after one dash that begins with no short letter gets a second
    /// dash too, so that the answer can name the nearest long one.
    fn with_two_dashes(&self, argument: OsString) -> OsString {
        let bytes = argument.as_bytes();
        let Some(word) = bytes.strip_prefix(b"-").filter(|word| word.len() > 1) else {
            return argument;
        };
        let name = word.split(|&b| b == b'=').next().unwrap_or(word);
        let first = char::from(word[0]);
        let known = self.long.iter().any(|long| long.as_bytes() == name);
        let stranger = first.is_ascii_alphabetic() && !self.short.contains(&first);
        if known || stranger {
            return OsString::from_vec([b"-", bytes].concat());
        }
        argument
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[track_caller]
    fn check(given: &[&str], expected: &[&str]) {
        let given = given.iter().map(OsString::from);
        let got = normalise(given, &Cli::command()).unwrap();
        assert_eq!(got, expected.iter().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn long_names_may_have_one_dash() {
        check(
            &["mantisdb", "-port", "8080"],
            &["mantisdb", "--port", "8080"],
        );
        check(
            &["x/mantisdb", "-data-dir=/a"],
            &["mantisdb", "--data-dir=/a"],
        );
        check(&["mantisdb", "--port=1"], &["mantisdb", "--port=1"]);
        check(&["mantisdb", "-prot", "1"], &["mantisdb", "--prot", "1"]);
        check(
            &["mantisdb", "list", "kv", "-ojson"],
            &["mantisdb", "list", "kv", "-ojson"],
        );
        check(&["mantisdb", "import", "-"], &["mantisdb", "import", "-"]);
        check(
            &["mantisdb", "put", "kv", "--", "-port", "-"],
            &["mantisdb", "put", "kv", "--", "-port", "-"],
        );
    }

    #[test]
    fn older_names_mean_their_subcommand() {
        check(&["/usr/bin/mantisdb-rust"], &["mantisdb"]);
        check(
            &["admin-server", "-port=1"],
            &["mantisdb", "serve", "--port=1"],
        );
        check(&["mantisdb-cli", "stats"], &["mantisdb", "stats"]);
        check(&["mantisdb-repl"], &["mantisdb", "repl"]);
        let bare = [OsString::from("mantisdb-cli")];
        assert!(normalise(bare, &Cli::command()).is_err());
    }
}
