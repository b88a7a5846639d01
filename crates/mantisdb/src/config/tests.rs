//! The layers together: strength, sources, refusals, and the settings against the code that reads
//! them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::keys::{Change, KEYS, Settings, WITHOUT_EFFECT};
use super::layers::{Inputs, Loaded, Problem, load, load_with_file_text};
use super::values::Source;

fn inputs(environment: &[(&str, &str)], flags: &[(&'static str, &'static str, &str)]) -> Inputs {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs {
        environment: environment.iter().map(text).collect(),
        flags: flags
            .iter()
            .map(|(path, flag, value)| (*path, *flag, (*value).to_owned()))
            .collect(),
        ..Inputs::default()
    }
}

fn load_file(yaml: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    load_with_file_text(&inputs(environment, &[]), yaml)
}

#[track_caller]
fn refused(yaml: &str, environment: &[(&str, &str)], part: &str) {
    let problems = load_file(yaml, environment).expect_err("must be refused");
    let texts: Vec<&str> = problems
        .iter()
        .map(|problem| problem.text.as_str())
        .collect();
    assert!(
        texts.iter().any(|text| text.contains(part)),
        "{part:?} is not in {texts:?}"
    );
}

#[test]
fn stronger_layers_win_and_are_named_as_the_source() {
    let file = "server:\n  port: 1\n  host: 127.0.0.2\nlogging:\n  level: warn\n";
    let environment = [("MANTIS_PORT", "2"), ("MANTIS_LOGGING_FORMAT", "json")];
    let flags = [("server.port", "--port", "3")];
    let loaded = load_with_file_text(&inputs(&environment, &flags), file).unwrap();
    let got = |path: &str| {
        (
            loaded.values.text(path).to_owned(),
            loaded.values.source(path).clone(),
        )
    };
    assert_eq!(
        got("server.port"),
        ("3".into(), Source::Flag("--port".into()))
    );
    let variable = Source::Environment("MANTIS_LOGGING_FORMAT".into());
    assert_eq!(got("logging.format"), ("json".into(), variable));
    let file = Source::File(PathBuf::from("mantisdb.yaml"));
    assert_eq!(got("logging.level"), ("warn".into(), file));
    assert_eq!(
        got("server.request_timeout"),
        ("30s".into(), Source::BuiltIn)
    );
    assert_eq!(loaded.settings.server.port.0, 3);
}

