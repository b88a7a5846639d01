//! What `mantisdb config show` and `GET /api/config` print. Secrets are masked here, too, since
//! both go through the JSON form of a value.

use serde_json::{Map, Value, json};

use super::keys::KEYS;
use super::layers::Loaded;
use super::values::Source;

/// The effective settings as a table: key, value, source.
pub(crate) fn as_table(loaded: &Loaded) -> Vec<[String; 3]> {
    let profile = loaded.profile.as_str().to_owned();
    let mut rows = vec![[
        "profile".to_owned(),
        profile,
        loaded.profile_source.to_string(),
    ]];
    rows.extend(KEYS.iter().map(|key| {
        let value = match loaded.values.json(key) {
            Value::Null => "(unset)".to_owned(),
            Value::String(text) => text,
            // The text as it was given says more than a number of bytes.
            Value::Number(_) => loaded.values.text(key.path).to_owned(),
            other => other.to_string(),
        };
        [
            key.path.to_owned(),
            value,
            loaded.values.source(key.path).to_string(),
        ]
    }));
    rows
}

/// The same as JSON, each value with its source and what it is.
pub(crate) fn as_json(loaded: &Loaded) -> Value {
    let shown = |key: &super::keys::Key| {
        let source = loaded.values.source(key.path);
        json!({
            "value": loaded.values.json(key),
            "source": source.to_string(),
            "about": key.about,
        })
    };
    json!({
        "profile": { "value": loaded.profile.as_str(), "source": loaded.profile_source.to_string() },
        "file": file_source(loaded),
        "settings": sections(shown),
    })
}

/// The values alone, section by section.
pub(crate) fn values_alone(loaded: &Loaded) -> Map<String, Value> {
    sections(|key| loaded.values.json(key))
}

fn file_source(loaded: &Loaded) -> Value {
    let source = Source::File(loaded.file.clone());
    json!(loaded.file_read.then(|| source.to_string()))
}

fn sections(value: impl Fn(&super::keys::Key) -> Value) -> Map<String, Value> {
    let mut sections = Map::new();
    for key in KEYS {
        let section = sections.entry(key.section).or_insert_with(|| json!({}));
        section[key.name] = value(key);
    }
    sections
}
