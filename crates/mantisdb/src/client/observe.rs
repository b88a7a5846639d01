//! Looking at a running server: `connect`, `stats`, `monitor`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use mantis_env::Env;
use serde_json::{Value, json};
use ureq::http::Method;

use super::connection::{Ask, Connection};
use crate::cli::{ConnectArgs, MonitorArgs, OutputFormat, StatsArgs};
use crate::exit::{Failure, Outcome};
use crate::table::{self, thousands, write_rows};

/// How often `connect --ping` asks.
const PINGS: usize = 5;

/// The head of `monitor` is written again after this many lines.
const LINES_PER_HEAD: u64 = 20;

/// What `stats` shows without `--detailed`.
const TELLING: &[&str] = &[
    "version",
    "uptime_seconds",
    "kv.keys",
    "kv.reads",
    "kv.writes",
    "kv.deletes",
    "kv.hits",
    "kv.misses",
    "storage.disk_bytes",
    "storage.memtable_bytes",
    "storage.wal_bytes",
    "storage.durable_seq",
    "storage.visible_seq",
    "protocols.http.connections",
];

/// `mantisdb connect`: who answers, and how fast.
pub(crate) fn connect(arguments: &ConnectArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let health = connection.send(Ask::new(Method::GET, "/health"))?;
    let status = health.data()?["status"]
        .as_str()
        .unwrap_or("unknown")
        .to_owned();
    let version = connection.get_data("/api/v1/version")?["version"]
        .as_str()
        .map(str::to_owned);
    let times = if arguments.ping {
        pings(&connection)?
    } else {
        Vec::new()
    };
    let ms = |time: Option<&Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let median = ms(times.get(times.len() / 2));
    match arguments.server.output {
        OutputFormat::Json => {
            let whole = json!({
                "server": connection.base(),
                "version": version,
                "status": status,
                "ping_ms": median,
            });
            writeln!(out, "{whole}")?;
        }
        OutputFormat::Table => {
            let version = version.unwrap_or_else(|| "of unknown version".to_owned());
            writeln!(out, "{} is mantisdb {version}, {status}", connection.base())?;
            if let (Some(first), Some(median), Some(last)) =
                (ms(times.first()), median, ms(times.last()))
            {
                writeln!(
                    out,
                    "{PINGS} pings: {first:.2} ms at best, {median:.2} ms in the middle, {last:.2} ms at worst"
                )?;
            }
        }
    }
    if status == "unhealthy" {
        Err(Failure::Negative)
    } else {
        Ok(())
    }
}

/// Times of some small requests, sorted.
fn pings(connection: &Connection) -> anyhow::Result<Vec<Duration>> {
    let env = Env::real();
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let before = env.clock().monotonic();
        connection.send(Ask::new(Method::GET, "/health/live"))?;
        times.push(env.clock().monotonic().saturating_sub(before));
    }
    times.sort_unstable();
    Ok(times)
}

/// `mantisdb stats`: the counters of a server.
pub(crate) fn stats(arguments: &StatsArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let data = connection.get_data("/api/v1/stats")?;
    if arguments.format.unwrap_or(arguments.server.output) == OutputFormat::Json {
        writeln!(out, "{data:#}")?;
        return Ok(());
    }
    let mut rows = Vec::new();
    flatten("", &data, &mut rows);
    if !arguments.detailed {
        rows.retain(|(name, _)| TELLING.contains(&name.as_str()));
        rows.sort_by_key(|(name, _)| TELLING.iter().position(|known| known == name));
    }
    let rows: Vec<[String; 2]> = rows
        .into_iter()
        .map(|(name, value)| {
            let text = readable(&name, &value);
            [name, text]
        })
        .collect();
    Ok(write_rows(out, None, &rows)?)
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() {
                    member.clone()
                } else {
                    format!("{name}.{member}")
                };
                flatten(&name, value, rows);
            }
        }
        other => rows.push((name.to_owned(), other.clone())),
    }
}

fn readable(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(count) if name.ends_with("_bytes") => table::bytes(count),
            Some(count) => thousands(count),
            None => number
                .as_f64()
                .map_or_else(|| number.to_string(), |number| format!("{number:.3}")),
        },
        other => other.to_string(),
    }
}

/// `mantisdb monitor`: one line each interval, with rates since the line before.
pub(crate) fn monitor(arguments: &MonitorArgs, out: &mut dyn Write) -> Outcome {
    let connection = Connection::new(&arguments.server)?;
    let clock = Env::real();
    let clock = clock.clock();
    let mut before = Sample::take(&connection)?;
    let mut since = clock.monotonic();
    let mut lines = 0;
    while arguments.count.is_none_or(|count| lines < count) {
        clock.sleep(Duration::from_secs(arguments.interval));
        let now = Sample::take(&connection)?;
        let at = clock.monotonic();
        let rates = now.since(&before, at.saturating_sub(since).as_secs_f64());
        match arguments.server.output {
            OutputFormat::Json => writeln!(out, "{}", rates.json(&now))?,
            OutputFormat::Table => {
                if lines % LINES_PER_HEAD == 0 && (lines == 0 || std::io::stdout().is_terminal()) {
                    writeln!(
                        out,
                        "{:>12} {:>12} {:>12} {:>7} {:>14} {:>12} {:>12}",
                        "reads/s", "writes/s", "deletes/s", "hits", "keys", "disk", "memory"
                    )?;
                }
                writeln!(out, "{}", rates.line(&now))?;
            }
        }
        out.flush()?;
        (before, since) = (now, at);
        lines += 1;
    }
    Ok(())
}

