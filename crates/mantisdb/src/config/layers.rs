//! Reads the layers of the configuration, from the weakest to the strongest: built-in, profile,
//! file, environment, flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value as Yaml;

use super::keys::{self, KEYS, Key, OTHER_SHORT_ENV, Settings};
use super::nearest::nearest;
use super::rules;
use super::setting::{Profile, Setting};
use super::values::{Source, Values};

/// The file that is read when none is named, if it is there.
const DEFAULT_FILE: &str = "mantisdb.yaml";

/// Variables with our prefix that are no settings: the profile, the file, and what clients read.
const OTHER_VARIABLES: &[&str] = &["ENV", "CONFIG", "TOKEN", "URL", "VERSION"];

/// What the layers are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// `--env`.
    pub(crate) profile: Option<String>,
    /// Flags that stand for keys: path, flag, value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Inputs {
    /// Nothing but this process' environment. Variables that are no text are passed over: no
    /// setting can be one.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }
}

/// Something that cannot be: it stops the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What, where, and what to do.
    pub(crate) text: String,
    /// Whether the command line itself is wrong.
    pub(crate) usage: bool,
}

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            usage: false,
        }
    }
}

/// The configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The profile and where it was said.
    pub(crate) profile: Profile,
    /// Where the profile was said.
    pub(crate) profile_source: Source,
    /// The file that was read, or would be written.
    pub(crate) file: PathBuf,
    /// Whether that file is there.
    pub(crate) file_read: bool,
    /// Every value with its source.
    pub(crate) values: Values,
    /// Every value by its type.
    pub(crate) settings: Settings,
    /// What is odd, but does not stop the start.
    pub(crate) warnings: Vec<String>,
}

/// Reads all layers and checks them together.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub(crate) fn load(inputs: &Inputs) -> Result<Loaded, Vec<Problem>> {
    let mut reader = Reader {
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let text = reader.file(inputs);
    load_layers(reader, inputs, text.as_deref())
}

/// As [`load`], with another text in place of the file's.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_with_file_text(inputs: &Inputs, text: &str) -> Result<Loaded, Vec<Problem>> {
    load_layers(
        Reader {
            problems: Vec::new(),
            warnings: Vec::new(),
        },
        inputs,
        Some(text),
    )
}

