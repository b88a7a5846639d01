//! What the server says about itself.

use bytes::Bytes;

use super::{Client, is_word};
use crate::failure::{Failure, Outcome};
use crate::reply::Reply;
use crate::table::{self, COMMANDS, CommandInfo};

/// The version whose behaviour is followed.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

pub(crate) fn time(client: &mut Client, _: &[Bytes]) -> Outcome {
    let now_ms = client.env().clock().now_ms();
    let (seconds, micros) = (now_ms / 1000, now_ms % 1000 * 1000);
    let parts = [seconds, micros].map(|part| Reply::text(part.to_string()));
    Ok(Reply::Array(parts.into()))
}

pub(crate) fn dbsize(client: &mut Client, _: &[Bytes]) -> Outcome {
    let count = client.shared.database.count_keys()?;
    let text = "ERR there are more keys than are counted (limits.count_scan_max)";
    let count = count.ok_or_else(|| Failure::new(text))?;
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// A section and its lines.
type Section = (&'static str, Vec<(&'static str, String)>);

pub(crate) fn info(client: &mut Client, arguments: &[Bytes]) -> Outcome {
    let everything = ["all", "default", "everything"];
    let is_wanted = |section: &str| {
        let named = |word: &str| arguments.iter().any(|argument| is_word(argument, word));
        arguments.is_empty() || named(section) || everything.into_iter().any(named)
    };
    let mut text = String::new();
    for (name, lines) in sections(client)? {
        if !is_wanted(name) {
            continue;
        }
        let mut title = name.to_owned();
        title
            .get_mut(..1)
            .into_iter()
            .for_each(str::make_ascii_uppercase);
        text.push_str(&format!("# {title}\r\n"));
        let lines = lines
            .iter()
            .map(|(name, value)| format!("{name}:{value}\r\n"));
        text.extend(lines);
        text.push_str("\r\n");
    }
    text.truncate(text.trim_end().len());
    Ok(Reply::Text(text))
}

fn sections(client: &Client) -> Result<[Section; 4], Failure> {
    let database = &client.shared.database;
    let counts = &client.shared.counts;
    let status = database.status();
    let keys = database.count_keys_recent()?.keys;
    let keys = keys.map(|keys| format!("keys={keys}"));
    Ok([
        (
            "server",
            vec![
                ("redis_version", REDIS_VERSION.to_owned()),
                ("mantisdb_version", env!("CARGO_PKG_VERSION").to_owned()),
                ("uptime_in_seconds", status.open_for.as_secs().to_string()),
            ],
        ),
        (
            "clients",
            vec![("connected_clients", counts.connected().to_string())],
        ),
        (
            "stats",
            vec![
                (
                    "total_connections_received",
                    counts.connections().to_string(),
                ),
                ("total_commands_processed", counts.commands().to_string()),
                ("total_error_replies", counts.errors().to_string()),
                ("rejected_connections", counts.refused().to_string()),
                ("keyspace_hits", status.kv.hits.to_string()),
                ("keyspace_misses", status.kv.misses.to_string()),
            ],
        ),
        (
            "keyspace",
            keys.map(|keys| ("db0", keys)).into_iter().collect(),
        ),
    ])
}

pub(crate) fn command(_: &mut Client, arguments: &[Bytes]) -> Outcome {
    let Some((verb, names)) = arguments.split_first() else {
        return Ok(Reply::Array(COMMANDS.iter().map(described).collect()));
    };
    match (verb.to_ascii_lowercase().as_slice(), names) {
        (b"count", []) => Ok(Reply::count(COMMANDS.len())),
        (b"list", []) => {
            let names = COMMANDS.iter().map(|command| Reply::text(command.name));
            Ok(Reply::Array(names.collect()))
        }
        (b"info", []) => Ok(Reply::Array(COMMANDS.iter().map(described).collect())),
        (b"info", names) => {
            let found = |name: &Bytes| table::find(name).map_or(Reply::NullArray, described);
            Ok(Reply::Array(names.iter().map(found).collect()))
        }
        (b"docs", names) => {
            let all = COMMANDS.iter().filter(|command| {
                names.is_empty() || names.iter().any(|name| is_word(name, command.name))
            });
            Ok(Reply::Map(all.map(documented).collect()))
        }
        _ => {
            let verb = String::from_utf8_lossy(verb);
            Err(Failure::new(format!(
                "ERR COMMAND {verb} is not supported yet, or was called with wrong arguments"
            )))
        }
    }
}

fn described(command: &CommandInfo) -> Reply {
    let [first, last, step] = command.keys.map(|key| Reply::Integer(i64::from(key)));
    let flags = command.flags.iter().map(|flag| Reply::Status(flag));
    Reply::Array(vec![
        Reply::text(command.name),
        Reply::Integer(i64::from(command.arity)),
        Reply::Array(flags.collect()),
        first,
        last,
        step,
    ])
}

fn documented(command: &CommandInfo) -> (Reply, Reply) {
    let lines = [
        ("summary", Reply::text(command.summary)),
        ("group", Reply::text(command.group.word())),
    ];
    let lines = lines.map(|(name, value)| (Reply::text(name), value));
    (Reply::text(command.name), Reply::Map(lines.into()))
}
