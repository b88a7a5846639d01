//! Lists, compressed: how many bytes less, for each coding.

use anyhow::{Context, ensure};

use super::client::{Answer, Client};
use super::report::{Floor, Report};
use super::server::Programs;

/// Floor of FIGURES.md: percent of the bytes that must be saved on lists above 1 KiB.
const SAVED_MIN: f64 = 70.0;
/// Answers up to this are sent as they are.
const COMPRESS_ABOVE: usize = 1024;
const KEYS: u64 = 1000;
const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];
/// Pages of keys, and of keys with their values.
const LISTS: [(&str, &str); 6] = [
    ("4 keys", "/api/v1/kv?limit=4"),
    ("100 keys", "/api/v1/kv?limit=100"),
    ("1000 keys", "/api/v1/kv?limit=1000"),
    (
        "10 values as text",
        "/api/v1/kv?limit=10&values=true&format=string",
    ),
    (
        "1000 values as text",
        "/api/v1/kv?limit=1000&values=true&format=string",
    ),
    ("1000 values as bytes", "/api/v1/kv?limit=1000&values=true"),
];

/// Measures.
///
/// # Errors
/// When a list is not answered, or in another coding than the one that was asked for.
pub fn measure(programs: &Programs) -> anyhow::Result<Report> {
    let mut report = Report::new("list-compression: bytes of list answers by coding");
    let server = programs.start(&[])?;
    server.fill(KEYS)?;
    let mut client = Client::connect(server.address())?;
    for (name, target) in LISTS {
        let plain = list(&mut client, target, "")?;
        ensure!(plain.coding.is_empty(), "compressed without being asked");
        report.say(format!("{name}: plain"), bytes(&plain), "B");
        for coding in CODINGS {
            let line = format!("accept-encoding: {coding}\r\n");
            let coded = list(&mut client, target, &line)?;
            if plain.body.len() <= COMPRESS_ABOVE {
                ensure!(coded.coding.is_empty(), "a short list was compressed");
                continue;
            }
            ensure!(coded.coding == coding, "{coding}: {} came", coded.coding);
            let saved = 100.0 * (1.0 - bytes(&coded) / bytes(&plain));
            let floor = Floor::AtLeast(SAVED_MIN);
            report.hold(format!("{name}: {coding} saves"), saved, "%", floor);
        }
    }
    Ok(report)
}

fn list(client: &mut Client, target: &str, headers: &str) -> anyhow::Result<Answer> {
    let answer = client.send("GET", target, headers, b"");
    let answer = answer.with_context(|| format!("no answer to {target}"))?;
    ensure!(answer.status == 200, "{target}: {}", answer.status);
    Ok(answer)
}

#[expect(clippy::cast_precision_loss, reason = "answers are small")]
fn bytes(answer: &Answer) -> f64 {
    answer.body.len() as f64
}