/// The counters at one moment; what the server does not say is `None`.
#[derive(Clone, Debug, Default)]
struct Sample {
    reads: Option<u64>,
    writes: Option<u64>,
    deletes: Option<u64>,
    hits: Option<u64>,
    misses: Option<u64>,
    keys: Option<u64>,
    disk_bytes: Option<u64>,
    memtable_bytes: Option<u64>,
}

/// What happened between two samples, per second.
#[derive(Debug)]
struct Rates {
    reads: Option<f64>,
    writes: Option<f64>,
    deletes: Option<f64>,
    hit_ratio: Option<f64>,
}

impl Sample {
    fn take(connection: &Connection) -> anyhow::Result<Self> {
        let data = connection.get_data("/api/v1/stats")?;
        let (kv, storage) = (&data["kv"], &data["storage"]);
        Ok(Self {
            reads: kv["reads"].as_u64(),
            writes: kv["writes"].as_u64(),
            deletes: kv["deletes"].as_u64(),
            hits: kv["hits"].as_u64(),
            misses: kv["misses"].as_u64(),
            keys: kv["keys"].as_u64(),
            disk_bytes: storage["disk_bytes"].as_u64(),
            memtable_bytes: storage["memtable_bytes"].as_u64(),
        })
    }

    fn since(&self, before: &Self, seconds: f64) -> Rates {
        // A counter that fell was reset by a restart of the server.
        let grown =
            |now: Option<u64>, before: Option<u64>| Some(approximate(now?.checked_sub(before?)?));
        let rate = |now, before| grown(now, before).map(|count| count / seconds.max(1e-9));
        let hits = grown(self.hits, before.hits);
        let asked = hits
            .zip(grown(self.misses, before.misses))
            .map(|(hits, misses)| hits + misses);
        let hit_ratio = hits
            .zip(asked)
            .filter(|(_, asked)| *asked > 0.0)
            .map(|(h, a)| h / a);
        Rates {
            reads: rate(self.reads, before.reads),
            writes: rate(self.writes, before.writes),
            deletes: rate(self.deletes, before.deletes),
            hit_ratio,
        }
    }
}

/// A count as a factor. Beyond 2^53 the last digits go, which no rate shows.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for the eye needs no more digits"
)]
fn approximate(count: u64) -> f64 {
    count as f64
}

impl Rates {
    fn line(&self, now: &Sample) -> String {
        let rate =
            |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        let percent = self
            .hit_ratio
            .map_or_else(|| "-".to_owned(), |r| format!("{:.1}%", r * 100.0));
        let count = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), thousands);
        let size = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), table::bytes);
        format!(
            "{:>12} {:>12} {:>12} {:>7} {:>14} {:>12} {:>12}",
            rate(self.reads),
            rate(self.writes),
            rate(self.deletes),
            percent,
            count(now.keys),
            size(now.disk_bytes),
            size(now.memtable_bytes),
        )
    }

    fn json(&self, now: &Sample) -> Value {
        json!({
            "reads_per_second": self.reads,
            "writes_per_second": self.writes,
            "deletes_per_second": self.deletes,
            "hit_ratio": self.hit_ratio,
            "keys": now.keys,
            "disk_bytes": now.disk_bytes,
            "memtable_bytes": now.memtable_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_by_time_and_unknown_stays_unknown() {
        let sample = |reads, hits, misses| Sample {
            reads,
            hits,
            misses,
            ..Sample::default()
        };
        let before = sample(Some(100), Some(50), Some(50));
        let rates = sample(Some(300), Some(200), Some(100)).since(&before, 2.0);
        assert_eq!(
            (rates.reads, rates.hit_ratio, rates.writes),
            (Some(100.0), Some(0.75), None)
        );
        let after_restart = sample(Some(1), None, None).since(&before, 2.0);
        assert_eq!((after_restart.reads, after_restart.hit_ratio), (None, None));
    }

    #[test]
    fn counters_become_rows_with_readable_values() {
        let mut rows = Vec::new();
        flatten(
            "",
            &json!({"a": {"disk_bytes": 2048, "x": null}, "n": 12345}),
            &mut rows,
        );
        let shown: Vec<_> = rows
            .iter()
            .map(|(n, v)| format!("{n}={}", readable(n, v)))
            .collect();
        assert_eq!(shown, ["a.disk_bytes=2.0 KiB", "a.x=-", "n=12,345"]);
    }
}
