//! The configuration as the admin API sees it. The binary owns it and implements this.

use std::fmt;

use mantis_types::Code;
use serde_json::Value;

/// Shows and changes the configuration. Calls may block (files); they are made from blocking
/// threads.
pub trait ConfigStore: fmt::Debug + Send + Sync + 'static {
    /// Everything by section, `{server: {...}, database: {...}, ...}`; secrets are masked.
    fn show(&self) -> Value;

    /// Checks a change without making it.
    fn validate(&self, change: &Value) -> ConfigReport;

    /// Makes a change durable and, where that is possible, effective.
    ///
    /// # Errors
    /// `Invalid` with what is wrong, and nothing is changed; `Failed` when it cannot be written.
    fn apply(&self, change: &Value) -> Result<ConfigApplied, ConfigError>;
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigReport {
    /// What forbids the change, one sentence each.
    pub errors: Vec<String>,
    /// What is worth a thought.
    pub warnings: Vec<String>,
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigApplied {
    /// Keys that are in effect.
    pub applied: Vec<String>,
    /// Keys that take effect at the next start.
    pub restart_required: Vec<String>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The change is wrong.
    #[error("the configuration is not valid: {}", .0.errors.join("; "))]
    Invalid(ConfigReport),
    /// It could not be made durable.
    #[error("the configuration could not be written")]
    Failed(#[source] std::io::Error),
    /// This server was started without a file to write to.
    #[error("there is no configuration file to write to")]
    NoFile,
}

impl ConfigError {
    /// The machine word.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidValue,
            Self::Failed(_) => Code::Internal,
            Self::NoFile => Code::NotImplemented,
        }
    }
}