#[test]
fn profiles_change_defaults_and_ask_for_secrets() {
    let development = load_file("", &[]).unwrap();
    assert_eq!(development.values.text("logging.level"), "debug");
    refused(
        "",
        &[("MANTIS_ENV", "staging")],
        "needs security.admin_token",
    );
    let production = ("MANTIS_ENV", "production");
    assert!(
        load_file(
            "",
            &[("MANTIS_ENV", "staging"), ("MANTIS_ADMIN_TOKEN", "x")]
        )
        .is_ok()
    );
    refused(
        "",
        &[
            production,
            ("MANTIS_ADMIN_TOKEN", "aaaaaaaaaaaaaaaaaaaaaaaa"),
        ],
        "weak",
    );
    refused(
        "",
        &[production, ("MANTIS_ADMIN_TOKEN", "short-1x")],
        "weak",
    );
    let strong = [production, ("MANTIS_ADMIN_TOKEN", "8f3a0c5e7d1b9264")];
    let production = load_file("", &strong).unwrap();
    assert_eq!(production.values.text("logging.format"), "json");
    assert_eq!(production.values.text("logging.level"), "info");
    refused(
        "",
        &[("MANTIS_ENV", "prod")],
        "one of development, staging, production",
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused("server:\n  prot: 1\n", &[], "unknown key server.prot");
    refused("server:\n  prot: 1\n", &[], "did you mean server.port?");
    refused("databse:\n  data_dir: x\n", &[], "did you mean database?");
    refused(
        "server:\n  data_dir: x\n",
        &[],
        "did you mean database.data_dir?",
    );
    refused(
        "",
        &[("MANTIS_SERVER_PROT", "1")],
        "did you mean MANTIS_SERVER_PORT?",
    );
    let odd = load_file("", &[("MANTIS_PORTT", "1"), ("OTHER_PORT", "1")]).unwrap();
    assert_eq!(odd.warnings.len(), 1, "{:?}", odd.warnings);
    assert!(
        odd.warnings[0].contains("did you mean MANTIS_PORT?"),
        "{:?}",
        odd.warnings
    );
}

#[test]
fn values_of_the_wrong_form_are_refused_with_their_place() {
    refused(
        "server:\n  port: many\n",
        &[],
        "server.port (file mantisdb.yaml) must be a port",
    );
    refused(
        "",
        &[("MANTIS_CACHE_SIZE", "big")],
        "(environment MANTIS_CACHE_SIZE) must be a size",
    );
    refused("server: 8080\n", &[], "server must hold keys and values");
    refused("- a\n", &[], "must hold sections");
    refused(
        "server: {port: {a: 1}}\n",
        &[],
        "server.port must be a value or a list",
    );
    refused("server:\n  port: 1\n  port: 2\n", &[], "duplicate");
    let both = [("MANTIS_PORT", "1"), ("MANTIS_SERVER_PORT", "2")];
    refused("", &both, "both set server.port, differently");
    let flag = load(&inputs(&[], &[("server.port", "--port", "x")])).unwrap_err();
    assert!(flag[0].usage, "a wrong flag is a wrong command line");
}

#[test]
fn parts_that_are_not_built_are_refused_and_switched_off_ports_are_not() {
    refused("server:\n  pg_port: 5433\n", &[], "the PostgreSQL listener");
    refused("pool:\n  max_connections: 5\n", &[], "the connection pool");
    refused(
        "pool:\n  circuit_breaker:\n    enabled: true\n",
        &[],
        "the connection pool",
    );
    refused("", &[("MANTIS_POOL_SIZE", "5")], "the connection pool");
    refused("", &[("MANTIS_BACKUP_ENABLED", "true")], "backups");
    let off = load_file("server:\n  pg_port: off\n", &[]).unwrap();
    assert!(off.warnings.is_empty(), "{:?}", off.warnings);
}

#[test]
fn keys_without_effect_warn() {
    for (path, _) in WITHOUT_EFFECT {
        let (section, name) = path.split_once('.').unwrap();
        let loaded = load_file(&format!("{section}:\n  {name}: lru\n"), &[]).unwrap();
        assert!(
            loaded.warnings.iter().any(|w| w.contains(path)),
            "{path}: {:?}",
            loaded.warnings
        );
    }
}

#[test]
fn other_machines_need_a_token_and_tls() {
    let public = "server:\n  host: 0.0.0.0\n";
    refused(public, &[], "credentials");
    let token = ("MANTIS_ADMIN_TOKEN", "t");
    refused(public, &[token], "TLS");
    let insecure = ("MANTIS_SERVER_INSECURE", "true");
    assert!(load_file(public, &[token, insecure]).is_ok());
    refused(
        public,
        &[token, insecure, ("MANTIS_SECURITY_ANONYMOUS_ROLE", "owner")],
        "credentials",
    );
    refused("server:\n  tls_cert: a.pem\n", &[], "belong together");
    assert!(load_file("server:\n  host: localhost\n", &[]).is_ok());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let both = "database:\n  sync_writes: false\n  durability: sync\n";
    refused(both, &[], "contradict");
    refused(
        "database:\n  memory_limit: 100MB\n",
        &[],
        "exceed database.memory_limit",
    );
    refused(
        "limits:\n  max_value_size: 33MB\n",
        &[],
        "at most half of database.buffer_size",
    );
    refused("logging:\n  output: file\n", &[], "needs logging.file_path");
    refused("security:\n  cors_origins: ['*']\n", &[], "is no origin");
    let older = load_file("database:\n  sync_writes: false\n", &[]).unwrap();
    let class = super::default_durability(&older.settings);
    assert_eq!(class, mantis_types::Durability::Interval);
}

#[test]
fn limits_that_nobody_has_set_follow_a_small_buffer() {
    let flags = [("database.buffer_size", "--buffer-size", "8MB")];
    let loaded = load(&inputs(&[], &flags)).unwrap();
    let limits = &loaded.settings.limits;
    assert_eq!(
        (limits.max_value_size.0, limits.batch_bytes_max.0),
        (4 << 20, 6 << 20)
    );
    let follows = Source::Follows("database.buffer_size");
    assert_eq!(*loaded.values.source("limits.max_value_size"), follows);
    assert_eq!(loaded.values.text("limits.max_value_size"), "4MB");
    // The control: the default buffer leaves the built-in limits alone.
    let built_in = load(&inputs(&[], &[])).unwrap();
    let source = built_in.values.source("limits.max_value_size");
    assert_eq!(
        (built_in.values.text("limits.max_value_size"), source),
        ("32MB", &Source::BuiltIn)
    );
    // What somebody has set is not changed, but refused by its name.
    refused(
        "database:\n  buffer_size: 8MB\nlimits:\n  max_value_size: 5MB\n",
        &[],
        "limits.max_value_size must be at most half of database.buffer_size",
    );
    let set = "database:\n  buffer_size: 8MB\nlimits:\n  max_value_size: 3MB\n";
    assert_eq!(
        load_file(set, &[])
            .unwrap()
            .settings
            .limits
            .max_value_size
            .0,
        3 << 20
    );
    refused("database:\n  buffer_size: 512KB\n", &[], "at least 1MB");
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "s3cr3t-value\n").unwrap();
    let path = path.to_str().unwrap();
    let loaded = load_file("", &[("MANTIS_ADMIN_TOKEN_FILE", path)]).unwrap();
    assert_eq!(
        loaded
            .settings
            .security
            .admin_token
            .as_ref()
            .unwrap()
            .expose(),
        "s3cr3t-value"
    );
    let table = super::as_table(&loaded);
    let shown = format!("{table:?}{}{loaded:?}", super::as_json(&loaded));
    assert!(!shown.contains("s3cr3t"), "{shown}");
    refused(
        "",
        &[("MANTIS_ADMIN_TOKEN_FILE", "/nowhere/token")],
        "cannot be read",
    );
}