fn load_layers(
    mut reader: Reader,
    inputs: &Inputs,
    text: Option<&str>,
) -> Result<Loaded, Vec<Problem>> {
    let (profile, profile_source) = reader.profile(inputs);
    let mut values = Values::of_profile(profile);
    let file = file_path(inputs).0;
    if let Some(text) = text {
        reader.yaml(&file, text, &mut values);
    }
    reader.environment(&inputs.environment, &mut values);
    for (path, flag, value) in &inputs.flags {
        reader.give(path, value, Source::Flag((*flag).to_owned()), &mut values);
    }
    rules::follow_buffer(&mut values);
    let Reader {
        mut problems,
        mut warnings,
    } = reader;
    let settings = match Settings::read(&values) {
        Ok(settings) => settings,
        Err(why) => {
            problems.push(Problem::new(why));
            return Err(problems);
        }
    };
    let found = rules::check(profile, &settings);
    // A rule that fails on a value which stands in for a broken one would only confuse.
    if problems.is_empty() {
        problems = found.problems;
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    warnings.extend(found.warnings);
    let file_read = text.is_some();
    Ok(Loaded {
        profile,
        profile_source,
        file,
        file_read,
        values,
        settings,
        warnings,
    })
}

/// The file, and whether it was named, so that it must be there.
fn file_path(inputs: &Inputs) -> (PathBuf, bool) {
    if let Some(path) = &inputs.file {
        return (path.clone(), true);
    }
    let named = inputs
        .environment
        .iter()
        .find(|(name, _)| name == "MANTIS_CONFIG");
    match named {
        Some((_, path)) if !path.is_empty() => (PathBuf::from(path), true),
        _ => (PathBuf::from(DEFAULT_FILE), false),
    }
}

struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    fn problem(&mut self, source: &Source, text: String) {
        let usage = matches!(source, Source::Flag(_));
        self.problems.push(Problem { text, usage });
    }

    fn profile(&mut self, inputs: &Inputs) -> (Profile, Source) {
        let variable = inputs
            .environment
            .iter()
            .find(|(name, _)| name == "MANTIS_ENV");
        let said = match (&inputs.profile, variable) {
            (Some(word), _) => Some((word, Source::Flag("--env".to_owned()))),
            (None, Some((name, word))) if !word.is_empty() => {
                Some((word, Source::Environment(name.clone())))
            }
            _ => None,
        };
        let Some((word, source)) = said else {
            return (Profile::Development, Source::BuiltIn);
        };
        match Profile::parse(word) {
            Ok(profile) => (profile, source),
            Err(why) => {
                self.problem(&source, format!("the profile {why} ({source})"));
                (Profile::Production, source)
            }
        }
    }

    fn file(&mut self, inputs: &Inputs) -> Option<String> {
        let (path, must_be_there) = file_path(inputs);
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if !must_be_there && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let path = path.display();
                let text = format!("the configuration file {path} cannot be read: {error}");
                self.problems.push(Problem::new(text));
                None
            }
        }
    }

    fn yaml(&mut self, file: &Path, text: &str, values: &mut Values) {
        let source = Source::File(file.to_owned());
        let whole: Yaml = match serde_yaml_ng::from_str(text) {
            Ok(whole) => whole,
            Err(error) => return self.problem(&source, format!("{source}: {error}")),
        };
        let sections = match whole {
            Yaml::Null => return,
            Yaml::Mapping(sections) => sections,
            _ => {
                return self.problem(
                    &source,
                    format!("{source}: must hold sections such as `server:`"),
                );
            }
        };
        for (section, content) in sections {
            let Yaml::String(section) = section else {
                self.problem(
                    &source,
                    format!("{source}: a section has a word as its name"),
                );
                continue;
            };
            match content {
                Yaml::Null if is_section(&section) => {}
                Yaml::Mapping(entries) => self.section(&section, entries, &source, values),
                _ if is_section(&section) => {
                    self.problem(
                        &source,
                        format!("{source}: {section} must hold keys and values"),
                    );
                }
                _ => self.unknown(&section, &source),
            }
        }
    }

    fn section(
        &mut self,
        section: &str,
        entries: serde_yaml_ng::Mapping,
        source: &Source,
        values: &mut Values,
    ) {
        if !is_section(section) {
            return self.unknown(section, source);
        }
        for (name, value) in entries {
            let Some(name) = name.as_str() else {
                self.problem(source, format!("{source}: a key in {section} is no word"));
                continue;
            };
            let path = format!("{section}.{name}");
            match yaml_text(&value) {
                Some(text) => self.give(&path, &text, source.clone(), values),
                None if keys::absent_part(&path).is_some() => {
                    self.give(&path, "", source.clone(), values);
                }
                None => self.problem(
                    source,
                    format!("{source}: {path} must be a value or a list"),
                ),
            }
        }
    }

    fn environment(&mut self, variables: &[(String, String)], values: &mut Values) {
        let mut given: BTreeMap<String, (String, String)> = BTreeMap::new();
        let ours = variables.iter().filter_map(|(name, value)| {
            Some((name, name.strip_prefix("MANTIS_")?, value)).filter(|_| !value.is_empty())
        });
        for (variable, name, value) in ours {
            if OTHER_VARIABLES.contains(&name) {
                continue;
            }
            let Some((path, value, source)) = self.variable(variable, name, value) else {
                continue;
            };
            let earlier = given.insert(path.clone(), (variable.clone(), value.clone()));
            if let Some((other, _)) = earlier.filter(|(_, earlier)| *earlier != value) {
                let text = format!("{other} and {variable} both set {path}, differently");
                self.problems.push(Problem::new(text));
                continue;
            }
            self.give(&path, &value, source, values);
        }
    }

    /// The key that a variable means, its value and its source.
    fn variable(
        &mut self,
        variable: &str,
        name: &str,
        value: &str,
    ) -> Option<(String, String, Source)> {
        if let Some(path) = path_of_variable(name) {
            return Some((
                path,
                value.to_owned(),
                Source::Environment(variable.to_owned()),
            ));
        }
        if let Some(path) = name.strip_suffix("_FILE").and_then(path_of_variable) {
            return match std::fs::read_to_string(value) {
                Ok(text) => {
                    let text = text.trim_end_matches(['\r', '\n']).to_owned();
                    Some((path, text, Source::EnvironmentFile(variable.to_owned())))
                }
                Err(error) => {
                    let text = format!("the file that {variable} names cannot be read: {error}");
                    self.problems.push(Problem::new(text));
                    None
                }
            };
        }
        self.unknown_variable(variable, name);
        None
    }

    /// A variable with our prefix that we do not know. With the name of a section it is meant for
    /// us and wrong; otherwise it may belong to somebody else (container platforms make such
    /// names from the names of services), and it warns.
    fn unknown_variable(&mut self, variable: &str, name: &str) {
        let names: Vec<String> = KEYS.iter().flat_map(variable_names).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean MANTIS_{near}?"));
        let text = format!("unknown environment variable {variable}{hint}");
        let lower = name.to_lowercase();
        let meant = KEYS.iter().map(|key| key.section).any(|section| {
            lower
                .strip_prefix(section)
                .is_some_and(|rest| rest.starts_with('_'))
        });
        if meant {
            self.problems.push(Problem::new(text));
        } else {
            self.warnings.push(text);
        }
    }

    /// One value from one source.
    fn give(&mut self, path: &str, text: &str, source: Source, values: &mut Values) {
        if let Some(part) = keys::absent_part(path) {
            let as_it_is = match text {
                "" | "off" => path.ends_with("port"),
                "true" => path.starts_with("server.enable_"),
                _ => false,
            };
            if !as_it_is {
                let what =
                    format!("{path} ({source}) belongs to {part}, which this build does not have");
                self.problem(&source, format!("{what}: take it out"));
            }
            return;
        }
        if let Some(why) = keys::no_effect(path) {
            self.warnings
                .push(format!("{path} ({source}) has no effect: {why}"));
            return;
        }
        let Some(key) = keys::key(path) else {
            return self.unknown(path, &source);
        };
        if text.is_empty() {
            return;
        }
        match (key.json)(text) {
            Ok(_) => values.set(key, text.to_owned(), source),
            Err(why) => self.problem(&source, format!("{path} ({source}) {why}")),
        }
    }

    fn unknown(&mut self, path: &str, source: &Source) {
        let hint =
            near_key(path).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        self.problem(source, format!("unknown key {path} ({source}){hint}"));
    }
}

