//! The command line: what can be said, what it means, and what is answered to what is not known.

mod arguments;
mod spelling;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

pub(crate) use arguments::{
    BenchArgs, CheckArgs, ConfigVerb, ConnectArgs, DeleteArgs, ExportArgs, GetArgs, ImportArgs,
    InspectArgs, KeyArg, ListArgs, Measure, MonitorArgs, OnBadLine, OutputFormat, PutArgs,
    RepairArgs, ServeArgs, ServerArgs, StatsArgs, Stress, TransferFormat, ValueType,
};
use arguments::{Cli, Verb};

use crate::config::{self, Inputs};
use crate::exit::{self, Failure, Outcome};
use crate::{bench, client, offline, serve, table, transfer};

/// Verbs of parts that this build does not have, and the part.
const ABSENT_VERBS: &[(&str, &str)] = &[
    ("query", "SQL"),
    ("repl", "SQL"),
    ("migrate", "migration from other databases"),
    ("user", "users and tokens"),
    ("key", "users and tokens"),
    ("policy", "row-level security"),
    ("backup", "backups"),
    ("restore", "backups"),
];

/// Reads the command line, does what it says, and answers the exit code.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match spelling::normalise(arguments, &Cli::command()) {
        Ok(arguments) => arguments,
        Err(failure) => return exit::report(Err(failure)),
    };
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => exit::report(execute(cli)),
        Err(error) => refuse(&error),
    }
}

/// Help and version are answers; everything else is a wrong command line.
fn refuse(error: &clap::Error) -> ExitCode {
    if let Some(part) = absent_part(error) {
        return exit::report(Err(Failure::usage(part)));
    }
    match error.print() {
        Ok(()) if error.use_stderr() => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn absent_part(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(said)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (verb, part) = ABSENT_VERBS.iter().find(|(verb, _)| verb == said)?;
    Some(format!(
        "`{verb}` belongs to {part}, which this build does not have"
    ))
}

fn execute(cli: Cli) -> Outcome {
    // Not locked: the server's threads may log to standard output, too.
    let out = &mut std::io::stdout();
    match cli.verb {
        None => serve::run(&cli.serve),
        Some(Verb::Serve(arguments)) => serve::run(&arguments),
        Some(Verb::Connect(arguments)) => client::connect(&arguments, out),
        Some(Verb::Stats(arguments)) => client::stats(&arguments, out),
        Some(Verb::Monitor(arguments)) => client::monitor(&arguments, out),
        Some(Verb::Get(arguments)) => client::get(&arguments, out),
        Some(Verb::Put(arguments)) => client::put(&arguments, out),
        Some(Verb::Delete(arguments)) => client::delete(&arguments, out),
        Some(Verb::List(arguments)) => client::list(&arguments, out),
        Some(Verb::Inspect(arguments)) => client::inspect(&arguments, out),
        Some(Verb::Import(arguments)) => transfer::import(&arguments, out),
        Some(Verb::Export(arguments)) => transfer::export(&arguments, out),
        Some(Verb::Check(arguments)) => offline::check(&arguments, out),
        Some(Verb::Repair(arguments)) => offline::repair(&arguments, out),
        Some(Verb::Bench(arguments)) => bench::run(&arguments, out),
        Some(Verb::Config { verb }) => configuration(&verb, out),
        Some(Verb::Completions { shell }) => {
            // Into memory first: the generator panics when a reader goes away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mantisdb", &mut script);
            Ok(out.write_all(&script)?)
        }
        Some(Verb::Version) => Ok(writeln!(out, "{}", arguments::version_line())?),
    }
}

fn configuration(verb: &ConfigVerb, out: &mut dyn Write) -> Outcome {
    match verb {
        ConfigVerb::Show { serve, output } => {
            let loaded = config::load(&serve.inputs())?;
            loaded
                .warnings
                .iter()
                .for_each(|warning| exit::say(&format!("warning: {warning}")));
            match output {
                OutputFormat::Table => {
                    table::write_rows(
                        out,
                        Some(["KEY", "VALUE", "SOURCE"]),
                        &config::as_table(&loaded),
                    )?;
                }
                OutputFormat::Json => writeln!(out, "{:#}", config::as_json(&loaded))?,
            }
            Ok(())
        }
        ConfigVerb::Validate { file, env } => {
            let inputs = Inputs {
                file: Some(file.clone()),
                profile: env.clone(),
                ..Inputs::of_process()
            };
            let loaded = config::load(&inputs)?;
            for warning in &loaded.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            let profile = loaded.profile.as_str();
            writeln!(out, "{} is valid for the profile {profile}", file.display())?;
            Ok(())
        }
    }
}