#[test]
fn every_default_has_the_form_of_its_key() {
    for key in KEYS {
        assert!((key.json)(key.default).is_ok(), "{}", key.path);
        assert!(!key.about.is_empty(), "{}", key.path);
    }
    let limits = mantis_types::Limits::default();
    let settings = load_file("", &[]).unwrap().settings;
    assert_eq!(
        limits_of(&settings),
        limits,
        "defaults of the store and of the table differ"
    );
}

fn limits_of(settings: &Settings) -> mantis_types::Limits {
    super::store_limits(settings)
}

/// The guide's tables hold every key with its default and when a change takes effect, and no other.
#[test]
fn the_guide_names_every_key_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    for key in KEYS {
        let default = match key.default {
            "" => "unset".to_owned(),
            text => format!("`{text}`"),
        };
        let env = key
            .short_env
            .map_or_else(String::new, |name| format!("`MANTIS_{name}`"));
        let change = match key.change {
            Change::Live => "at once",
            Change::Restart => "restart",
        };
        let (path, about) = (key.path, key.about);
        let row = format!("| `{path}` | {default} | {env} | {change} | {about} |");
        assert!(page.contains(&row), "the guide has not: {row}");
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter(|line| line.contains('.'));
    let known = |line: &&str| {
        KEYS.iter()
            .any(|key| line.starts_with(&format!("| `{}` |", key.path)))
    };
    let strangers: Vec<&str> = rows.filter(|line| !known(line)).collect();
    // The table of profiles names the one setting on which they differ most.
    assert!(
        strangers
            .iter()
            .all(|line| line.starts_with("| `security.admin_token`")),
        "{strangers:?}"
    );
}

/// A setting that code reads exists in the configuration type: the compiler sees to that. The
/// other way round: every key is read somewhere outside the configuration's own bookkeeping, and
/// nothing else reads the environment.
#[test]
fn every_setting_is_read_by_code_and_the_environment_by_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = BTreeSet::new();
    let mut files = Vec::new();
    collect(&root, &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let own = file.ends_with("config/tests.rs") || file.ends_with("config/keys.rs");
        let product = joined(text.split("#[cfg(test)]").next().unwrap_or_default());
        if !own {
            read.extend(
                KEYS.iter()
                    .filter(|key| reads(&product, key))
                    .map(|key| key.path),
            );
        }
        let reads_environment = product.contains("env::var");
        assert!(
            !reads_environment || file.ends_with("config/layers.rs"),
            "{}",
            file.display()
        );
    }
    let unread: Vec<_> = KEYS
        .iter()
        .map(|key| key.path)
        .filter(|p| !read.contains(p))
        .collect();
    assert!(unread.is_empty(), "no code reads {unread:?}");
}

/// `settings.server.port`, or `server.port` where `server` is the section; as a field, not as the
/// name in a string.
fn reads(text: &str, key: &super::keys::Key) -> bool {
    text.match_indices(key.path).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let after = text[at + key.path.len()..].chars().next().unwrap_or(' ');
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let line = text[..at].rsplit('\n').next().unwrap_or_default();
        let quoted = line.matches('"').count() % 2 == 1 || line.trim_start().starts_with("//");
        !word(before) && !word(after) && !quoted
    })
}

/// The text with every chain of calls on one line.
fn joined(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        let line = line.trim();
        if !line.starts_with('.') {
            whole.push('\n');
        }
        whole.push_str(line);
    }
    whole
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