/// The key or section that was probably meant.
fn near_key(path: &str) -> Option<String> {
    let Some((_, name)) = path.split_once('.') else {
        return nearest(path, KEYS.iter().map(|key| key.section)).map(str::to_owned);
    };
    let elsewhere = KEYS.iter().find(|key| key.name == name).map(|key| key.path);
    let near = elsewhere.or_else(|| nearest(path, KEYS.iter().map(|key| key.path)));
    near.map(str::to_owned)
}

fn is_section(name: &str) -> bool {
    let with_point = format!("{name}.");
    KEYS.iter().any(|key| key.section == name)
        || keys::ABSENT.iter().any(|(known, _)| *known == name)
        || keys::WITHOUT_EFFECT
            .iter()
            .any(|(path, _)| path.starts_with(&with_point))
}

/// The names of a key without `MANTIS_`.
fn variable_names(key: &'static Key) -> impl Iterator<Item = String> {
    let long = key.path.replace('.', "_").to_uppercase();
    key.short_env.map(str::to_owned).into_iter().chain([long])
}

fn path_of_variable(name: &str) -> Option<String> {
    if let Some(key) = KEYS
        .iter()
        .find(|key| variable_names(key).any(|known| known == name))
    {
        return Some(key.path.to_owned());
    }
    if let Some((_, path)) = OTHER_SHORT_ENV.iter().find(|(known, _)| *known == name) {
        return Some((*path).to_owned());
    }
    let lower = name.to_lowercase();
    let exact = keys::ABSENT
        .iter()
        .chain(keys::WITHOUT_EFFECT)
        .map(|(path, _)| *path);
    if let Some(path) = exact
        .into_iter()
        .find(|path| path.replace('.', "_") == lower)
    {
        return Some(path.to_owned());
    }
    let (section, rest) = lower.split_once('_')?;
    let absent = keys::ABSENT.iter().any(|(known, _)| *known == section);
    absent.then(|| format!("{section}.{rest}"))
}

fn yaml_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Null => Some(String::new()),
        Yaml::Bool(value) => Some(value.to_string()),
        Yaml::Number(value) => Some(value.to_string()),
        Yaml::String(value) => Some(value.clone()),
        Yaml::Sequence(items) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
            texts.map(|texts| texts.join(","))
        }
        Yaml::Mapping(_) | Yaml::Tagged(_) => None,
    }
}

fn scalar_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Sequence(_) | Yaml::Null => None,
        other => yaml_text(other),
    }
}
