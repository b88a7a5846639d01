//! The configuration of a running server: reloaded on SIGHUP, read and changed over HTTP.

use std::path::Path;
use std::sync::OnceLock;

use mantis_env::{Env, OpenMode};
use mantis_http::{ConfigApplied, ConfigError, ConfigReport, ConfigStore};
use parking_lot::Mutex;
use serde_json::Value;

use super::edit::{self, Edit};
use super::keys::{self, Change, KEYS, Key};
use super::layers::{self, Inputs, Loaded, Problem};
use super::nearest::nearest;
use super::show;

/// Largest configuration file that is read or written.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Takes the live values over into the running parts.
pub(crate) type Apply = Box<dyn Fn(&Loaded) + Send + Sync>;

/// The configuration of a running server.
pub(crate) struct LiveConfig {
    env: Env,
    inputs: Inputs,
    /// Set once the running parts are there.
    apply: OnceLock<Apply>,
    /// What is in force. Held while a change is checked, written and applied, so that two changes
    /// never mix; taken alone; held for one write of a small file.
    running: Mutex<Loaded>,
}

impl std::fmt::Debug for LiveConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveConfig").finish_non_exhaustive()
    }
}

impl LiveConfig {
    /// Over what the server was started with.
    pub(crate) fn new(env: Env, inputs: Inputs, started: Loaded) -> Self {
        Self {
            env,
            inputs,
            apply: OnceLock::new(),
            running: Mutex::new(started),
        }
    }

    /// From now on `apply` takes over changed live values. A second call has no effect.
    pub(crate) fn connect(&self, apply: Apply) {
        let first = self.apply.set(apply);
        debug_assert!(first.is_ok(), "one server has one configuration");
    }

    /// Reads all layers again and applies what can be applied.
    ///
    /// # Errors
    /// `Invalid` when the configuration cannot be; then the old one stays in force.
    pub(crate) fn reload(&self) -> Result<(ConfigApplied, Vec<String>), ConfigError> {
        let mut running = self.running.lock();
        let new = layers::load(&self.inputs).map_err(|problems| invalid(&problems))?;
        let warnings = new.warnings.clone();
        Ok((self.take_over(&mut running, new), warnings))
    }

    /// The file's text after the changes, and what would be in force then.
    fn checked(&self, running: &Loaded, changes: &Value) -> Result<(String, Loaded), ConfigError> {
        let edits = edits(running, changes).map_err(refused)?;
        let text = read_whole(&running.file).map_err(ConfigError::Failed)?;
        let text = edit::apply(&text, &edits).map_err(|error| refused(vec![error.to_string()]))?;
        if text.len() > FILE_BYTES_MAX {
            return Err(refused(vec![
                "the configuration file would grow too large".to_owned(),
            ]));
        }
        let new = layers::load_with_file_text(&self.inputs, &text);
        new.map(|new| (text, new))
            .map_err(|problems| invalid(&problems))
    }

    /// Puts the live values of `new` in force. Those that need a restart keep their running value.
    fn take_over(&self, running: &mut Loaded, new: Loaded) -> ConfigApplied {
        let mut changed = ConfigApplied::default();
        let mut values = new.values.clone();
        for key in KEYS {
            if running.values.text(key.path) == new.values.text(key.path) {
                continue;
            }
            match key.change {
                Change::Live => changed.applied.push(key.path.to_owned()),
                Change::Restart => {
                    changed.restart_required.push(key.path.to_owned());
                    let (text, source) = (
                        running.values.text(key.path),
                        running.values.source(key.path),
                    );
                    values.set(key, text.to_owned(), source.clone());
                }
            }
        }
        // The profile decides at start, too.
        if running.profile != new.profile {
            changed.restart_required.push("profile".to_owned());
        }
        let settings = keys::Settings::read(&values).expect("each value was read before, alone");
        let profile = running.profile;
        let profile_source = running.profile_source.clone();
        *running = Loaded {
            values,
            settings,
            profile,
            profile_source,
            ..new
        };
        if let Some(apply) = self.apply.get() {
            apply(running);
        }
        changed
    }
}

