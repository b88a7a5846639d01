//! Which words `cargo xtask` understands.
//!
//! A command of xtask's own is one line of [`COMMANDS`]. Every binary of a crate in
//! [`PROGRAM_CRATES`] is a command as well, without a line: `src/bin/crash.rs` of mantis-testkit
//! is `cargo xtask crash`, and a binary called mantis-bench is `cargo xtask bench`.

use std::path::Path;
use std::process::{Command as Process, ExitCode};

use anyhow::{Context, Result, bail};

use crate::tree::{Package, cargo, packages, root};
use crate::{ci, gate, openapi, peers, prepare, tidy};

struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        about: "all that CI runs; [STEP...] only these, --list",
        run: ci::run,
    },
    Command {
        name: "tidy",
        about: "layers, sizes, names, words, borders, manifests",
        run: tidy::run,
    },
    Command {
        name: "gate",
        about: "the longer gate; [PART...] only these, --list",
        run: gate::run,
    },
    Command {
        name: "openapi",
        about: "write openapi/openapi.json; --check only compares",
        run: openapi::run,
    },
    Command {
        name: "prepare",
        about: "install what the tests need; --bench: what bench wants, too",
        run: prepare::run,
    },
];

/// Crates whose binaries are commands, and how cargo builds them: figures come from release builds.
const PROGRAM_CRATES: &[(&str, &[&str])] =
    &[("mantis-testkit", &[]), ("mantis-bench", &["--release"])];

/// Runs the command that the first argument names.
///
/// # Errors
/// When there is no such command, or it fails.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = root()?;
    let Some((name, rest)) = arguments.split_first() else {
        return help(&root);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        return help(&root);
    }
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return (command.run)(rest);
    }
    let programs = programs(&packages(&root)?);
    let Some(program) = programs.iter().find(|program| program.command == *name) else {
        bail!("no command {name:?}; `cargo xtask help` lists them");
    };
    program.run(&root, rest)
}

/// A binary of the workspace that is a command.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    command: String,
    package: &'static str,
    binary: String,
    flags: &'static [&'static str],
}

impl Program {
    fn run(&self, root: &Path, arguments: &[String]) -> Result<ExitCode> {
        let mut cargo = Process::new(cargo());
        cargo.args([
            "run",
            "--quiet",
            "--package",
            self.package,
            "--bin",
            &self.binary,
        ]);
        cargo.args(self.flags);
        if self.package == "mantis-bench" {
            peers::add(&mut cargo);
        }
        cargo.arg("--").args(arguments).current_dir(root);
        let status = cargo
            .status()
            .with_context(|| format!("cannot start {}", self.binary))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

fn programs(packages: &[Package]) -> Vec<Program> {
    let mut found = Vec::new();
    for &(package, flags) in PROGRAM_CRATES {
        let targets = packages
            .iter()
            .filter(|p| p.name == package)
            .flat_map(|p| &p.targets);
        for target in targets.filter(|target| target.kind.iter().any(|kind| kind == "bin")) {
            let binary = target.name.clone();
            let command = binary.strip_prefix("mantis-").unwrap_or(&binary).to_owned();
            found.push(Program {
                command,
                package,
                binary,
                flags,
            });
        }
    }
    found
}

fn help(root: &Path) -> Result<ExitCode> {
    println!("cargo xtask COMMAND [ARGUMENTS]\n");
    for command in COMMANDS {
        println!("  {:<10} {}", command.name, command.about);
    }
    for program in programs(&packages(root)?) {
        println!(
            "  {:<10} program of {}; --help says more",
            program.command, program.package
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Target;

    fn package(name: &str, targets: &[(&str, &str)]) -> Package {
        let target = |&(name, kind): &(&str, &str)| Target {
            name: name.into(),
            kind: vec![kind.into()],
        };
        Package {
            name: name.into(),
            dependencies: Vec::new(),
            targets: targets.iter().map(target).collect(),
            features: Default::default(),
        }
    }

    #[test]
    fn binaries_of_dev_crates_are_commands_and_others_are_not() {
        let found = programs(&[
            package(
                "mantis-testkit",
                &[("mantis_testkit", "lib"), ("crash", "bin")],
            ),
            package("mantis-bench", &[("mantis-bench", "bin")]),
            package("mantisdb", &[("mantisdb", "bin")]),
        ]);
        let commands: Vec<_> = found
            .iter()
            .map(|p| (p.command.as_str(), p.flags))
            .collect();
        assert_eq!(
            commands,
            [("crash", &[][..]), ("bench", &["--release"][..])]
        );
    }

    #[test]
    fn an_unknown_command_is_an_error_that_names_it() {
        let error = run(&["no-such-command".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no-such-command"), "{error}");
    }

    #[test]
    fn no_command_has_two_meanings() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
    }
}
