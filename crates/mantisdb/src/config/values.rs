//! The values in force and where each of them comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::keys::{KEYS, Key};
use super::setting::{Profile, Setting};

/// Where a value comes from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Built into the program.
    BuiltIn,
    /// Built into the program, and smaller than there because another setting is small.
    Follows(&'static str),
    /// The profile says so.
    Profile(Profile),
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A file that an environment variable names.
    EnvironmentFile(String),
    /// A flag on the command line.
    Flag(String),
}

impl Source {
    /// Whether a changed file would have no effect against it.
    pub(crate) const fn beats_file(&self) -> bool {
        matches!(
            self,
            Self::Environment(_) | Self::EnvironmentFile(_) | Self::Flag(_)
        )
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::Follows(other) => write!(f, "follows {other}"),
            Self::Profile(profile) => write!(f, "profile {}", profile.as_str()),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvironmentFile(name) => write!(f, "the file that {name} names"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The text of every key, with its source.
#[derive(Clone)]
pub(crate) struct Values {
    texts: BTreeMap<&'static str, (String, Source)>,
}

impl fmt::Debug for Values {
    /// Shows no text: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.texts.iter().map(|(path, (_, source))| (path, source));
        f.debug_map().entries(sources).finish()
    }
}

impl Values {
    /// The built-in values under a profile.
    pub(crate) fn of_profile(profile: Profile) -> Self {
        let text = |key: &Key| match profile_default(profile, key.path) {
            Some(text) => (text.to_owned(), Source::Profile(profile)),
            None => (key.default.to_owned(), Source::BuiltIn),
        };
        Self {
            texts: KEYS.iter().map(|key| (key.path, text(key))).collect(),
        }
    }

    /// Replaces a value by one of a stronger source.
    pub(crate) fn set(&mut self, key: &'static Key, text: String, source: Source) {
        self.texts.insert(key.path, (text, source));
    }

    /// The text in force, empty when unset.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", |(text, _)| text)
    }

    /// Where it comes from.
    pub(crate) fn source(&self, path: &str) -> &Source {
        self.texts
            .get(path)
            .map_or(&Source::BuiltIn, |(_, source)| source)
    }

    /// Reads one value.
    ///
    /// # Errors
    /// When the text has not the form of the key.
    pub(crate) fn parse<T: Setting>(&self, path: &'static str) -> Result<T, String> {
        T::parse(self.text(path)).map_err(|why| format!("{path} {why}"))
    }

    /// The value as JSON, masked when it is a secret; null when unset.
    pub(crate) fn json(&self, key: &Key) -> serde_json::Value {
        (key.json)(self.text(key.path)).unwrap_or(serde_json::Value::Null)
    }
}

/// What a profile sets differently from the built-in values.
fn profile_default(profile: Profile, path: &str) -> Option<&'static str> {
    match (profile, path) {
        (Profile::Development, "logging.level") => Some("debug"),
        (Profile::Staging | Profile::Production, "logging.format") => Some("json"),
        _ => None,
    }
}