impl ConfigStore for LiveConfig {
    fn show(&self) -> Value {
        let running = self.running.lock();
        let mut whole = show::values_alone(&running);
        whole.insert("profile".to_owned(), running.profile.as_str().into());
        Value::Object(whole)
    }

    fn validate(&self, change: &Value) -> ConfigReport {
        let running = self.running.lock();
        match self.checked(&running, change) {
            Ok((_, new)) => ConfigReport {
                errors: Vec::new(),
                warnings: new.warnings,
            },
            Err(ConfigError::Invalid(report)) => report,
            Err(error) => ConfigReport {
                errors: vec![error.to_string()],
                warnings: Vec::new(),
            },
        }
    }

    fn apply(&self, change: &Value) -> Result<ConfigApplied, ConfigError> {
        let mut running = self.running.lock();
        let (text, new) = self.checked(&running, change)?;
        write_whole(&self.env, &running.file, text.as_bytes()).map_err(ConfigError::Failed)?;
        Ok(self.take_over(&mut running, new))
    }
}

fn invalid(problems: &[Problem]) -> ConfigError {
    refused(
        problems
            .iter()
            .map(|problem| problem.text.clone())
            .collect(),
    )
}

const fn refused(errors: Vec<String>) -> ConfigError {
    ConfigError::Invalid(ConfigReport {
        errors,
        warnings: Vec::new(),
    })
}

/// The changes as edits of the file, in the order of the table.
fn edits(running: &Loaded, changes: &Value) -> Result<Vec<Edit>, Vec<String>> {
    let mut problems = Vec::new();
    let mut edits = Vec::new();
    let Some(sections) = changes.as_object() else {
        return Err(vec![
            "the body must hold sections such as {\"logging\": {...}}".to_owned(),
        ]);
    };
    for (section, names) in sections {
        let Some(names) = names.as_object() else {
            problems.push(format!("{section} must hold keys and values"));
            continue;
        };
        for (name, value) in names {
            match edit(running, section, name, value) {
                Ok(edit) => edits.extend(edit),
                Err(why) => problems.push(why),
            }
        }
    }
    if problems.is_empty() {
        Ok(edits)
    } else {
        Err(problems)
    }
}

/// One change; `None` when a masked secret comes back as it was shown.
fn edit(
    running: &Loaded,
    section: &str,
    name: &str,
    value: &Value,
) -> Result<Option<Edit>, String> {
    let path = format!("{section}.{name}");
    if let Some(part) = keys::absent_part(&path) {
        return Err(format!(
            "{path} belongs to {part}, which this build does not have"
        ));
    }
    let Some(key) = keys::key(&path) else {
        let near = nearest(&path, KEYS.iter().map(|key| key.path));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(format!("unknown key {path}{hint}"));
    };
    if key.secret && *value == running.values.json(key) && !value.is_null() {
        return Ok(None);
    }
    let source = running.values.source(key.path);
    if source.beats_file() {
        return Err(format!(
            "{path} is set by {source}, which is stronger than the file"
        ));
    }
    check_form(key, value)?;
    Ok(Some(Edit {
        section: key.section,
        name: key.name,
        value: value.clone(),
    }))
}

fn check_form(key: &Key, value: &Value) -> Result<(), String> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts
                .ok_or_else(|| format!("{} must be {}", key.path, key.form))?
                .join(",")
        }
        Value::Object(_) => return Err(format!("{} must be {}", key.path, key.form)),
    };
    (key.json)(&text)
        .map(|_| ())
        .map_err(|why| format!("{} {why}", key.path))
}

/// The file's text; empty when it is not there.
fn read_whole(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Replaces a small file: either the old or the new content is there, whatever happens.
pub(crate) fn write_whole(env: &Env, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let file = env.fs().open(&new, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(0, bytes)?;
    drop(file);
    env.fs().rename_durable(&new, path)
}
