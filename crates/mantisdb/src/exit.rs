//! How the program ends: 0, 1 for a failure, 2 for a wrong command line, 78 for a configuration
//! that cannot be.

use std::io;
use std::process::ExitCode;

use crate::config::Problem;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// The configuration cannot be.
    Configuration(Vec<Problem>),
    /// It was tried and failed.
    Failed(anyhow::Error),
    /// It was done, its answer is "no", and that has been said.
    Negative,
}

/// What a command answers.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A configuration that cannot be.
    pub(crate) fn configuration(text: impl Into<String>) -> Self {
        Self::Configuration(vec![Problem::new(text)])
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Negative => 1,
            Self::Usage(_) => 2,
            Self::Configuration(problems) if problems.iter().all(|problem| problem.usage) => 2,
            Self::Configuration(_) => 78,
        }
    }

    /// What to say about it, one line for each thing that is wrong.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(text) => vec![text.clone()],
            Self::Configuration(problems) => problems.iter().map(|p| p.text.clone()).collect(),
            Self::Failed(error) => vec![format!("{error:#}")],
            Self::Negative => Vec::new(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Configuration(problems)
    }
}

/// Says what went wrong on standard error, and answers the exit code. A reader that has gone away
/// (`mantisdb list kv | head`) is no failure.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    if let Failure::Failed(error) = &failure {
        let gone = |cause: &(dyn std::error::Error + 'static)| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(gone) {
            return ExitCode::SUCCESS;
        }
    }
    for line in failure.lines() {
        say(&format!("mantisdb: {line}"));
    }
    ExitCode::from(failure.code())
}

/// One line to the person who started us. When even that cannot be written, nobody is there.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    drop(writeln!(io::stderr(), "{line}"));
}
