//! `cargo xtask tidy`: the rules of this house that neither rustfmt nor clippy can check.
//!
//! Every check is a row of [`CHECKS`], and every row has its control in `tidy/tests.rs`: a planted
//! fault that it must find and a clean twin that it must pass.

mod borders;
mod docs;
mod layers;
mod manifests;
mod names;
mod sizes;
mod words;

use std::fmt;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::tree::{Tree, root};

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    path: String,
    line: usize,
    message: String,
}

impl Fault {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// One rule: its name, and what looks for breaches of it.
struct Check {
    name: &'static str,
    run: fn(&Tree) -> Vec<Fault>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "layers",
        run: layers::edges_go_down,
    },
    Check {
        name: "owned dependencies",
        run: layers::restricted_dependencies,
    },
    Check {
        name: "features",
        run: layers::features_are_few,
    },
    Check {
        name: "file sizes",
        run: sizes::check,
    },
    Check {
        name: "module docs",
        run: docs::files_say_what_they_own,
    },
    Check {
        name: "links",
        run: docs::links_lead_somewhere,
    },
    Check {
        name: "indexes",
        run: docs::pages_are_indexed,
    },
    Check {
        name: "file names",
        run: names::files_and_modules,
    },
    Check {
        name: "type names",
        run: names::types,
    },
    Check {
        name: "root Markdown",
        run: names::root_markdown,
    },
    Check {
        name: "words",
        run: words::check,
    },
    Check {
        name: "machine paths",
        run: words::machine_paths,
    },
    Check {
        name: "unsafe",
        run: borders::unsafe_blocks,
    },
    Check {
        name: "access",
        run: borders::access_grants,
    },
    Check {
        name: "ignored tests",
        run: borders::ignored_tests,
    },
    Check {
        name: "allowed lints",
        run: borders::allowed_lints,
    },
    Check {
        name: "dependency reasons",
        run: manifests::reasons,
    },
    Check {
        name: "crate manifests",
        run: manifests::inheritance,
    },
    Check {
        name: "unused dependencies",
        run: manifests::unused,
    },
];

/// Runs every check over the repository.
///
/// # Errors
/// When the repository cannot be read. A broken rule is an exit code.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        bail!("tidy takes no arguments, not {argument:?}");
    }
    let tree = Tree::load(&root()?)?;
    let mut faults_count = 0;
    for check in CHECKS {
        let mut faults = (check.run)(&tree);
        faults.sort();
        faults_count += faults.len();
        for fault in faults {
            println!("{fault} [{}]", check.name);
        }
    }
    if faults_count > 0 {
        println!("tidy: {faults_count} faults");
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "tidy: {} checks over {} files, no fault",
        CHECKS.len(),
        tree.files.len()
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
